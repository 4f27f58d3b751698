"""What the tests of the app's widgets share: a model that always says the same, and what the page shows."""

import re

import ipywidgets
import numpy as np

from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

TAJ = Landmark("10.Taj_Mahal", "Taj Mahal", "Agra", "India", "IN", 27.1751, 78.0421, 0.6, tags=("mausoleum",))
OTHERS = [
    Landmark("03.Eiffel_Tower", "Eiffel Tower", "Paris", "France"),
    Landmark("17.Hawa_Mahal", "Hawa Mahal", "Jaipur", "India"),
    Landmark("09.Stonehenge", "Stonehenge", "Wiltshire", "United Kingdom"),
    Landmark("50.Nowhere", "<b>Nowhere</b>"),
]


class FakePredictor:
    """Always the Taj Mahal, surely or not."""

    def __init__(self, known=0.9, best=0.93):
        self.landmarks = [TAJ, *OTHERS]
        self.known, self.best = known, best
        self.known_threshold, self.short_side = 0.5, 640
        self.info = {"architecture": {"model": "fake"}}
        self.space_id = ""
        self.seen = []

    def heat(self, picture):
        return np.array([[1.0, 0.0], [0.0, 0.0]])

    def predict(self, pictures):
        self.seen += pictures
        rest = [(1 - self.best) / 4] * 4
        guesses = [Guess(*pair) for pair in zip(self.landmarks, [self.best, *rest], strict=True)]
        return [Answer(tuple(guesses), self.known, self.known >= self.known_threshold) for _ in pictures]


def send(app, *files, photo=1, of=None):
    """Send (name, bytes) files as the page's script does, as photos `photo` and on of `of`."""
    of = of or photo + len(files) - 1
    for number, (name, data) in enumerate(files, photo):
        send_part(app, data, name=name, photo=number, of=of)


def send_part(app, data, **about):
    """One message of the page's script; by default it is a whole photo."""
    whole = {"name": "big.jpg", "size": len(data), "photo": 1, "of": 1, "part": 1, "parts": 1}
    app.area._handle_custom_msg(whole | about, [memoryview(data)])


def sent(app, monkeypatch):
    """A list that what the page's script is sent is added to: contents and buffers of messages."""
    messages = []
    monkeypatch.setattr(
        app.area, "send", lambda content, buffers=(): messages.append((content, [*map(bytes, buffers)]))
    )
    return messages


def inside(widget):
    """All widgets in a widget, itself first."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from inside(child)


def cards(app):
    """The HTML of each card, with its classes."""
    return [
        " ".join(
            [
                *card._dom_classes,
                *(
                    part.value
                    for part in inside(card)
                    if hasattr(part, "_dom_classes") and isinstance(part, ipywidgets.HTML)
                ),
            ]
        )
        for card in app.results.children
    ]


def button(app, label):
    [found] = [part for part in inside(app) if getattr(part, "description", "") == label]
    return found


def text(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())
