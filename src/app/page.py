"""The widgets of app.ipynb: upload photos, read which landmark each of them shows.

`show(export)` is all that the notebook calls. The page is made of ipywidgets, so it runs under Voila and
in any Jupyter; `app.css` styles it and `app.js` is its script.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

import ipywidgets as widgets
from IPython.display import HTML, display

from src.app import my_landmarks
from src.app.card import PhotoCard, problem_card
from src.app.downloads import send_file, zipped
from src.app.my_landmarks import MyLandmarks
from src.app.own_panel import OwnPanel
from src.app.parts import classed, close_tree, quiet_button
from src.app.uploads import Upload, UploadArea
from src.app.wording import alert, apology, counted
from src.inference.answers import Answering, InferenceError
from src.inference.own_file import NAME
from src.inference.report import answer_report, answers_of, failure, final_answers, read_report
from src.inference.shared import ADDRESS, SharedPredictor
from src.landmarks.table import Landmark, read_landmarks
from src.landmarks.worldmap import OUTLINE
from src.photos.decode import check_size

if ADDRESS not in os.environ:  # else the runtime would take a second and 100 MB that nobody needs
    from src.inference.predictor import Predictor

# Read at import: in a standalone folder the modules are gone once they are imported.
STYLE = Path(__file__).with_name("app.css").read_text("utf-8")
read_landmarks()  # which keeps the built-in table

KEPT_BYTES = 100 * 2**20  # of a visitor's photos, for downloads; the oldest are forgotten first
KEPT_CARDS = 200  # on the page, 0.3 to 0.5 MB each; the oldest go first
THUMBNAIL = 640  # pixels, long side of the picture that goes back to the browser


def show(
    export: str | Path,
    *,
    together: bool = True,
    landmarks: str | Path | Iterable[str | Path] = (),
    own: str | Path | None = None,
) -> None:
    """Display the page for an exported model; what keeps it from working is said in the page.

    Args:
        export: the TorchScript file.
        together: let photos of one upload that were taken close to each other be evidence for each other.
        landmarks: CSV files whose rows add to what is known of the landmarks or replace it, with the columns
            of `src/landmarks/landmarks.csv`; a later file wins.
        own: a file of own landmarks that the page starts with, if it is there; on `src.host` that is the
            host's own option instead.
    """
    display(HTML(f"<style>{STYLE}</style>{OUTLINE}"))
    display(make_app(export, together=together, landmarks=landmarks, own=own))


def make_app(
    export: str | Path,
    *,
    together: bool = True,
    landmarks: str | Path | Iterable[str | Path] = (),
    own: str | Path | None = None,
) -> widgets.Widget:
    """The page as a widget: the app, or one sentence when the model cannot be loaded; see `show`."""
    try:
        predictor = _predictor(export)
        if landmarks:
            files = [landmarks] if isinstance(landmarks, str | Path) else landmarks
            predictor.describe_with(read_landmarks(*map(Path, files)))
        app = LandmarkApp(predictor, together=together)
        app.start_with(os.environ.get(my_landmarks.FILE) if ADDRESS in os.environ else own)
        return app
    except (FileNotFoundError, ValueError, InferenceError) as error:
        sentence = str(error)
    except Exception as error:  # a visitor gets a sentence, never a traceback
        sentence = f"The model {export} cannot be loaded ({type(error).__name__}); export it again."
    return widgets.HTML(f'<main class="lt-app">{_header()}{alert(sentence)}</main>')


def _predictor(export: str | Path) -> Answering:
    """The model that `src.host` keeps for all visitors, else one of this process's own."""
    return SharedPredictor(os.environ[ADDRESS]) if ADDRESS in os.environ else Predictor.load(export)


