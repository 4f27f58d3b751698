"""Fixtures of the tests of `src.tag`."""

from pathlib import Path

import pytest
from tag_library import FakePredictor, photo

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
