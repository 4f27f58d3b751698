"""One photo on the page: the picture, its answer, the place, its tags and its downloads."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from html import escape
from pathlib import PurePath

import ipywidgets as widgets
import numpy as np
from PIL import Image

from src.app.wording import answer_text, apology, note_text, place_text
from src.inference.answers import Answering
from src.inference.report import PhotoReport
from src.landmarks.evidence import Revised
from src.landmarks.tags import Tags, model_name, tags_for
from src.library.records import Record, record_of
from src.photos.errors import UNUSABLE, MetadataError
from src.photos.strip import COPIED, strip_metadata
from src.photos.write_tags import embed, sidecar

_HEAT = "#ff5a1f"

Deliver = Callable[[str, Callable[[], bytes]], None]


def classed(widget: widgets.DOMWidget, *names: str) -> widgets.DOMWidget:
    """The widget with classes for app.css and app.js."""
    for name in names:
        widget.add_class(name)
    return widget


def close_tree(widget: widgets.Widget) -> None:
    """Close a widget and all that it holds, here and in the browser; take it off the page first."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    for part in ("layout", "style"):  # widgets too, which nothing else closes
        if isinstance(getattr(widget, part, None), widgets.Widget):
            getattr(widget, part).close()
    widget.close()


class PhotoCard(widgets.HBox):
    """What the page shows of one photo. Only a recognised landmark makes a headline and tags.

    Attributes:
        report: what the photo shows by itself.
        size: bytes of the file that are kept for downloads; 0 once they are forgotten.
    """

    def __init__(self, report: PhotoReport, data: bytes, predictor: Answering, deliver: Deliver) -> None:
        if report.answer is None:
            raise ValueError("the model was not asked about this photo")
        self.report = report
        self._data, self._predictor, self._deliver = data, predictor, deliver
        self._revised = Revised(report.answer, report.answer)
        self._tags: Tags | None = None
        self._off: set[str] = set()  # keywords that were switched off, also while no chip shows them
        self._figure, self._place = widgets.HTML(), classed(widgets.HTML(), "lt-place")
        self._heat = classed(widgets.ToggleButton(value=False), "lt-quiet")
        self._heat.observe(self._switch_heat, "value")
        self._answer = classed(widgets.HTML(), "lt-answer")
        self._chips = classed(widgets.HBox(), "lt-chips")
        self._hashtags, self._message = widgets.HTML(), widgets.HTML()
        self._downloads = classed(widgets.HBox(), "lt-downloads")
        heading = widgets.HTML("<h3>Tags: switch off what does not fit</h3>")
        self._tagging = widgets.VBox([heading, self._chips, self._hashtags])
        left = classed(widgets.VBox([self._figure, self._heat, self._place]), "lt-left")
        text = [self._answer, self._tagging, self._downloads, self._message]
        super().__init__([left, classed(widgets.VBox(text), "lt-text")])
        classed(self, "lt-card")
        self._draw()
        self._show_answer()

    @property
    def size(self) -> int:
        return len(self._data)

    @property
    def tags(self) -> Tags | None:
        """The tags that are switched on; None without a landmark, or with its name switched off."""
        if self._tags is None or self._tags.landmark in self._off:
            return None
        return self._tags.without(*self._off)

    @property
    def record(self) -> Record:
        """The photo's row in a table."""
        return record_of(self.report.name, self._revised, self.tags)

    def show(self, revised: Revised) -> None:
        """Show a final answer, unless it is shown already; tags that were switched off stay off."""
        if revised != self._revised:
            self._revised = revised
            self._show_answer()

    def forget(self) -> None:
        """Keep no more of the photo than its thumbnail."""
        self._data = b""
        self._offer_downloads()

    def _show_answer(self) -> None:
        revised = self._revised
        self._tags = tags_for(revised.answer, model_name(self._predictor.info))
        self.remove_class("lt-known").remove_class("lt-unknown")
        classed(self, "lt-known" if revised.answer.recognised else "lt-unknown")
        self._answer.value = note_text(self.report.note) + answer_text(revised, self.report.taken)
        self._place.value = place_text(revised, self.report.taken)
        _replace(self._chips, [self._chip(word) for word in self._tags.keywords] if self._tags else [])
        self._tagging.layout.display = None if self._tags else "none"
        self._show_hashtags()
        self._offer_downloads()

    def files(self, name: str) -> Iterator[tuple[str, bytes]]:
        """The photo as it goes into an archive: a tagged copy, or the file itself and its sidecar if any.

        Args:
            name: what the photo is called there; its sidecar belongs to it by that name.
        """
        if not self._data:
            return
        try:
            if self.tags and self.report.format in COPIED:
                yield name, embed(self._data, self.tags, name)
                return
        except UNUSABLE:
            pass  # the sidecar takes them
        yield name, self._data
        if self.tags:
            yield f"{name}.xmp", sidecar(self._data, self.tags, name=name)

    def _offer_downloads(self) -> None:
        if self._data:
            _replace(self._downloads, [self._button(*download) for download in self._possible_downloads()])
        else:
            hint = '<p class="lt-hint">To download this photo, upload it again.</p>'
            _replace(self._downloads, [widgets.HTML(hint)])

    def _possible_downloads(self) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
        name, copied = self.report.name, self.report.format in COPIED
        stem, suffix = PurePath(name).stem, PurePath(name).suffix
        if self._tags and copied:
            copy = f"{stem}-tagged{suffix}"
            yield "Tagged copy", copy, lambda: embed(self._data, self._wanted_tags(), name)
        if self._tags:
            beside = f"{name}.xmp"
            yield "Sidecar (XMP)", beside, lambda: sidecar(self._data, self._wanted_tags(), name=name)
        if copied:
            bare = f"{stem}-bare{suffix}"
            yield "Copy without any metadata", bare, lambda: strip_metadata(self._data, name)

    def _wanted_tags(self) -> Tags:
        if self.tags is None:
            landmark = self._tags.landmark if self._tags else "The landmark"
            raise MetadataError(f"{landmark} is switched off, so there is nothing to write.")
        return self.tags

    def _button(self, label: str, name: str, make: Callable[[], bytes]) -> widgets.Button:
        def deliver(_button: widgets.Button) -> None:
            try:
                self._deliver(name, make)
                self._message.value = ""
            except Exception as error:
                self._message.value = apology(error)

        button = classed(widgets.Button(description=label), "lt-quiet")
        button.on_click(deliver)
        return button

    def _chip(self, word: str) -> widgets.ToggleButton:
        def switch(change: dict) -> None:
            (self._off.discard if change["new"] else self._off.add)(word)
            self._show_hashtags()

        chip = classed(widgets.ToggleButton(value=word not in self._off, description=word), "lt-chip")
        chip.observe(switch, "value")
        return chip

    def _show_hashtags(self) -> None:
        text = escape(" ".join(self.tags.hashtags if self.tags else ()))
        copy = '<button type="button" data-copy>Copy</button>' if text else ""
        self._hashtags.value = f'<p class="lt-hashtags"><span>{text}</span>{copy}</p>'

    def _switch_heat(self, _change: dict) -> None:
        try:
            self._draw()
            self._message.value = ""
        except Exception as error:
            self._heat.value = False
            self._message.value = apology(error)

    def _draw(self) -> None:
        """The picture, on request with the heat map of its likeliest landmark laid over it."""
        thumbnail = self.report.thumbnail
        if self._heat.value:
            picture = Image.open(io.BytesIO(thumbnail))
            thumbnail = _jpeg(_overlay(picture, self._predictor.heat(picture)))
        self._heat.description = "Hide heat map" if self._heat.value else "Show heat map"
        name = self.report.name
        self._figure.value = (
            f'<figure><div class="lt-photo">{_image(name, thumbnail)}</div>'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )


def problem_card(sentence: str) -> widgets.HTML:
    """A card that says in a sentence why a photo has no answer."""
    html = f"<div><h2>This photo could not be read</h2><p>{escape(sentence)}</p></div>"
    return classed(widgets.HTML(f'<article class="lt-card lt-problem">{html}</article>'), "lt-result")


def _replace(box: widgets.Box, children: list[widgets.Widget]) -> None:
    """Put other widgets into a box, and close those that were there."""
    former, box.children = box.children, children
    for widget in former:
        close_tree(widget)


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
    """The picture with heat (h, w) in [0, 1] laid over its middle square, all that the model is given."""
    side = min(picture.size)
    square = Image.fromarray((170 * heat).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    mask = Image.new("L", picture.size)
    mask.paste(square, ((picture.width - side) // 2, (picture.height - side) // 2))
    return Image.composite(Image.new("RGB", picture.size, _HEAT), picture, mask)
