"""Whole files: read and written at once or not at all, with a sentence when that fails."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from src.photos.decode import PhotoError, check_size, shown_name
from src.photos.xmp import MetadataError

TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")  # names of files that `write` has not put in their place


def exists(path: Path) -> bool:
    """Whether a file is there; raises MetadataError where that is kept secret."""
    with explained(path, "read"):
        return path.exists()


def read(path: Path) -> bytes:
    """The whole file; raises MetadataError."""
    with explained(path, "read"):
        check_file_size(max(1, path.stat().st_size), path.name)  # that it is empty is for its reader to say
        return path.read_bytes()


def write(path: Path, data: bytes, *, replace: bool) -> None:
    """Put the file in its place at once, safe from power cuts; over another file only with `replace`."""
    with explained(path, "written"):
        path = Path(os.path.realpath(path))  # a link stays a link
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # same folder: os.replace needs that
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                shutil.copymode(path, temporary)
                os.replace(temporary, path)
            else:
                _put_new(temporary, path)
            sync_folder(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _put_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike os.replace it fails where something stands already
    except FileExistsError:
        raise
    except OSError:  # memory cards (FAT) know no links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists") from None
        os.replace(temporary, path)


def sync_folder(path: Path) -> None:
    """Make a new, replaced or deleted name in a folder outlast a power cut, where the system can."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room and try again",
    errno.EDQUOT: "your share of the disk is used up; make room and try again",
    errno.EACCES: "permission is missing; change the permissions of the file and its folder",
    errno.EPERM: "permission is missing; change the permissions of the file and its folder",
    errno.EROFS: "the disk can only be read; use a copy on another disk",
    errno.ENAMETOOLONG: "the name is too long; give the photo a shorter one",
    errno.ENOENT: "it or its folder is not there; check the path",
    errno.EISDIR: "it is a folder; rename it",
    errno.EEXIST: "a file of this name is there; move it away or choose another name",
}


@contextmanager
def explained(path: Path, done: str) -> Iterator[None]:
    """Turn what the system says into a MetadataError: `path` cannot be `done`, why, and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno, f"{error.strerror or error}; check the disk and try again")
        raise MetadataError(f"{shown_name(path.name)} cannot be {done}: {remedy}.") from error


def check_file_size(size: int, name: str) -> None:
    """Raise MetadataError for a file that is empty or too large to read."""
    try:
        check_size(size, name)
    except PhotoError as error:
        raise MetadataError(str(error)) from error