class LandmarkApp(widgets.VBox):
    """Upload area, progress and results of one visitor.

    Photos stay in memory for downloads, up to `KEPT_BYTES`, until "Clear results".
    """

    def __init__(self, predictor: Answering, *, together: bool = True) -> None:
        self.area = UploadArea(self._add, self._apologise)
        self.status = classed(widgets.HTML(), "lt-status")
        self.archive = quiet_button("Download all (zip)", self._send_archive)
        self.clear = quiet_button("Clear results", self._forget)
        self.results = classed(widgets.VBox(), "lt-results")
        self._predictor, self._together = predictor, together
        self._uploads: list[list[widgets.Widget]] = []  # their cards, in the order in which they came
        self._photos = self._unread = 0  # of the newest upload
        self.mine = MyLandmarks(predictor)
        self.panel = OwnPanel(self.mine, self._save_mine, self._remove)
        self._known = widgets.HTML()

        super().__init__(
            [
                widgets.HTML(_header()),
                self.area,
                classed(widgets.HBox([self.status, self.archive, self.clear]), "lt-bar"),
                self.results,
                self.panel,
                self._known,
            ]
        )
        self.add_class("lt-app")
        self._forget()
        self._show_mine()

    @property
    def cards(self) -> list[PhotoCard]:
        """The cards of photos that could be read, as the page shows them: the newest upload first."""
        return [card for card in self.results.children if isinstance(card, PhotoCard)]

    def start_with(self, own: str | Path | None) -> None:
        """Take own landmarks from a file; the page says where that fails, and works all the same."""
        try:
            if own and self.mine.possible:
                self.mine.start_with(Path(own), shared=ADDRESS in os.environ)
            self._show_mine()
        except Exception as error:
            self._show_mine(apology(error))

    def _add(self, upload: Upload) -> None:
        """Read one photo, ask the model, and put its card after those of the same upload."""
        if upload.number == 1:
            self._uploads.append([])
            self._photos = self._unread = 0
        if upload.name.lower().endswith(".npz"):
            self._load_mine(upload)
        else:
            self._photos += 1
            self.status.value = _progress(upload.number, upload.of)
            self._uploads[-1].append(self._card(upload))
        self._keep_within_limits()
        if upload.number >= upload.of and self._photos:
            self._revise(self._uploads[-1])
            full = len(self.results.children) == KEPT_CARDS
            self.status.value = _summary(self._photos, self._unread, full=full)

    def _card(self, upload: Upload) -> widgets.Widget:
        try:
            check_size(upload.size, upload.name)
            sides = {"short_side": self._predictor.short_side, "thumbnail_side": THUMBNAIL}
            report = answer_report(read_report(upload.data, upload.name, **sides), self._predictor)
            card = PhotoCard(report, upload.data, self._predictor, self._send_file)
            if self.mine.possible:
                card.ask(lambda: [*self.mine.landmarks, *self._predictor.landmarks], self._say)
            return card
        except Exception as error:
            self._unread += 1
            return problem_card(failure(upload.name, error))

    def _revise(self, upload: Sequence[widgets.Widget]) -> None:
        """Show the final answers of an upload; more photos may follow, and all are revised then."""
        cards = [card for card in upload if isinstance(card, PhotoCard)]
        reports, own = [card.report for card in cards], self.mine.own
        if own and self._together:
            own = own.adapted([answers_of(reports)])
        revised = final_answers(
            reports,
            self._predictor.known_threshold,
            len(self._predictor.landmarks),
            together=self._together,
            own=own,
        )
        for card, answer in zip(cards, revised, strict=True):
            card.show(answer)

    def _say(self, card: PhotoCard, landmark: Landmark | None) -> None:
        """Learn what a person says that a photo shows, or forget it, and answer all others anew."""
        if landmark:
            self.mine.teach(landmark, card.example())
        else:
            self.mine.take_back(card.report.digest)
        for copy in self.cards:
            if copy.report.digest == card.report.digest:
                copy.confirm(landmark)
        self._answer_anew()

    def _remove(self, name: str) -> None:
        """Forget a landmark of the visitor's own."""
        self.mine.remove(name)
        self._answer_anew()

    def _load_mine(self, upload: Upload) -> None:
        try:
            count = self.mine.load(upload)
        except Exception as error:
            self.panel.show(apology(error))
        else:
            self._answer_anew(f"Loaded {counted(count, 'place')} from {escape(upload.name)}.")

    def _save_mine(self) -> None:
        self._send_file(NAME, self.mine.to_bytes)

    def _answer_anew(self, sentence: str = "") -> None:
        """Show what follows from other landmarks of the visitor's own, on all cards."""
        before = [_named(card) for card in self.cards]
        for upload in self._uploads:
            self._revise(upload)
        changed = sum(one != _named(card) for one, card in zip(before, self.cards, strict=True))
        if changed:
            also = f"{counted(changed, 'photo')} {'is' if changed == 1 else 'are'} answered otherwise now."
            sentence = f"{sentence} {also}".strip()
        sentence = sentence or "Nothing else changes."
        self.status.value = f'<p class="lt-summary">{sentence}</p>'
        self._show_mine(f'<p class="lt-hint">{sentence}</p>')

    def _show_mine(self, sentence: str = "") -> None:
        self.panel.show(sentence)
        self._known.value = _footer(self._predictor.landmarks, self.mine.landmarks)

    def _keep_within_limits(self) -> None:
        """Show the newest cards, and keep the files of the newest of these."""
        dropped = []
        while sum(map(len, self._uploads)) > KEPT_CARDS:
            oldest = next(upload for upload in self._uploads if upload)
            dropped.append(oldest.pop(0))
        self._show_cards()
        for card in dropped:
            close_tree(card)
        kept = 0
        for card in (card for upload in reversed(self._uploads) for card in reversed(upload)):
            if isinstance(card, PhotoCard) and card.size:
                kept += card.size
                if kept > KEPT_BYTES:
                    card.forget()

    def _show_cards(self) -> None:
        self._uploads = [upload for upload in self._uploads if upload] or [[]]
        self.results.children = [card for upload in reversed(self._uploads) for card in upload]
        for button in (self.clear, self.archive):
            button.layout.display = None if self.results.children else "none"

    def _forget(self) -> None:
        """Drop all results."""
        former = self.results.children
        self._uploads = []
        self._show_cards()
        for card in former:
            close_tree(card)
        self.status.value = ""

    def _send_file(self, name: str, make: Callable[[], bytes]) -> None:
        """Hand a file to the browser, which saves it."""
        send_file(self.area, name, [make()])

    def _send_archive(self) -> None:
        """All photos that are kept, tagged, with a table, as a zip."""
        try:
            send_file(self.area, "landmark-tagger.zip", zipped(self.cards))
        except Exception as error:
            self._apologise(error)

    def _apologise(self, error: Exception) -> None:
        self.status.value = apology(error)


