"""One photo on the page: the picture, what is said of it, where that is, its tags and its downloads."""

from __future__ import annotations

import base64
import io
import mimetypes
from collections.abc import Callable, Iterator
from html import escape
from pathlib import PurePath

import ipywidgets as widgets
import numpy as np
from PIL import Image

from src.inference.answers import Answering
from src.landmarks.evidence import Revised, Taken, distance_km
from src.landmarks.table import Landmark
from src.landmarks.tags import Tags, model_name, tags_for
from src.landmarks.worldmap import small_map
from src.library.records import Record, record_of
from src.photos.errors import UNUSABLE, MetadataError, PhotoError
from src.photos.read_metadata import open_photo, read_gps, read_time, strip_metadata
from src.photos.write_tags import embed, sidecar

THUMBNAIL = 640  # pixels, long side of the picture that goes back to the browser
TAKING_TAGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}  # formats that metadata is written into
_HEAT = "#ff5a1f"

Deliver = Callable[[str, Callable[[], bytes]], None]


def classed(widget: widgets.DOMWidget, *names: str) -> widgets.DOMWidget:
    """The widget with classes for app.css and app.js."""
    for name in names:
        widget.add_class(name)
    return widget


def close_tree(widget: widgets.Widget) -> None:
    """Close a widget and all that it holds, here and in the browser."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    widget.close()


class PhotoCard(widgets.HBox):
    """What the page shows of one photo. Only a recognised landmark makes a headline and tags.

    Attributes:
        name: of the file, fit to be shown.
        answer: what is said of the photo now, and `before` other photos were heard.
        moment: when and where it was taken, as far as the file says.
        size: bytes of the file that are kept for downloads; 0 once they are forgotten.
    """

    def __init__(self, name: str, data: bytes, picture: Image.Image, predictor: Answering, deliver: Deliver):
        [self.answer] = predictor.predict([picture])
        self.name, self.before, self.moment = name, self.answer, _moment(data)
        self._data, self._predictor, self._deliver = data, predictor, deliver
        self._thumbnail = _thumbnail(picture)
        self._tags: Tags | None = None
        self._chips: tuple[widgets.ToggleButton, ...] = ()
        self._figure, self._hashtags, self._message = widgets.HTML(), widgets.HTML(), widgets.HTML()
        look = widgets.ToggleButton(value=False, description="Show where it looked")
        look.observe(self._draw, "value")
        self._look = look
        self._draw()
        self._place = classed(widgets.HTML(), "lt-place")
        self._text = widgets.VBox()
        left = classed(widgets.VBox([self._figure, classed(look, "lt-quiet"), self._place]), "lt-left")
        super().__init__([left, classed(self._text, "lt-text")])
        classed(self, "lt-card")
        self.show(Revised(self.answer, self.answer, 0))

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def tags(self) -> Tags | None:
        """The tags that are switched on; None without a landmark, or with its name switched off."""
        off = [chip.description for chip in self._chips if not chip.value]
        if self._tags is None or self._tags.landmark in off:
            return None
        return self._tags.without(*off)

    @property
    def record(self) -> Record:
        """The photo's row in a table."""
        return record_of(self.name, self.answer, self.before, self.tags)

    def show(self, revised: Revised) -> None:
        """Show an answer, and what it was before other photos were heard."""
        self.answer, self.before = revised.answer, revised.before
        self._tags = tags_for(self.answer, model_name(self._predictor.info))
        self.remove_class("lt-known").remove_class("lt-unknown")
        classed(self, "lt-known" if self.answer.recognised else "lt-unknown")
        for widget in self._text.children:
            close_tree(widget)
        self._chips = tuple(self._chip(word) for word in self._tags.keywords) if self._tags else ()
        self._hashtags, self._message = widgets.HTML(), widgets.HTML()
        self._place.value = self._where()
        parts = [classed(widgets.HTML(_answer(revised)), "lt-answer")]
        if self._chips:
            chips = classed(widgets.HBox(self._chips), "lt-chips")
            parts += [widgets.HTML("<h3>Tags: switch off what does not fit</h3>"), chips, self._hashtags]
        buttons = [self._button(*download) for download in self._downloads()]
        parts += [classed(widgets.HBox(buttons), "lt-downloads"), self._message]
        self._text.children = parts
        self._show_hashtags()

    def forget(self) -> None:
        """Keep no more of the photo than its thumbnail."""
        self._data = b""
        self._text.children[-2].children = ()
        self._message.value = '<p class="lt-hint">To download this photo, upload it again.</p>'

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The photo as it goes into an archive: a tagged copy, or the file itself and its sidecar if any."""
        if not self._data:
            return
        try:
            if self.tags and self._takes_tags():
                yield self.name, embed(self._data, self.tags, self.name)
                return
        except UNUSABLE:
            pass  # the sidecar takes them
        yield self.name, self._data
        if self.tags:
            yield f"{self.name}.xmp", sidecar(self._data, self.tags, name=self.name)

    def _downloads(self) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
        stem, suffix = PurePath(self.name).stem, PurePath(self.name).suffix
        if self._tags and self._takes_tags():
            copy = f"{stem}-tagged{suffix}"
            yield "Tagged copy", copy, lambda: embed(self._data, self._wanted_tags(), self.name)
        if self._tags:
            beside = f"{self.name}.xmp"
            yield "Sidecar (XMP)", beside, lambda: sidecar(self._data, self._wanted_tags(), name=self.name)
        if self._takes_tags():
            bare = f"{stem}-bare{suffix}"
            yield "Copy without any metadata", bare, lambda: strip_metadata(self._data, self.name)

    def _wanted_tags(self) -> Tags:
        if self.tags is None:
            raise MetadataError(f"{self._tags.landmark} is switched off, so there is nothing to write.")
        return self.tags

    def _takes_tags(self) -> bool:
        try:
            return open_photo(self._data, self.name).format in TAKING_TAGS
        except UNUSABLE:
            return False

    def _button(self, label: str, name: str, make: Callable[[], bytes]) -> widgets.Button:
        def deliver(_button) -> None:
            try:
                self._deliver(name, make)
                self._message.value = ""
            except UNUSABLE as error:
                self._message.value = f'<p class="lt-alert" role="alert">{escape(str(error))}</p>'

        button = classed(widgets.Button(description=label), "lt-quiet")
        button.on_click(deliver)
        return button

    def _chip(self, word: str) -> widgets.ToggleButton:
        chip = classed(widgets.ToggleButton(value=True, description=word), "lt-chip")
        chip.observe(self._show_hashtags, "value")
        return chip

    def _show_hashtags(self, _change=None) -> None:
        if self._tags:
            text = escape(" ".join(self.tags.hashtags if self.tags else ()))
            copy = '<button type="button" data-copy>Copy</button>' if text else ""
            self._hashtags.value = f'<p class="lt-hashtags"><span>{text}</span>{copy}</p>'

    def _where(self) -> str:
        """The map, and what the file itself gives away of where it was taken."""
        camera = None
        if self.moment.latitude is not None:
            camera = (self.moment.latitude, self.moment.longitude)
        landmark = self.answer.guesses[0].landmark if self.answer.recognised else None
        lines = [_position(landmark)] if landmark and landmark.latitude is not None else []
        if camera:
            lines.append(
                f"<b>The file itself says {_degrees(*camera)}</b>{_distance(landmark, camera)}: whoever gets "
                "it can read that."
            )
        elif landmark:
            lines.append("<b>This photo can be located even though it carries no GPS position.</b>")
        text = "".join(f"<p>{line}</p>" for line in lines)
        return small_map(landmark, camera) + text

    def _draw(self, _change=None) -> None:
        """The picture, on request with where the network looked laid over it."""
        thumbnail = self._thumbnail
        if self._look.value:
            picture = Image.open(io.BytesIO(thumbnail))
            thumbnail = _jpeg(_overlay(picture, self._predictor.heat(picture)))
        self._look.description = "Hide where it looked" if self._look.value else "Show where it looked"
        self._figure.value = (
            f'<figure><div class="lt-photo">{_image(self.name, thumbnail)}</div>'
            f"<figcaption>{escape(self.name)}</figcaption></figure>"
        )


def problem_card(name: str, error: Exception) -> widgets.HTML:
    """A card that says in a sentence why a photo has none."""
    if isinstance(error, PhotoError):
        sentence = str(error)
    else:
        sentence = f"{name} could not be looked at ({type(error).__name__}); try another photo."
    html = f"<div><h2>This photo could not be read</h2><p>{escape(sentence)}</p></div>"
    return classed(widgets.HTML(f'<article class="lt-card lt-problem">{html}</article>'), "lt-result")


def media_type(name: str) -> str:
    """The MIME type of a download by its name."""
    return "application/rdf+xml" if name.endswith(".xmp") else mimetypes.guess_type(name)[0] or "image/jpeg"


def _moment(data: bytes) -> Taken:
    try:
        return Taken(read_time(data), *(read_gps(data) or (None, None)))
    except UNUSABLE:  # what shows a picture may still have metadata that nobody can read
        return Taken()


def _answer(revised: Revised) -> str:
    answer = revised.answer
    best = answer.guesses[0]
    if answer.recognised:
        caption = "The five likeliest" if len(answer.guesses) == 5 else "The likeliest"
        headline = f"<h2>{escape(best.landmark.title)}</h2>"
    else:
        caption = "What is closest"
        headline = (
            f"<h2>No landmark that I know.</h2><p>It looks most like {escape(best.landmark.name)}, "
            f"but I am not sure enough to say so ({percent(answer.known)}).</p>"
        )
    bars = "".join(_bar(guess.landmark, guess.probability) for guess in answer.guesses)
    return f'{headline}{_heard(revised)}<h3>{caption}</h3><ol class="lt-guesses">{bars}</ol>'


def _heard(revised: Revised) -> str:
    """A line for what other photos changed, where they did."""
    before, after = revised.before, revised.answer
    same = (before.recognised, before.guesses[0].landmark) == (after.recognised, after.guesses[0].landmark)
    if same and abs(revised.change) < 0.01:
        return ""
    name = before.guesses[0].landmark.name
    count = f"{revised.neighbours} photo{'s' if revised.neighbours > 1 else ''}"
    alone = f"{escape(name)}, {percent(before.known)}"
    return f'<p class="lt-heard">With {count} taken nearby heard as well; alone it was {alone}.</p>'


def _bar(landmark: Landmark, probability: float) -> str:
    place = f" <small>{escape(landmark.place)}</small>" if landmark.place else ""
    return (
        f"<li><span>{escape(landmark.name)}{place}</span><b>{percent(probability)}</b>"
        f'<div class="lt-track"><div style="width:{100 * probability:.1f}%"></div></div></li>'
    )


def percent(probability: float) -> str:
    """Whole percent; a model is never quite sure, so 0 and 100 are not among them."""
    if probability < 0.01:
        return "< 1 %"
    if probability > 0.99:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def _position(landmark: Landmark) -> str:
    extent = landmark.extent_km or 0
    around = f", about {extent:,.0f} km across" if extent >= 2 else ""
    street = (
        f"https://www.openstreetmap.org/?mlat={landmark.latitude:.5f}&amp;mlon={landmark.longitude:.5f}"
        f"#map={_street_zoom(extent)}/{landmark.latitude:.5f}/{landmark.longitude:.5f}"
    )
    link = f'<a href="{street}" target="_blank" rel="noopener noreferrer">OpenStreetMap</a>'
    return f"{_degrees(landmark.latitude, landmark.longitude)}{around} · {link}"


def _street_zoom(extent_km: float) -> int:
    """OpenStreetMap's zoom level that shows so many kilometres; each level halves them."""
    return int(np.clip(15 - np.log2(max(extent_km, 0.5)), 4, 16))


