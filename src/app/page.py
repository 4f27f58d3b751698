"""The widgets of app.ipynb: upload photos, read which landmark each of them shows.

`show(export)` is all that the notebook calls. The page is made of ipywidgets, so it runs under Voila and
in any Jupyter. `app.css` gives it its looks. `app.js` adds drag and drop and sends large photos in parts, as
a Jupyter server cuts the connection at a message over 10 MB unless its settings say otherwise; without the
script the browser sends each upload whole.
"""

import base64
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePath

import ipywidgets as widgets
from IPython.display import HTML, display

from src.app.card import PhotoCard, classed, close_tree, media_type, problem_card
from src.files import shown_name
from src.inference.answers import Answering
from src.inference.shared import ADDRESS, SharedPredictor
from src.landmarks.evidence import revise
from src.landmarks.table import Landmark
from src.landmarks.worldmap import OUTLINE
from src.library.records import write_csv
from src.photos.decode import FORMATS, MAX_BYTES, check_size, read_photo

if ADDRESS not in os.environ:  # else torch would take seconds and 300 MB that nobody needs
    from src.inference.predictor import Predictor

# Read at import: in a standalone folder the modules are gone once they are imported.
STYLE, SCRIPT = (Path(__file__).with_name(name).read_text("utf-8") for name in ("app.css", "app.js"))

KEPT_BYTES = 100 * 2**20  # of a visitor's photos, for downloads; the oldest are forgotten first
PARCEL = 3 * 2**20  # bytes of a download in one message


def show(export: str | Path, *, together: bool = True) -> None:
    """Display the page for an exported model; what keeps it from working is said in the page.

    Args:
        export: the TorchScript file.
        together: let photos of one upload that were taken close to each other help each other.
    """
    display(HTML(f"<style>{STYLE}</style>{OUTLINE}<script>{SCRIPT}</script>"))
    display(make_app(export, together=together))


def make_app(export: str | Path, *, together: bool = True) -> widgets.Widget:
    """The page as a widget: the app, or one sentence when the model cannot be loaded."""
    try:
        return LandmarkApp(_predictor(export), together=together)
    except (FileNotFoundError, ValueError) as error:
        sentence = str(error)
    except Exception as error:  # a visitor gets a sentence, never a traceback
        sentence = f"The model {export} cannot be loaded ({type(error).__name__}); export it again."
    return classed(widgets.VBox([widgets.HTML(_header()), widgets.HTML(_alert(sentence))]), "lt-app")


def _predictor(export: str | Path) -> Answering:
    """The network that `src.host` keeps for all visitors, else one of this process's own."""
    return SharedPredictor(os.environ[ADDRESS]) if ADDRESS in os.environ else Predictor.load(export)


