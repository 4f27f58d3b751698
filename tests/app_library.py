"""What the tests of the app's widgets share: a network that always says the same, and what the page shows."""

import datetime
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
        self.known_threshold, self.info = 0.5, {"architecture": {"model": "fake"}}
        self.seen = []

    def heat(self, picture):
        return np.array([[1.0, 0.0], [0.0, 0.0]])

    def predict(self, pictures):
        self.seen += pictures
        rest = [(1 - self.best) / 4] * 4
        guesses = [Guess(*pair) for pair in zip(self.landmarks, [self.best, *rest], strict=True)]
        return [Answer(tuple(guesses), self.known, self.known >= self.known_threshold) for _ in pictures]


def chosen(*files):
    """FileUpload's value as the browser sends it: (name, bytes) or (name, bytes, type)."""
    now = datetime.datetime.now(datetime.UTC)
    return tuple(
        {
            "name": name,
            "type": kind[0] if kind else "image/jpeg",
            "size": len(data),
            "content": memoryview(data),
            "last_modified": now,
        }
        for name, data, *kind in files
    )


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