def _degrees(latitude: float, longitude: float) -> str:
    north, east = "S" if latitude < 0 else "N", "W" if longitude < 0 else "E"
    return f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"


def _distance(landmark: Landmark | None, camera: tuple[float, float]) -> str:
    if landmark is None or landmark.latitude is None:
        return ""
    kilometres = distance_km(landmark.latitude, landmark.longitude, *camera)
    if kilometres < 1:
        figure = f"{10 * round(100 * kilometres)} m"
    else:
        figure = f"{kilometres:,.0f} km" if kilometres >= 10 else f"{kilometres:.1f} km"
    return f", {figure} from {escape(landmark.name)}"


def _thumbnail(photo: Image.Image) -> bytes:
    small = photo.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2.0)
    return _jpeg(small)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=82)
    return file.getvalue()


def _image(name: str, thumbnail: bytes) -> str:
    """An <img> of the photo made small: the original never goes back to the page unasked."""
    width, height = Image.open(io.BytesIO(thumbnail)).size
    shape = ' class="lt-portrait"' if height > width else ""
    data = base64.b64encode(thumbnail).decode("ascii")
    return (
        f'<img{shape} width="{width}" height="{height}" alt="Your photo {escape(name)}" '
        f'src="data:image/jpeg;base64,{data}">'
    )


def _overlay(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """The picture with heat (h, w) in [0, 1] laid over its middle square, all that the network sees."""
    side = min(picture.size)
    square = Image.fromarray((170 * heat).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    mask = Image.new("L", picture.size)
    mask.paste(square, ((picture.width - side) // 2, (picture.height - side) // 2))
    return Image.composite(Image.new("RGB", picture.size, _HEAT), picture, mask)