class LandmarkApp(widgets.VBox):
    """Upload box, progress and results of one visitor.

    Photos stay in memory for downloads, up to `KEPT_BYTES`, until "Clear results".
    """

    def __init__(self, predictor: Answering, *, together: bool = True):
        self.upload = widgets.FileUpload(
            accept="image/*,.heic,.heif", multiple=True, description="Choose photos", icon="", tooltip=""
        )
        self.status = classed(widgets.HTML(), "lt-status")
        self.archive = classed(widgets.Button(description="Download all (zip)"), "lt-quiet")
        self.clear = classed(widgets.Button(description="Clear results"), "lt-quiet")
        self.results = classed(widgets.VBox(), "lt-results")
        self.receipt = classed(widgets.HTML(), "lt-receipt")  # app.js waits for it to change
        self.parcel = classed(widgets.HTML(), "lt-parcel")  # app.js saves what comes in it
        self._predictor, self._together = predictor, together
        self._inbox = _Inbox()
        self._messages = 0
        self._new: list[widgets.Widget] = []  # cards of the upload under way, in its order
        self._old: tuple[widgets.Widget, ...] = ()  # cards of the uploads before
        self._unread = 0

        self.upload.observe(self._receive, "value")
        self.clear.on_click(self._forget)
        self.archive.on_click(lambda _button: self._send_archive())
        box = [widgets.HTML(_INVITATION), self.upload, widgets.HTML(_HINT)]
        super().__init__(
            [
                widgets.HTML(_header()),
                classed(widgets.VBox(box), "lt-drop"),
                self.receipt,
                self.parcel,
                classed(widgets.HBox([self.status, self.archive, self.clear]), "lt-bar"),
                self.results,
                widgets.HTML(_footer(predictor.landmarks)),
            ]
        )
        self.add_class("lt-app")
        self._forget()

    @property
    def cards(self) -> list[PhotoCard]:
        """The cards of photos that could be read."""
        return [card for card in self.results.children if isinstance(card, PhotoCard)]

    def _receive(self, change) -> None:
        """Deal with what the browser sent; every message is answered by a new receipt."""
        files = change["new"]
        if not files:
            return
        self.upload.value = ()  # nothing is kept here, and the same file may come again
        try:
            for upload in self._inbox.photos(files):
                self._look_at(upload)
        except Exception as error:
            self.status.value = _alert(f"Something went wrong ({type(error).__name__}); please try again.")
        self._messages += 1
        self.receipt.value = f'<i data-received="{self._messages}"></i>'

    def _look_at(self, upload: "_Upload") -> None:
        """Read and name one photo, and put its card after those of the same upload."""
        if upload.number == 1:
            self._old, self._new, self._unread = self.results.children, [], 0
        self.status.value = _progress(upload.number, upload.of)
        try:
            check_size(upload.size, upload.name)
            photo = read_photo(upload.data, upload.name)
            card = PhotoCard(upload.name, upload.data, photo, self._predictor, self._send_file)
        except Exception as error:
            self._unread += 1
            card = problem_card(upload.name, error)
        self._new.append(card)
        self.results.children = (*self._new, *self._old)
        self._keep_within_limit()
        for button in (self.clear, self.archive):
            button.layout.display = ""
        if upload.number >= upload.of:
            self._hear_each_other()
            self.status.value = _summary(len(self._new), self._unread)

    def _hear_each_other(self) -> None:
        """Weigh the answers of this upload by those of photos that were taken close by."""
        cards = [card for card in self._new if isinstance(card, PhotoCard)]
        if not self._together or len(cards) < 2:
            return
        answers, moments = [card.answer for card in cards], [card.moment for card in cards]
        classes = len(self._predictor.landmarks)
        for card, revised in zip(
            cards, revise(answers, moments, self._predictor.known_threshold, classes), strict=True
        ):
            if revised.neighbours:
                card.show(revised)

    def _keep_within_limit(self) -> None:
        kept = 0
        for card in self.cards:  # the newest upload is the first
            kept += card.size
            if kept > KEPT_BYTES and card.size:
                card.forget()

    def _send_file(self, name: str, make: Callable[[], bytes]) -> None:
        """Hand a file to the browser, which saves it."""
        self._parcels(name, [make()])

    def _send_archive(self) -> None:
        """All photos that are kept, tagged, with a table, as a zip."""
        try:
            self._parcels("landmark-tagger.zip", _zipped(self.cards))
        except Exception as error:
            self.status.value = _alert(f"Something went wrong ({type(error).__name__}); please try again.")

    def _parcels(self, name: str, pieces: Iterable[bytes]) -> None:
        """Send bytes in parts that no message size stops; nothing of them stays here."""
        kind, rest = escape(media_type(name)), b""
        for piece in pieces:
            rest += piece
            while len(rest) >= PARCEL:
                self._parcel(name, kind, rest[:PARCEL], last=False)
                rest = rest[PARCEL:]
        self._parcel(name, kind, rest, last=True)
        self.parcel.value = ""

    def _parcel(self, name: str, kind: str, part: bytes, *, last: bool) -> None:
        content = base64.b64encode(part).decode("ascii")
        about = f'data-name="{escape(name)}" data-kind="{kind}" data-last="{int(last)}"'
        self.parcel.value = f"<i {about}>{content}</i>"

    def _forget(self, _button=None) -> None:
        """Drop all results."""
        for card in self.results.children:
            close_tree(card)
        self.results.children, self._new, self._old, self._unread = (), [], (), 0
        for button in (self.clear, self.archive):
            button.layout.display = "none"
        self.status.value = ""


@dataclass(frozen=True)
class _Upload:
    """One photo of the visitor's, `number` (from 1) `of` those that were chosen together."""

    name: str
    data: bytes
    size: int  # bytes of the file; more than those of `data` where it was too large to send
    number: int
    of: int


class _Inbox:
    """Puts together the photos that app.js sends in parts."""

    PART = re.compile(r"application/x-photo-part; photo=(\d+)/(\d+); part=(\d+)/(\d+); size=(\d+)")

    def __init__(self):
        self._parts: list[bytes] = []
        self._size = 0

    def photos(self, files: Sequence[dict]) -> Iterator[_Upload]:
        """The photos that are complete with these values of FileUpload."""
        for number, file in enumerate(files, 1):
            data, name = bytes(file["content"]), shown_name(file["name"])
            header = self.PART.fullmatch(file["type"])
            if header is None:
                yield _Upload(name, data, len(data), number, len(files))
                continue
            photo, of, part, parts, size = map(int, header.groups())
            if part == 1:  # what there is of an earlier photo was broken off
                self._parts, self._size = [], 0
            self._size += len(data)
            if self._size <= MAX_BYTES:  # the rest is only counted
                self._parts.append(data)
            if part >= parts:
                data, size = b"".join(self._parts), max(size, self._size)
                self._parts, self._size = [], 0
                yield _Upload(name, data, size, photo, of)


