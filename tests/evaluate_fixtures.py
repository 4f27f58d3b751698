"""Fixtures of the tests of `src.evaluate`."""

import pytest
from by_colour import COLOURS, write_export
from PIL import Image


@pytest.fixture
def export(tmp_path):
    return write_export(tmp_path / "by_colour.pt", unknown_learnt=[])


@pytest.fixture
def data(tmp_path):
    """Three classes of five photos in four sizes; one of blue shows red."""
    for split in ("train", "test"):
        for name, colour in COLOURS.items():
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number, size in enumerate([(40, 60), (60, 40), (60, 40), (50, 50), (33, 80)]):
                wrong = name == "02.Blue_Tower" and number == 0
                fill = COLOURS["00.Red"] if wrong else colour
                Image.new("RGB", size, fill).save(folder / f"{number}.jpg")
    unknown = tmp_path / "unknown" / "deep"
    unknown.mkdir(parents=True)
    Image.new("L", (64, 48), 128).save(unknown / "gray.png")
    Image.new("RGB", (48, 64), "white").save(unknown.parent / "white.webp")
    (unknown / "notes.txt").write_text("no picture")
    return tmp_path / "data"
