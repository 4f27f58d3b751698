"""The photos of a folder and of all folders below it: finding them, and reading them ahead of time."""

import hashlib
import io
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from src.photos.decode import read_photo
from src.photos.errors import UNUSABLE, MetadataError
from src.photos.files import read_photo_file
from src.photos.read_metadata import read_gps, read_time

SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".png",
    ".webp",
    ".gif",
    ".heic",
    ".heif",
)  # `FORMATS`
THUMBNAIL_SIDE = 240  # pixels, at most, the longer side

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photo:
    """A photo as it was read, once, from its file."""

    hash: str  # BLAKE2 of the whole file
    picture: Image.Image | None  # as `src.photos.decode.read_photo` gives it; None if left on another machine
    thumbnail: bytes  # JPEG
    time: datetime | None  # by the camera's clock
    place: tuple[float, float] | None  # where the camera stood: latitude, longitude in degrees, WGS84


def ahead(jobs: Iterable[tuple[T, Future]], count: int) -> Iterator[tuple[T, object]]:
    """Each job's name and result in their order, while up to `count` more are under way."""
    waiting = deque()
    for job in jobs:
        waiting.append(job)
        if len(waiting) > count:
            name, future = waiting.popleft()
            yield name, future.result()
    for name, future in waiting:
        yield name, future.result()


def read_or_error(path: str, short_side: int, read: Callable[[str], bytes] = read_photo_file) -> Photo | str:
    """`read_whole`, or a sentence on what is wrong with the file."""
    try:
        return read_whole(path, short_side, read)
    except UNUSABLE as error:
        return str(error)


def read_whole(path: str, short_side: int, read: Callable[[str], bytes] = read_photo_file) -> Photo:
    """Read a photo, shrunk to that short side in pixels, and what it says of itself.

    Args:
        path: the file.
        short_side: pixels.
        read: gives the whole file, or raises FileError.

    Raises:
        FileError: the file cannot be read.
        PhotoError: it is no photo.
    """
    data = read(path)
    picture = read_photo(data, path, short_side)
    thumbnail = picture.reduce(-(-max(picture.size) // THUMBNAIL_SIDE))  # rounded up
    file = io.BytesIO()
    thumbnail.save(file, "JPEG", quality=70)
    try:
        time, place = read_time(data), read_gps(data)
    except MetadataError:  # the picture could be read, and that is what counts
        time = place = None
    return Photo(hashlib.blake2b(data, digest_size=16).hexdigest(), picture, file.getvalue(), time, place)


def progress(steps: Iterable[T] | None, total: int | None) -> tqdm:
    """A progress bar with photos per second in a terminal; nothing in a log or with ``TQDM_DISABLE``."""
    # `src.training.distributed.progress_bar` would do, but with it comes torch, and that takes a second.
    return tqdm(steps, total=total, unit="photo", disable=bool(os.environ.get("TQDM_DISABLE")) or None)
