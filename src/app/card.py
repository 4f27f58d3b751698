"""One photo on the page: the picture, its answer, the place, its tags and its downloads."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import PurePath

import ipywidgets as widgets
import numpy as np
from PIL import Image

from src.app.correcting import Correcting
from src.app.parts import classed, quiet_button, replace_in
from src.app.wording import answer_text, apology, confirmed_text, note_text, place_text
from src.inference.answers import Answering
from src.inference.own import Example
from src.inference.report import PhotoReport
from src.inference.teaching import see
from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import Revised
from src.landmarks.table import Landmark
from src.landmarks.tags import Tags, confirmed_tags, model_name, tags_for
from src.library.records import Record, record_of
from src.photos.errors import UNUSABLE, MetadataError
from src.photos.strip import COPIED, strip_metadata
from src.photos.write_tags import embed, sidecar

_HEAT = "#ff5a1f"

Deliver = Callable[[str, Callable[[], bytes]], None]


class PhotoCard(widgets.HBox):
    """What the page shows of one photo. Only a recognised landmark makes a headline and tags.

    Attributes:
        report: what the photo shows by itself.
        size: bytes of the file that are kept for downloads; 0 once they are forgotten.
        confirmed: what a person said that it shows, which then holds whatever the model says.
    """

    def __init__(self, report: PhotoReport, data: bytes, predictor: Answering, deliver: Deliver) -> None:
        if report.answer is None:
            raise ValueError("the model was not asked about this photo")
        self.report = report
        self._data, self._predictor, self._deliver = data, predictor, deliver
        self._revised = Revised(report.answer, report.answer)
        self.confirmed: Landmark | None = None
        self._correcting: Correcting | None = None
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
        self._text = classed(widgets.VBox(text), "lt-text")
        super().__init__([left, self._text])
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
        return record_of(self.report.name, self.shown, self.tags)

    @property
    def shown(self) -> Revised:
        """The final answer, or what a person said in its place."""
        if self.confirmed is None:
            return self._revised
        return Revised(Answer((Guess(self.confirmed, 1.0),), 1.0, True), self._revised.alone)

    def ask(
        self, known: Callable[[], Sequence[Landmark]], say: Callable[[PhotoCard, Landmark | None], None]
    ) -> None:
        """Let people say what the photo shows.

        Args:
            known: gives the landmarks to choose from.
            say: called with this card and what they say, None where they take it back.
        """
        self._correcting = Correcting(
            self.report.taken, lambda: self._likeliest_first(known()), lambda landmark: say(self, landmark)
        )
        self._correcting.answered(self.shown.answer.recognised)
        answer, *others = self._text.children
        self._text.children = [answer, self._correcting, *others]

    def example(self) -> Example:
        """The photo as an example of a landmark; from the first look at it where its file was given up."""
        if self._data:
            return see(self._data, self.report.name, self._predictor).example
        return Example(self.report.digest, self.report.name, self._revised.alone.features)

    def show(self, revised: Revised) -> None:
        """Show a final answer, unless it is shown already; tags that were switched off stay off."""
        if revised != self._revised:
            self._revised = revised
            if self.confirmed is None:
                self._show_answer()

    def confirm(self, landmark: Landmark | None) -> None:
        """Show what a person said, or with None the answer again."""
        self.confirmed = landmark
        if self._correcting:
            self._correcting.show(landmark)
        self._show_answer()

    def forget(self) -> None:
        """Keep no more of the photo than its thumbnail."""
        self._data = b""
        self._offer_downloads()

    def _show_answer(self) -> None:
        shown, confirmed = self.shown, self.confirmed
        model = model_name(self._predictor.info)
        self._tags = confirmed_tags(confirmed, model) if confirmed else tags_for(shown.answer, model)
        self.remove_class("lt-known").remove_class("lt-unknown")
        classed(self, "lt-known" if shown.answer.recognised else "lt-unknown")
        threshold = self._predictor.known_threshold
        answer = confirmed_text(confirmed) if confirmed else answer_text(shown, self.report.taken, threshold)
        self._answer.value = note_text(self.report.note) + answer
        self._place.value = place_text(shown, self.report.taken, said=confirmed is not None)
        if self._correcting:
            self._correcting.answered(shown.answer.recognised)
        self._offer_heat()
        replace_in(self._chips, [self._chip(word) for word in self._tags.keywords] if self._tags else [])
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
            buttons = [self._button(*download) for download in self._possible_downloads()]
            heading = [widgets.HTML("<h3>Download</h3>")] if buttons else []
            replace_in(self._downloads, [*heading, *buttons])
        else:
            hint = '<p class="lt-hint">To download this photo, upload it again.</p>'
            replace_in(self._downloads, [widgets.HTML(hint)])

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
            raise MetadataError(
                f"{landmark} is switched off, and no tags are written without it: switch it on."
            )
        return self.tags

    def _button(self, label: str, name: str, make: Callable[[], bytes]) -> widgets.Button:
        def deliver() -> None:
            try:
                self._deliver(name, make)
                self._message.value = ""
            except Exception as error:
                self._message.value = apology(error)

        return quiet_button(label, deliver)

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

    def _offer_heat(self) -> None:
        """The map is of what the model itself sees, so it says nothing of a landmark of a person's own."""
        answer = self.shown.answer
        hidden = answer.recognised and answer.guesses[0].landmark not in self._predictor.landmarks
        if hidden:
            self._heat.value = False
        self._heat.layout.display = "none" if hidden else None

    def _likeliest_first(self, landmarks: Sequence[Landmark]) -> list[Landmark]:
        guessed = [guess.landmark for guess in self._revised.answer.guesses]
        return [*guessed, *(landmark for landmark in landmarks if landmark not in guessed)]

    def _switch_heat(self, _change: dict) -> None:
        try:
            self._draw()
            self._message.value = ""
        except Exception as error:
            self._heat.value = False
            self._message.value = apology(error)

    def _draw(self) -> None:
        """The picture, on request with the heat map of its likeliest landmark laid over it."""
        thumbnail, legend = self.report.thumbnail, ""
        if self._heat.value:
            legend = "<br>Orange: what decided most."
            picture = Image.open(io.BytesIO(thumbnail))
            thumbnail = _jpeg(_overlay(picture, self._predictor.heat(picture)))
        self._heat.description = "Hide heat map" if self._heat.value else "Show heat map"
        name = self.report.name
        self._figure.value = (
            f'<figure><div class="lt-photo">{_image(name, thumbnail)}</div>'
            f"<figcaption>{escape(name)}{legend}</figcaption></figure>"
        )


def problem_card(sentence: str) -> widgets.HTML:
    """A card that says in a sentence why a photo has no answer."""
    html = f"<div><h2>This photo could not be read</h2><p>{escape(sentence)}</p></div>"
    return classed(widgets.HTML(f'<article class="lt-card lt-problem">{html}</article>'), "lt-result")


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