_LOGO = (
    '<svg viewBox="8 2 32 44" width="32" height="44" aria-hidden="true"><path fill="currentColor" d="M24 3'
    'c8.6 0 15.5 6.7 15.5 15.2C39.5 30 24 45 24 45S8.5 30 8.5 18.2C8.5 9.7 15.4 3 24 3Z"/><path fill="#fff" '
    'd="M24 9.5l8.5 4.9v2.1h-17v-2.1ZM17 18h2.6v7H17Zm5.7 0h2.6v7h-2.6Zm5.7 0H31v7h-2.6ZM15.5 26.5h17V29h-17'
    'Z"/></svg>'
)


def _header() -> str:
    return (
        f'<div class="lt-header">{_LOGO}<div><h1>Landmark tagger</h1>'
        "<p>Upload a holiday photo: read which landmark it shows, see where that is, and tag it.</p>"
        "</div></div>"
    )


def _progress(number: int, of: int) -> str:
    width = 100 * (number - 0.5) / max(of, 1)
    kept = _limit() if of > KEPT_CARDS else ""
    return (
        f'<div class="lt-progress"><p>Looking at photo {number} of {of} …{kept}</p>'
        f'<div class="lt-track"><div style="width:{width:.0f}%"></div></div></div>'
    )


def _summary(photos: int, unread: int, *, full: bool) -> str:
    sentence = f"Looked at {counted(photos, 'photo')}."
    if unread and photos > 1:
        sentence = f"{sentence[:-1]}; {unread} of them could not be read."
    elif unread:
        sentence = "This photo could not be read."
    if full:
        sentence += _limit()
    return f'<p class="lt-summary">{sentence}</p>'


def _limit() -> str:
    return f" The page keeps the newest {KEPT_CARDS}."


def _named(card: PhotoCard) -> str:
    """The landmark that a card names; empty where it names none."""
    answer = card.shown.answer
    return answer.guesses[0].landmark.name if answer.recognised else ""


def _footer(landmarks: Sequence[Landmark], own: Sequence[Landmark]) -> str:
    """How many landmarks the model knows, and on request which, by country."""
    countries: dict[str, set[str]] = {}
    for landmark in landmarks:
        countries.setdefault(landmark.country or "Elsewhere", set()).add(landmark.name)
    sections = "".join(
        f"<section><h2>{escape(country)}</h2><ul>"
        + "".join(f"<li>{escape(name)}</li>" for name in sorted(countries[country]))
        + "</ul></section>"
        for country in sorted(countries, key=lambda country: (country == "Elsewhere", country))
    )
    if own:
        names = "".join(f"<li>{escape(name)}</li>" for name in sorted(landmark.name for landmark in own))
        sections = f"<section><h2>My landmarks</h2><ul>{names}</ul></section>{sections}"
    also = f" and {len(own):,} of your own" if own else ""
    return (
        f'<div class="lt-footer"><details><summary>It knows {len(landmarks)} landmarks{also}</summary>'
        f'<div class="lt-countries">{sections}</div></details>'
        "<p>Of any other place it should say that it does not know it. It can be wrong: look before you "
        "share.</p></div>"
    )
