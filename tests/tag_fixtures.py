"""Fixtures of the tests of `src.tag`."""

from pathlib import Path

import pytest
from tag_library import FakePredictor, PlacePredictor, photo, view
from tag_own_library import ORANGE, PINK, Colours

from src.inference.predictor import Predictor


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setattr(Predictor, "load", lambda path: FakePredictor())
    monkeypatch.setattr(FakePredictor, "asked", 0)
    monkeypatch.chdir(tmp_path)
    Path("model.pt").write_bytes(b"a model")
    return FakePredictor


@pytest.fixture
def library(tmp_path, fake):
    """Four photos in two folders, and a text."""
    folder = tmp_path / "library"
    photo(folder / "a.jpg", "red")
    photo(folder / "b.png", "green", kind="PNG")
    photo(folder / "below" / "a.jpg", "blue")
    photo(folder / "below" / "nothing.webp", "gray", kind="WEBP")
    (folder / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture
def places(tmp_path, fake, monkeypatch):
    """Ten photos of each of two places that are not known, thirty of none, and one of the Taj Mahal."""
    monkeypatch.setattr(Predictor, "load", lambda path: PlacePredictor())
    folder = tmp_path / "library"
    for number in range(10):
        view(folder / f"house{number}.png", 1, number)
        view(folder / f"church{number}.png", 2, number)
    for number in range(30):
        view(folder / f"other{number}.png", 0, number)
    photo(folder / "taj.jpg", "red")
    return folder


@pytest.fixture
def album(library, monkeypatch):
    """The library with four pink photos and two orange ones, of which the network knows none."""
    monkeypatch.setattr(Predictor, "load", lambda path: Colours())
    monkeypatch.setattr(Colours, "asked", 0)
    for number in range(4):
        photo(library / f"pink{number}.jpg", PINK, side=60 + number)
    for number in range(2):
        photo(library / f"orange{number}.jpg", ORANGE, side=70 + number)
    return library