class _Spool(io.RawIOBase):
    """A file that can only be written, and gives up what it holds: a zip that nobody has to hold whole."""

    def __init__(self):
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def _zipped(cards: Sequence[PhotoCard]) -> Iterator[bytes]:
    """A zip of all photos with their tags and a table of what was found, piece by piece."""
    spool, used = _Spool(), set()
    with zipfile.ZipFile(spool, "w") as archive:  # stored: photos are compressed already
        for card in cards:
            for name, data in card.files():
                archive.writestr(_unused(name, used), data)
                yield spool.take()
        table = io.StringIO()
        write_csv(table, (card.record for card in cards))
        archive.writestr(_unused("tags.csv", used), table.getvalue())
    yield spool.take()


def _unused(name: str, used: set[str]) -> str:
    """The name, with a number where another file has it already (some systems mix up A and a)."""
    path, number, free = PurePath(name), 1, name
    while free.casefold() in used:
        number += 1
        free = f"{path.stem} ({number}){path.suffix}"
    used.add(free.casefold())
    return free


_LOGO = (
    '<svg viewBox="0 0 48 48" width="44" height="44" aria-hidden="true"><path fill="currentColor" d="M24 3'
    'c8.6 0 15.5 6.7 15.5 15.2C39.5 30 24 45 24 45S8.5 30 8.5 18.2C8.5 9.7 15.4 3 24 3Z"/><path fill="#fff" '
    'd="M24 9.5l8.5 4.9v2.1h-17v-2.1ZM17 18h2.6v7H17Zm5.7 0h2.6v7h-2.6Zm5.7 0H31v7h-2.6ZM15.5 26.5h17V29h-17'
    'Z"/></svg>'
)
_INVITATION = (
    f'<div class="lt-invitation" data-limit="{MAX_BYTES}"><svg viewBox="0 0 48 48" width="56" height="56" '
    'fill="none" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round" '
    'aria-hidden="true"><rect x="5" y="9" width="38" height="30" rx="4"/><circle cx="15" cy="18" r="3.5"/>'
    '<path d="M5 33l11-9 8 7 8-9 11 11"/></svg><p>Drop photos here</p></div>'
)
_HINT = (
    f'<p class="lt-hint">{FORMATS}, up to {MAX_BYTES // 2**20} MB each; several at once are fine.</p>'
    '<p class="lt-hint">Photos stay in the memory of this server until you clear them or close the page; '
    "none is stored.</p>"
)


def _header() -> str:
    return (
        f'<header class="lt-header">{_LOGO}<div><h1>Landmark tagger</h1>'
        "<p>Upload a holiday photo: read which landmark it shows, see where that is, and tag it.</p>"
        "</div></header>"
    )


def _alert(sentence: str) -> str:
    return f'<p class="lt-alert" role="alert">{escape(sentence)}</p>'


def _progress(number: int, of: int) -> str:
    width = 100 * (number - 0.5) / max(of, 1)
    return (
        f'<div class="lt-progress"><p>Looking at photo {number} of {of} …</p>'
        f'<div class="lt-track"><div style="width:{width:.0f}%"></div></div></div>'
    )


def _summary(photos: int, unread: int) -> str:
    sentence = f"Looked at {photos} photo{'s' if photos != 1 else ''}."
    if unread and photos > 1:
        sentence = f"{sentence[:-1]}; {unread} of them could not be read."
    elif unread:
        sentence = "This photo could not be read."
    return f'<p class="lt-summary">{sentence}</p>'


def _footer(landmarks: Sequence[Landmark]) -> str:
    """How many landmarks the model knows, and on request which, by country."""
    countries: dict[str, set[str]] = {}
    for landmark in landmarks:
        countries.setdefault(landmark.country or "Elsewhere", set()).add(landmark.name)
    sections = "".join(
        f"<section><h3>{escape(country)}</h3><ul>"
        + "".join(f"<li>{escape(name)}</li>" for name in sorted(countries[country]))
        + "</ul></section>"
        for country in sorted(countries, key=lambda country: (country == "Elsewhere", country))
    )
    return (
        f'<footer class="lt-footer"><details><summary>It knows {len(landmarks)} landmarks</summary>'
        f'<div class="lt-countries">{sections}</div></details>'
        "<p>Of any other place it should say that it does not know it. It can be wrong: look before you "
        "share.</p></footer>"
    )
