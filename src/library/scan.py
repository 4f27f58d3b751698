"""The photos of a folder and of all folders below it: finding them, and reading them ahead of time."""

import hashlib
import io
import logging
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm import tqdm

from src.photos.decode import PhotoError, read_photo, shown_name
from src.photos.files import explained, read
from src.photos.read_metadata import read_gps, read_time
from src.photos.xmp import MetadataError

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
class Found:
    """A file that is called like a photo, or what cannot be looked into: then `error` says why."""

    path: str  # absolute; bytes that are no UTF-8 as surrogates, as everywhere in Python
    size: int = 0  # bytes
    mtime_ns: int = 0
    error: str = ""


@dataclass(frozen=True)
class Photo:
    """A photo as it was read, once, from its file."""

    hash: str  # BLAKE2 of the whole file
    picture: Image.Image | None  # as `src.photos.decode.read_photo` gives it; None if left on another machine
    thumbnail: bytes  # JPEG
    time: datetime | None  # by the camera's clock
    place: tuple[float, float] | None  # where the camera stood: latitude, longitude in degrees, WGS84


def find_photos(root: Path, *, without: Path | None = None, others: Counter | None = None) -> Iterator[Found]:
    """All photos below `root`, by their names; hidden files and folders (".thumbnails", "._1.jpg") are not.

    Links are followed, but no folder is looked through twice, so a link that leads back ends nothing.

    Args:
        root: the folder.
        without: a folder to leave out.
        others: counts, by suffix, the files that are passed over.
    """
    waiting, links = [os.fspath(root.resolve())], deque()
    seen = {_identity(without)} if without and without.exists() else set()
    while waiting or links:  # links last, so that a photo goes by the name of its real folder
        linked = not waiting
        folder = links.popleft() if linked else waiting.pop()
        try:
            identity = _identity(folder)
            if identity in seen:
                if linked:
                    logger.warning(
                        "%s leads to a folder that is looked through anyway; not followed.", printable(folder)
                    )
                continue
            seen.add(identity)
            entries = _entries(folder)
        except MetadataError as error:
            yield Found(folder, error=str(error))
            continue
        for entry in entries:
            if _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(entry.path)
            elif entry.name.lower().endswith(SUFFIXES):
                yield _found(entry.path)
            elif others is not None:
                others[printable(Path(entry.name).suffix.lower()) or "no suffix"] += 1


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


def read_file(path: str) -> bytes:
    """A whole file of this machine; raises MetadataError."""
    return read(Path(path))


def read_or_error(path: str, short_side: int, read: Callable[[str], bytes] = read_file) -> Photo | str:
    """`read_whole`, or a sentence on what is wrong with the file."""
    try:
        return read_whole(path, short_side, read)
    except (PhotoError, MetadataError) as error:
        return str(error)


def read_whole(path: str, short_side: int, read: Callable[[str], bytes] = read_file) -> Photo:
    """Read a photo, shrunk to that short side in pixels, and what it says of itself.

    Args:
        path: the file.
        short_side: pixels.
        read: gives the whole file, or raises MetadataError.

    Raises:
        MetadataError: the file cannot be read.
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


def printable(text: str) -> str:
    """The text on one line, without characters that hide or reorder it or steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _identity(path: str | Path) -> tuple[int, int]:
    with explained(Path(path), "read"):
        status = Path(path).stat()
    return status.st_dev, status.st_ino


def _entries(folder: str) -> list[os.DirEntry]:
    with explained(Path(folder), "read"), os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False


def _found(path: str) -> Found:
    try:
        with explained(Path(path), "read"):
            status = Path(path).stat()
    except MetadataError as error:
        return Found(path, error=str(error))
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
        return Found(path, error=f"{shown_name(path)} is no ordinary file; rename or remove it.")
    return Found(path, status.st_size, status.st_mtime_ns)
