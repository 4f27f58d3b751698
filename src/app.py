"""The widgets of app.ipynb: upload photos, read which landmark each of them shows.

`show(export)` is all that the notebook calls. The page is made of ipywidgets, so it runs under Voila and
in any Jupyter. `app.css` gives it its looks. `app.js` adds drag and drop and sends large photos in parts, as
a Jupyter server cuts the connection at a message over 10 MB unless its settings say otherwise; without the
script the browser sends each upload whole.
"""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import ipywidgets as widgets
from IPython.display import HTML, display
from PIL import Image

from src.landmarks import Landmark
from src.photos import FORMATS, MAX_BYTES, PhotoError, check_size, read_photo, shown_name
from src.predictor import Answer, Predictor

# Read at import: in a standalone folder the modules are gone once they are imported.
STYLE, SCRIPT = (Path(__file__).with_name(name).read_text("utf-8") for name in ("app.css", "app.js"))

THUMBNAIL = 640  # pixels, long side of the picture that goes back to the browser


def show(export: str | Path) -> None:
    """Display the page for an exported model; what keeps it from working is said in the page."""
    display(HTML(f"<style>{STYLE}</style><script>{SCRIPT}</script>"))
    display(make_app(export))


def make_app(export: str | Path) -> widgets.Widget:
    """The page as a widget: the app, or one sentence when the model cannot be loaded."""
    try:
        return LandmarkApp(Predictor.load(export))
    except (FileNotFoundError, ValueError) as error:
        sentence = str(error)
    except Exception as error:  # a visitor gets a sentence, never a traceback
        sentence = f"The model {export} cannot be loaded ({type(error).__name__}); export it again."
    return _classed(widgets.VBox([widgets.HTML(_header()), widgets.HTML(_alert(sentence))]), "lt-app")


class LandmarkApp(widgets.VBox):
    """Upload box, progress and results of one visitor.

    A photo is forgotten as soon as its answer is shown; only a small picture stays until "Clear results".
    """

    def __init__(self, predictor: Predictor):
        self.upload = widgets.FileUpload(
            accept="image/*,.heic,.heif", multiple=True, description="Choose photos", icon="", tooltip=""
        )
        self.status = _classed(widgets.HTML(), "lt-status")
        self.clear = _classed(widgets.Button(description="Clear results"), "lt-clear")
        self.results = _classed(widgets.VBox(), "lt-results")
        self.receipt = _classed(widgets.HTML(), "lt-receipt")  # app.js waits for it to change
        self._predictor = predictor
        self._inbox = _Inbox()
        self._messages = 0
        self._new: list[widgets.HTML] = []  # cards of the upload under way, in its order
        self._old: tuple[widgets.HTML, ...] = ()  # cards of the uploads before
        self._unread = 0

        self.upload.observe(self._receive, "value")
        self.clear.on_click(self._forget)
        box = [widgets.HTML(_INVITATION), self.upload, widgets.HTML(_HINT)]
        super().__init__(
            [
                widgets.HTML(_header()),
                _classed(widgets.VBox(box), "lt-drop"),
                self.receipt,
                _classed(widgets.HBox([self.status, self.clear]), "lt-bar"),
                self.results,
                widgets.HTML(_footer(predictor.landmarks)),
            ]
        )
        self.add_class("lt-app")
        self._forget()

    def _receive(self, change) -> None:
        """Deal with what the browser sent; every message is answered by a new receipt."""
        files = change["new"]
        if not files:
            return
        self.upload.value = ()  # nothing is kept, and the same file may come again
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
            [answer] = self._predictor.predict([photo])
            card = _answer_card(upload.name, photo, answer)
        except Exception as error:
            self._unread += 1
            card = _problem_card(upload.name, error)
        self._new.append(_classed(widgets.HTML(card), "lt-result"))
        self.results.children = (*self._new, *self._old)
        self.clear.layout.display = ""
        if upload.number >= upload.of:
            self.status.value = _summary(len(self._new), self._unread)

    def _forget(self, _button=None) -> None:
        """Drop all results."""
        for card in self.results.children:
            card.close()
        self.results.children, self._new, self._old, self._unread = (), [], (), 0
        self.clear.layout.display = "none"
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


def _classed(widget: widgets.DOMWidget, name: str) -> widgets.DOMWidget:
    """The widget with a class for app.css and app.js."""
    widget.add_class(name)
    return widget


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
    '<p class="lt-hint">Photos stay in memory on this server while you look at them; nothing is kept.</p>'
)


def _header() -> str:
    return (
        f'<header class="lt-header">{_LOGO}<div><h1>Landmark tagger</h1>'
        "<p>Upload a holiday photo and read which landmark it shows.</p></div></header>"
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


def _answer_card(name: str, photo: Image.Image, answer: Answer) -> str:
    """What the page shows of one photo. Only a recognised landmark makes a headline."""
    best = answer.guesses[0]
    if answer.recognised:
        kind, caption = "known", "The five likeliest" if len(answer.guesses) == 5 else "The likeliest"
        headline = f"<h2>{escape(best.landmark.title)}</h2>"
    else:
        kind, caption = "unknown", "What is closest"
        headline = (
            f"<h2>No landmark that I know.</h2><p>It looks most like {escape(best.landmark.name)}, "
            f"but I am not sure enough to say so ({_percent(answer.known)}).</p>"
        )
    bars = "".join(_bar(guess.landmark, guess.probability) for guess in answer.guesses)
    return (
        f'<article class="lt-card lt-{kind}"><figure><div class="lt-photo">{_thumbnail(name, photo)}</div>'
        f"<figcaption>{escape(name)}</figcaption></figure><div>{headline}"
        f'<h3>{caption}</h3><ol class="lt-guesses">{bars}</ol></div></article>'
    )


def _bar(landmark: Landmark, probability: float) -> str:
    place = f" <small>{escape(landmark.place)}</small>" if landmark.place else ""
    return (
        f"<li><span>{escape(landmark.name)}{place}</span><b>{_percent(probability)}</b>"
        f'<div class="lt-track"><div style="width:{100 * probability:.1f}%"></div></div></li>'
    )


def _problem_card(name: str, error: Exception) -> str:
    if isinstance(error, PhotoError):
        sentence = str(error)
    else:
        sentence = f"{name} could not be looked at ({type(error).__name__}); try another photo."
    return (
        '<article class="lt-card lt-problem"><div><h2>This photo could not be read</h2>'
        f"<p>{escape(sentence)}</p></div></article>"
    )


def _percent(probability: float) -> str:
    """Whole percent; a model is never quite sure, so 0 and 100 are not among them."""
    if probability < 0.01:
        return "< 1 %"
    if probability > 0.99:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def _thumbnail(name: str, photo: Image.Image) -> str:
    """An <img> of the photo made small: the original never goes back to the page."""
    small = photo.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=82)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    size = f'width="{small.width}" height="{small.height}"'
    shape = ' class="lt-portrait"' if small.height > small.width else ""
    return f'<img{shape} {size} alt="Your photo {escape(name)}" src="data:image/jpeg;base64,{data}">'


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
