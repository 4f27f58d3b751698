"""Photo files of this machine: finding them in folders, and reading one whole."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from src.files import FileError, explained, patiently, printable, shown_name
from src.photos.decode import check_size
from src.photos.formats import SUFFIXES, format_of

logger = logging.getLogger(__name__)

ALBUM_LIST = ".landmark-album.json"  # in a folder of links to photos, which is not looked through

_NO_PHOTOS = {  # folders in which systems keep thumbnails, or what was deleted
    *("@eadir", "#recycle", "#snapshot"),  # Synology
    *("@recycle", "@recently-snapshot"),  # QNAP
    *("$recycle.bin", "system volume information", "lost+found"),  # Windows, Linux
}
_LIBRARIES = (  # of Apple's Photos, iPhoto and Aperture, and of Lightroom, which alone may put files there
    *(".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary"),
    *(".lrdata", ".lrlibrary"),
)


@dataclass(frozen=True)
class Found:
    """A file that is called like a photo, or what cannot be looked into: then `error` says why."""

    path: str  # absolute; bytes that are no UTF-8 as surrogates, as everywhere in Python
    size: int = 0  # bytes
    mtime_ns: int = 0
    error: str = ""


def find_photos(
    root: Path, *, without: Path | None = None, passed_over: Counter | None = None
) -> Iterator[Found]:
    """All photos below `root`, by their names; what `is_hidden` is not.

    Links are followed, but no folder is looked through twice, so a link that leads back ends nothing.
    Neither is an album, which only leads to photos, nor the library of another program.

    Args:
        root: the folder.
        without: a folder to leave out.
        passed_over: counts, by suffix, the files that are passed over.
    """
    waiting, links = [os.fspath(root.resolve())], deque[str]()
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
        except FileError as error:
            yield Found(folder, error=str(error))
            continue
        for entry in entries:
            if _is_folder(entry) and is_library(entry.name):
                logger.warning(
                    "%s is the library of another program; not looked through. Export photos from there.",
                    printable(entry.path),
                )
            elif _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(entry.path)
            elif _is_still_called_film(entry) or called_like_photo(entry.name, passed_over):
                yield _found(entry.path)


def is_hidden(name: str) -> bool:
    """Whether what is called so is passed over: ".thumbnails", "._1.jpg", "@eaDir", "$RECYCLE.BIN"."""
    return name.startswith(".") or name.lower() in _NO_PHOTOS


def is_library(name: str) -> bool:
    """Whether a folder is called like the library of another program."""
    return name.lower().endswith(_LIBRARIES)


def called_like_photo(name: str, passed_over: Counter | None) -> bool:
    """Whether a file's name ends like that of a photo; else it is counted in `passed_over`, by suffix."""
    if name.lower().endswith(SUFFIXES):
        return True
    if passed_over is not None:
        passed_over[printable(PurePath(name).suffix.lower()) or "no suffix"] += 1
    return False


def _is_still_called_film(entry: os.DirEntry) -> bool:
    """Whether a file ends in .MOV as films do and is a HEIC picture, as phones name some of Live Photos."""
    if not entry.name.lower().endswith(".mov"):
        return False
    try:
        with open(entry.path, "rb") as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and format_of(file.read(64)) == "HEIF"
    except OSError:
        return False


def read_photo_file(path: str | Path) -> bytes:
    """A whole photo file.

    Raises:
        FileError: it cannot be read.
        PhotoError: it is larger than any photo that is read.
    """
    path = Path(path)
    with explained(path, "read"):
        return patiently(lambda: _whole(path))


def _whole(path: Path) -> bytes:
    """The same, but raises OSError; one with EBUSY where the file changes meanwhile."""
    before = path.stat()
    check_size(max(1, before.st_size), path.name)  # that it is empty is for its reader to say
    data, after = path.read_bytes(), path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    return data


def _status(path: str | Path) -> os.stat_result:
    path = Path(path)
    with explained(path, "read"):
        return patiently(path.stat)


def _identity(path: str | Path) -> tuple[int, int]:
    status = _status(path)
    return status.st_dev, status.st_ino


def _entries(folder: str) -> list[os.DirEntry]:
    def listed() -> list[os.DirEntry]:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        if any(entry.name == ALBUM_LIST for entry in found):
            return []
        return [entry for entry in found if not is_hidden(entry.name)]

    with explained(Path(folder), "read"):
        return patiently(listed)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False


def _found(path: str) -> Found:
    try:
        status = _status(path)
    except FileError as error:
        return Found(path, error=str(error))
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
        return Found(path, error=f"{shown_name(path)} is no ordinary file; rename or remove it.")
    return Found(path, status.st_size, status.st_mtime_ns)
