"""What the tests of `src.tag` share: a little library, and a network that goes by colours."""

import csv
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
from conftest import encode
from metadata_samples import gps
from PIL import Image

from src import tag
from src.inference.answers import Answering
from src.inference.space import Space, packed, unit
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import describe

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200), "gray": (120, 120, 120)}
LANDMARKS = [describe(name) for name in ("00.Taj_Mahal", "01.Eiffel_Tower", "02.Hawa_Mahal")]


class FakePredictor(Answering):
    """Takes red for the Taj Mahal, green for the Eiffel Tower, blue for the Hawa Mahal, gray for none."""

    info = {"architecture": {"model": "fake"}, "fingerprint": "abcdef0123"}
    known_threshold = 0.6
    short_side = 336
    asked = 0

    def __init__(self):
        self.landmarks = list(LANDMARKS)

    @property
    def digest(self):
        return sha256(Path("model.pt").read_bytes()).hexdigest()

    def predict(self, pictures):
        return [self.answer(picture) for picture in pictures]

    def answer(self, picture):
        type(self).asked += 1
        colour = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        shares = [value**2 / sum(other**2 for other in colour) for value in colour]
        pairs = sorted(zip(self.landmarks, shares, strict=True), key=lambda pair: -pair[1])
        guesses = tuple(Guess(landmark, share) for landmark, share in pairs)
        return Answer(guesses, guesses[0].probability, guesses[0].probability >= self.known_threshold)


def seen(place, number):
    """Features of a photo: those of one place are alike; 0 is no place, where photos differ."""
    own = np.random.default_rng((place, number + 1)).random(256)
    common = np.random.default_rng(place).random(256)
    return packed((0.5 * common + 0.5 * own if place else own).astype(np.float32))


def plain_space(width=256):
    """A space that shrinks no direction, for features between 0 and 1."""
    center = unit(np.full(width, 0.5, np.float32))
    nothing = np.zeros((width, 1), np.float32), np.ones(1, np.float32)
    return Space(center, *nothing, np.zeros((3, width), np.float32), *[np.zeros((0, width), np.float32)] * 2)


class PlacePredictor(FakePredictor):
    """Sees places that it does not know in dark photos, as `view` paints them."""

    info = FakePredictor.info | {"own_space": "a space"}

    def space(self):
        return plain_space()

    def answer(self, picture):
        place, number, dark = picture.getpixel((0, 0))
        if dark != 9:
            return super().answer(picture)
        guesses = tuple(Guess(landmark, 0.05) for landmark in self.landmarks)
        return Answer(guesses, 0.05, False, seen(place, number))


def view(path, place, number):
    """A photo that `PlacePredictor` takes for one of this place."""
    return photo(path, (place, number, 9), kind="PNG")


def photo(path, colour="red", time=None, kind="JPEG", side=64, at=None):
    exif = Image.Exif()
    if time:
        exif.get_ifd(0x8769)[0x9003] = time
    if at:
        exif[0x8825] = gps(*at)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"exif": exif} if time or at else {}
    path.write_bytes(encode(Image.new("RGB", (side, side), COLOURS.get(colour, colour)), kind, **options))
    return path


def run(*arguments):
    return tag.main([str(argument) for argument in ("--model", "model.pt", *arguments)])


def table(path="tags.csv"):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    """All files below a folder with their bytes and times."""
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file() and os.access(path, os.R_OK))
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
