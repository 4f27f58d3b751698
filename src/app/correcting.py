"""What a person says that a photo shows: a landmark that is known, or a place of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as widgets

from src.app.parts import classed, quiet_button, replace_in
from src.app.wording import alert, apology
from src.inference.own_file import LONGEST
from src.landmarks.evidence import Taken, is_on_earth
from src.landmarks.table import Landmark
from src.landmarks.tags import clean, split_tags
from src.landmarks.worldmap import map_to_pick_on
from src.library.decisions import Names

_NUMBER = r"([-+−]?\d{1,3}(?:\.\d+)?)\s*°?\s*"
_POSITION = re.compile(rf"{_NUMBER}([NS]?)\s*[,;\s]\s*{_NUMBER}([EW]?)", re.IGNORECASE)

CORRECT, NAME_IT = "Right or wrong? Say so", "Name this place"

Say = Callable[[Landmark | None], None]


class Correcting(widgets.VBox):
    """A button that opens a form; once a person has answered, what they said and a button to take it back.

    Args:
        taken: where the photo was taken, as far as its file says.
        known: gives the landmarks to choose from when the form is opened, the likeliest first.
        say: called with what the person says, and with None where they take it back.
    """

    def __init__(self, taken: Taken, known: Callable[[], Sequence[Landmark]], say: Say) -> None:
        self._taken, self._known, self._say = taken, known, say
        self._message = widgets.HTML()
        self._named = False
        super().__init__()
        classed(self, "lt-correcting")
        self.show(None)

    def answered(self, named: bool) -> None:
        """Ask for what is wanted, by whether the photo was given a name; a form that is open stays."""
        self._named = named
        self._button.description = CORRECT if named else NAME_IT

    def show(self, confirmed: Landmark | None) -> None:
        """Show what the person said, or ask."""
        if confirmed is None:
            self._button = quiet_button("", self._open)
            self.answered(self._named)
            self._put(self._button)
        else:
            sentence = "<p>You said so. It teaches the app until you remove it under My landmarks.</p>"
            back = quiet_button("Take back", lambda: self._answer(None))
            self._put(classed(widgets.HBox([widgets.HTML(sentence), back]), "lt-said"))

    def _put(self, *parts: widgets.Widget) -> None:
        self._message = widgets.HTML()
        replace_in(self, [*parts, self._message])

    def _open(self) -> None:
        form = Form(self._taken, self._known(), self._answer_form)
        close = quiet_button("Cancel", lambda: self.show(None))
        form.buttons.children = (*form.buttons.children, close)
        self._put(form)
        for field in (form.name, form.position, form.tags):
            field.observe(lambda _change: self._say_no_more(), "value")

    def _say_no_more(self) -> None:
        """What was wrong is being mended."""
        self._message.value = ""

    def _answer_form(self, form: Form) -> None:
        try:
            landmark = form.landmark()
        except ValueError as error:
            self._message.value = alert(str(error))
        else:
            self._answer(landmark)

    def _answer(self, landmark: Landmark | None) -> None:
        try:
            self._say(landmark)
        except Exception as error:
            self._message.value = apology(error)


class Form(widgets.VBox):
    """Name, and for a place that nobody knows yet also where it is and its tags.

    Args:
        taken: where the photo was taken, as far as its file says.
        landmarks: to choose from.
        confirm: called with this form when it is to be taken.
    """

    def __init__(self, taken: Taken, landmarks: Sequence[Landmark], confirm: Callable[[Form], None]) -> None:
        self._names = Names(landmarks)
        camera = taken.position
        self.name = widgets.Combobox(
            description="Which place is it?",
            placeholder="Search, or write a name of your own",
            options=tuple(dict.fromkeys(landmark.name for landmark in landmarks)),
            continuous_update=True,
        )
        self.position = widgets.Text(
            description="Where is it? (latitude, longitude)",
            value="{:.5f}, {:.5f}".format(*camera) if camera else "",
            placeholder="48.8584, 2.2945",
        )
        self.tags = widgets.Text(description="Tags, with commas between", placeholder="family, garden")
        hint = "Paste it from another map, or click near it on this one. You may leave it empty."
        if camera:
            hint = "The photo itself says so. Write another, or click the map."
        picture = f'<p class="lt-hint">{hint}</p>{map_to_pick_on(camera)}'
        own = [classed(self.position, "lt-position"), widgets.HTML(picture), self.tags]
        self._own = classed(widgets.VBox(own), "lt-own")
        self._found = classed(widgets.HTML(), "lt-found")
        button = classed(widgets.Button(description="Confirm"), "lt-confirm")
        button.on_click(lambda _button: confirm(self))
        self.buttons = classed(widgets.HBox([button]), "lt-answers")
        super().__init__([self.name, self._found, self._own, self.buttons])
        classed(self, "lt-form")
        self.name.on_msg(_on_enter(lambda: self._go_on(confirm)))
        for field in (self.position, self.tags):
            field.on_msg(_on_enter(lambda: confirm(self)))
        self.name.observe(lambda _change: self._describe(), "value")
        self._describe()

    def landmark(self) -> Landmark:
        """What the person says.

        Raises:
            ValueError: it cannot be understood; the message is one sentence that says what to do.
        """
        name = clean(self.name.value)
        if not name:
            raise ValueError("Write which place it is, or choose one of the list.")
        if len(name) > LONGEST:
            raise ValueError(f"The name is too long; write at most {LONGEST} characters.")
        found = self._names.find(name)
        if found in self._names.landmarks:
            return found
        position = read_position(self.position.value)
        tags = split_tags(self.tags.value)
        if any(len(tag) > LONGEST for tag in tags):
            raise ValueError(f"A tag is too long; write at most {LONGEST} characters.")
        return Landmark(name, name, latitude=position[0], longitude=position[1], tags=tags)

    def _go_on(self, confirm: Callable[[Form], None]) -> None:
        """After Enter in the name: what is a typing error is seen before it becomes a place of one's own."""
        if self._own.layout.display == "none":
            confirm(self)
        else:
            self.position.focus()

    def _describe(self) -> None:
        """Say what is known of this name, and ask for the rest where that is nothing."""
        name = clean(self.name.value)
        found = self._names.find(name) if name else None
        known = found in self._names.landmarks
        self._own.layout.display = None if found and not known else "none"
        sentence = ""
        if found:
            said = "This place is known." if found.title == name else escape(found.title)
            sentence = said if known else "A place of your own: say more of it if you like."
        self._found.value = f'<p class="lt-hint" role="status">{sentence}</p>'


def read_position(text: str) -> tuple[float, float] | tuple[None, None]:
    """Degrees of a text such as "48.8584, 2.2945" or "48.8584° N, 2.2945° E"; Nones of an empty one.

    Raises:
        ValueError: it is something else; the message is one sentence.
    """
    if not text.strip():
        return None, None
    found = _POSITION.fullmatch(text.strip().replace("−", "-"))
    if found:
        north, south, east, west = found.groups()
        latitude = -float(north) if south.upper() == "S" else float(north)
        longitude = -float(east) if west.upper() == "W" else float(east)
        if is_on_earth(latitude, longitude):
            return latitude, longitude
    raise ValueError("This is no position: write latitude and longitude, such as 48.8584, 2.2945.")


def _on_enter(press: Callable[[], object]) -> Callable[[object, dict, list], None]:
    """What takes a text's messages: ipywidgets sends one where Enter is pressed in it."""

    def take(_text: object, content: dict, _buffers: list) -> None:
        if content.get("event") == "submit":
            press()

    return take
