"""What the tests of `src.teach` share: photos of one colour each, and what was learned of them."""

from pathlib import Path

import numpy as np
from conftest import encode
from metadata_samples import gps
from PIL import Image

from src.inference.own import Own
from src.inference.own_file import load_any, load_own
from src.inference.predictor import Predictor
from src.inference.report import answer_report, final_answers, read_report

YELLOW, PINK, RED = (235, 235, 30), (235, 30, 235), (235, 30, 30)
FILE = Path("my_landmarks.npz")


def photo(path, colour=YELLOW, seed=0, at=None):
    """A photo of one colour with noise, and perhaps where it was taken, in whole degrees."""
    noise = np.random.default_rng(seed).integers(-20, 20, (48, 64, 3))
    picture = Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    if at:
        exif[0x8825] = gps(*at)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(picture, exif=exif))
    return path


def landmarks(path=FILE):
    return load_any(Path(path))[1]


def named(tiny_export, colour, path=FILE):
    """What a photo is named with the own landmarks of the file."""
    predictor = Predictor.load(tiny_export)
    taught = load_own(path, predictor.space_id)
    own = Own.beside(predictor, taught)
    data = photo(Path("asked.jpg"), colour, seed=99).read_bytes()
    report = answer_report(read_report(data, "asked.jpg", short_side=64, thumbnail_side=1), predictor)
    [found] = final_answers([report], predictor.known_threshold, 3, own=own)
    return found.answer.guesses[0].landmark.name if found.answer.recognised else None
