"""The section of the page on the landmarks that a visitor taught: how well they are known, save and load."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as widgets

from src.app.correcting import CORRECT, NAME_IT
from src.app.my_landmarks import LIMIT, MyLandmarks
from src.app.parts import classed, quiet_button, replace_in
from src.app.wording import counted, fit_text

ROWS = 20  # landmarks that are shown at first, and that each press shows more: telling how well takes time
_IMPOSSIBLE = (
    "This model cannot be taught places of your own, as its file carries no space to compare them in; "
    "export it again."
)
_LOAD = (
    '<label class="lt-load">Load my landmarks<input type="file" accept=".npz" data-send></label>'
    f'<p class="lt-hint">A file that was saved here, up to {LIMIT >> 20} MB.</p>'
)


class OwnPanel(widgets.VBox):
    """What is taught, with buttons to save it, load it and remove some of it.

    Args:
        mine: what it shows, see `show`.
        save: called when the file of them is wanted.
        remove: called with the name of one that is to be forgotten.
    """

    def __init__(self, mine: MyLandmarks, save: Callable[[], None], remove: Callable[[str], None]) -> None:
        self._mine, self._remove = mine, remove
        self._shown = ROWS
        self._about, self._said = widgets.HTML(), widgets.HTML()
        self._rows = classed(widgets.VBox(), "lt-places")
        self._save = quiet_button("Save my landmarks", save)
        self._file = classed(widgets.HBox([self._save, widgets.HTML(_LOAD)]), "lt-file")
        super().__init__([self._about, self._rows, self._file, self._said])
        classed(self, "lt-mine")
        self.show()

    def show(self, sentence: str = "") -> None:
        """Show what is taught now.

        Args:
            sentence: on what went well or wrong, as HTML.
        """
        mine = self._mine
        for part in (self._rows, self._save):
            part.layout.display = None if mine.taught else "none"
        self._file.layout.display = None if mine.possible else "none"
        self._about.value = f"<h2>My landmarks</h2>{self._summary()}"
        self._said.value = sentence
        newest = list(reversed(mine.taught))
        rows = [self._row(name) for name in newest[: self._shown]]
        if len(newest) > self._shown:
            rows.append(quiet_button(f"Show more ({len(newest) - self._shown:,})", self._show_more))
        replace_in(self._rows, rows)

    def _summary(self) -> str:
        if not self._mine.possible:
            return f"<p>{_IMPOSSIBLE}</p>"
        taught = self._mine.taught
        if not taught:
            return (
                f"<p>Teach it places of your own: press “{NAME_IT}” or “{CORRECT}” beside a photo. Some five "
                "photos of a place will do. What you teach is only in this page until you save it.</p>"
            )
        photos = sum(len(one.examples) for one in taught.values())
        kept = "They are only in this page: save them before you leave it. Nothing is stored on the server."
        return f"<p>{counted(len(taught), 'place')}, {counted(photos, 'photo')}. {kept}</p>"

    def _row(self, name: str) -> widgets.Widget:
        one = self._mine.taught[name]
        text = fit_text(len(one.examples), self._mine.fit(name))
        about = widgets.HTML(f"<h3>{escape(one.landmark.title)}</h3>{text}")
        remove = quiet_button("Remove", lambda: self._remove(name))
        remove.tooltip = f"Remove {name}"
        return classed(widgets.HBox([about, remove]), "lt-taught")

    def _show_more(self) -> None:
        self._shown += ROWS
        self.show()
