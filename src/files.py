"""Files: read whole, written whole or not at all, with a sentence that says why where that fails."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

if sys.platform != "win32":  # there no open file can be deleted, which tells as much as a lock
    import fcntl


T = TypeVar("T")


class FileError(ValueError):
    """A file cannot be read or written; the message is one sentence that names it and the remedy."""


def exists(path: Path) -> bool:
    """Whether a file is there; raises FileError where that is kept secret."""
    with explained(path, "read"):
        return path.exists()


def read(path: Path) -> bytes:
    """The whole file; raises FileError."""
    with explained(path, "read"):
        return path.read_bytes()


def write(path: Path, data: bytes, *, replace: bool) -> None:
    """Put a file in its place at once, safe from power cuts; over another one only with `replace`.

    What a killed process left behind is for `sweep`: it lists the folder, which takes longer than all the
    rest where there are 100,000 files.

    Raises:
        FileError: it cannot be written; what was there stays.
    """
    with explained(path, "written"), replacing(path, durable=True, new=not replace, sweeps=False) as part:
        part.write_bytes(data)


@contextmanager
def replacing(path: Path, *, durable: bool = False, new: bool = False, sweeps: bool = True) -> Iterator[Path]:
    """A temporary file beside `path` to write to; it takes that place when the block ends well.

    A kill leaves the old file or the new one, never a part of one. The folder is made if need be, a link
    stays a link, and a file keeps its permissions.

    Args:
        path: the file.
        durable: let a power cut, too, leave the old file or the new one; that takes milliseconds.
        new: raise FileExistsError where a file is there already, instead of replacing it.
        sweeps: remove what killed processes left behind.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if sweeps:
        sweep(path)
    part = path.with_name(f"{_prefix(path)}{secrets.token_hex(8)}.part")  # os.replace needs the same folder
    with _held(part):
        try:
            yield part
            with suppress(FileNotFoundError):
                shutil.copymode(path, part)
            if durable:
                _to_disk(part)
            if new:
                _put_new(part, path)
            else:
                os.replace(part, path)
            if durable:
                sync_folder(path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def sweep(path: Path) -> None:
    """Remove what killed processes left of `path`, but nothing that another one is writing."""
    with suppress(OSError):
        for part in path.parent.glob(f"{_prefix(path)}*.part"):
            if _abandoned(part):
                part.unlink()


def sync_folder(path: Path) -> None:
    """Make a new, replaced or deleted name in a folder outlast a power cut, where the system can."""
    with suppress(OSError):
        _to_disk(path.parent)


def _prefix(path: Path) -> str:
    """How temporary files of `path` begin: hidden, and short enough for every file system."""
    return f".{blake2b(os.fsencode(path.name), digest_size=6).hexdigest()}-"


@contextmanager
def _held(part: Path) -> Iterator[None]:
    """Make a file and lock it; the lock is the kernel's and goes with the process, however that ends."""
    file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        if sys.platform != "win32":
            with suppress(OSError):  # some network shares know no locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    finally:
        os.close(file)
    if sys.platform == "win32":  # an open file could not be put into its place
        yield


def _abandoned(part: Path) -> bool:
    """Whether nobody holds a file; on Windows, whoever deletes it finds out."""
    if sys.platform != "win32":
        try:
            with open(part, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _put_new(part: Path, path: Path) -> None:
    try:
        os.link(part, path)  # unlike os.replace it fails where something stands already
    except FileExistsError:
        raise
    except OSError:  # memory cards (FAT) know no links
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists") from None
        os.replace(part, path)


def _to_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


_REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "the disk is full; make room and try again",
    errno.EDQUOT: "your share of the disk is used up; make room and try again",
    errno.EACCES: "permission is missing; change the permissions of the file and its folder",
    errno.EPERM: "permission is missing; change the permissions of the file and its folder",
    errno.EROFS: "the disk can only be read; use a copy on another disk",
    errno.ENAMETOOLONG: "the name is too long; give the photo a shorter one",
    errno.ENOENT: "it or its folder is not there; check the path",
    errno.EISDIR: "it is a folder; rename it",
    errno.EEXIST: "a file of this name is there; move it away or choose another name",
    errno.EBUSY: "another program is changing it; wait for its end and try again",
}
# What passes on a share in the network, or while another program has the file; not every system has them all.
_PASSING = {
    getattr(errno, name)
    for name in (
        *("EIO", "EAGAIN", "EBUSY", "EINTR", "ESTALE", "ETIMEDOUT", "ENOTCONN", "ECONNRESET", "ECONNABORTED"),
        *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET", "ENETUNREACH", "EREMOTEIO"),
    )
    if hasattr(errno, name)
}
_DEVICE = re.compile("(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *", re.IGNORECASE)  # on Windows
PAUSES = (0.2, 1.0)  # seconds before each further try


def may_pass(error: Exception) -> bool:
    """Whether a further try may succeed, as where a share in the network was away for a moment."""
    return isinstance(error, OSError) and error.errno in _PASSING


def patiently(action: Callable[[], T], passes: Callable[[Exception], bool] = may_pass) -> T:
    """What `action` gives, which is tried up to three times as long as its error may pass."""
    for pause in PAUSES:
        try:
            return action()
        except Exception as error:
            if not passes(error):
                raise
        time.sleep(pause)
    return action()


@contextmanager
def explained(path: Path, done: str) -> Iterator[None]:
    """Turn what the system says into a FileError: `path` cannot be `done`, why, and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno, f"{error.strerror or error}; check the disk and try again")
        raise FileError(f"{shown_name(path.name)} cannot be {done}: {remedy}.") from error


def shown_name(name: str) -> str:
    """The last part of a file's name on one line, without characters that hide or reorder text."""
    name = printable(name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip())
    if len(name) > 80:
        name = f"{name[:60]}…{name[-16:]}"
    return name or "photo"


def safe_name(text: str) -> str:
    """A text as the name of a file or folder that every file system takes, and none hides.

    See Microsoft's "Naming Files, Paths, and Namespaces"; 255 bytes are the most elsewhere.
    """
    name = re.sub(r'[<>:"/\\|?*]', "-", printable(unicodedata.normalize("NFC", text)))
    name = name.encode()[:200].decode(errors="ignore").strip(" .")
    return f"{name or 'photos'}_" if not name or _DEVICE.fullmatch(name.partition(".")[0]) else name


def printable(text: str) -> str:
    """The text on one line, without characters that hide or reorder it or steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
