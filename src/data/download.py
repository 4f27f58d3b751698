"""Fetch the default data set: resumed after a cut, checked before use, in place only when whole.

While this runs, `landmark_images.part/` stands beside `landmark_images/`, with `data.zip` (what has
come), `data.json` (of which version of which file), `unpacking/` (worth nothing after a kill) and
`unpacked/` (whole and checked, only to be moved). Each step ends with one rename, so whatever a
killed run left is finished by the next one.
"""

import errno
import json
import logging
import os
import shutil
import stat
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

from src.data.errors import DataError
from src.photos.formats import SUFFIXES

if sys.platform != "win32":  # which has no flock: one download at a time is up to the user there
    import fcntl

URL = "https://udacity-dlnfd.s3-us-west-1.amazonaws.com/datasets/landmark_images.zip"  # 750 MB
TIMEOUT = 30  # seconds without a byte
TRIES = 3  # in a row without getting any further
PAUSE = 1  # seconds before the second try, twice that before the third
MAX_BYTES = 4 << 30  # of the zip, and unpacked; five times the data set
MAX_FILES = 100_000  # the data set has 6,246 pictures
SPLITS = ("train", "test")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


def download_data_set(folder: Path, url: str = URL, *, progress: bool = True, classes: int = 50) -> Path:
    """Download the zip at `url`, put its `train` and `test` into `folder` and return `folder`.

    Does nothing when both are there; keeps what else is in `folder`; continues what an earlier run
    left; waits while another process does the same. `train` and `test` must each have pictures of
    the same `classes` classes. Raises DataError, with `folder` as it was, when the zip cannot be
    had, is damaged or unsafe, or holds something else.
    """
    target = Path(folder).resolve()  # the place a link leads to: a rename cannot change the disk
    work = (target if target.is_mount() else target.parent) / f"{target.name}.part"
    lock = work.with_suffix(".lock.part")
    try:
        if not _is_whole(target) or work.exists() or lock.exists():
            work.parent.mkdir(parents=True, exist_ok=True)
            with _locked(lock):
                while not _is_whole(target):
                    _complete(target, work, url, progress, classes)
                shutil.rmtree(work, ignore_errors=True)
    except (OSError, ValueError, HTTPException, DataError) as error:
        reason = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
        raise DataError(
            f"The landmark pictures could not be fetched from {url} ({reason}): try again, set "
            f"LANDMARK_IMAGES to a folder that holds train/ and test/, or put these into {folder}."
        ) from error
    return Path(folder)


def _is_whole(folder: Path) -> bool:
    """Whether train and test are there; placeholders without a class folder do not count.

    Neither do hidden folders, as Jupyter makes them.
    """

    def has_class(side: Path) -> bool:
        entries = side.iterdir() if side.is_dir() else ()
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in entries)

    return all(has_class(folder / split) for split in SPLITS)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file; the lock is the kernel's, so a killed process does not keep it."""
    held = False
    while not held:
        with path.open("a") as file:
            _lock(file)
            with suppress(FileNotFoundError):  # the holder before may have deleted this very file
                held = os.path.samestat(os.fstat(file.fileno()), path.stat())
            if held:
                try:
                    yield
                finally:
                    with suppress(PermissionError):  # Windows deletes no open file
                        path.unlink(missing_ok=True)


def _lock(file: IO[str]) -> None:
    if sys.platform != "win32":
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("Waiting for another process that is fetching the pictures")
            fcntl.flock(file, fcntl.LOCK_EX)


def _complete(target: Path, work: Path, url: str, progress: bool, classes: int) -> None:
    """Download and unpack, unless an earlier run has, and move train and test to `target`."""
    archive, unpacked = work / "data.zip", work / "unpacked"
    if not unpacked.exists():
        if not url.startswith(("https://", "http://")):
            raise DataError("the address must begin with https://")
        for side in (target / split for split in SPLITS):
            if side.exists() and any(side.iterdir()):
                raise DataError(f"{side} is there without the rest and has to be moved away first")
        work.mkdir(exist_ok=True)
        try:
            _fetch(url, archive, progress)
            _unpack(archive, unpacked, progress, classes)
        except DataError:
            shutil.rmtree(work)  # going on with this file would only end here again
            raise
        finally:
            with suppress(OSError):  # goes when it is empty: offline, nothing stays behind
                work.rmdir()
    archive.unlink(missing_ok=True)
    target.mkdir(exist_ok=True)
    for split in SPLITS:
        if (unpacked / split).exists():  # else an earlier run was killed after moving it
            with suppress(FileNotFoundError):
                (target / split).rmdir()  # an empty placeholder; anything else is an error
            os.replace(unpacked / split, target / split)
    unpacked.rmdir()


def _fetch(url: str, archive: Path, progress: bool) -> None:
    """Download `url` to `archive`; after a cut go on, as long as that gets any further."""
    failures = furthest = 0
    while True:
        try:
            return _fetch_once(url, archive, progress)
        except (OSError, HTTPException) as error:
            full = getattr(error, "errno", None) in DISK_FULL
            code = 500
            if isinstance(error, HTTPError):
                code = error.code
                error.close()
            if code == 416:  # the file is shorter now than what came of the old one
                archive.unlink(missing_ok=True)
            elif (code < 500 and code not in (408, 429)) or full:
                raise
            size = archive.stat().st_size if archive.exists() else 0
            failures, furthest = (1, size) if size > furthest else (failures + 1, furthest)
            if failures == TRIES:
                raise
            time.sleep(PAUSE * failures)


def _fetch_once(url: str, archive: Path, progress: bool) -> None:
    """One request for what is missing; when it breaks off, all that came is kept."""
    known, have = _known(url, archive)
    if have and have == known["size"]:
        return
    if not have or not known["validator"]:  # without one, the rest might be of another version
        have, headers = 0, {}
    else:
        headers = {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    request = Request(url, headers=headers)  # noqa: S310 -- download_data_set let only web addresses through
    with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
        etag, date = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
        validator = etag if etag.startswith('"') else date  # If-Range takes no weak ETag
        if response.status == 206:
            size = int(known.get("size") or 0)
            span = response.headers.get("Content-Range")
            same = validator in ("", known.get("validator"))
            if not have or not same or span != f"bytes {have}-{size - 1}/{size}":
                archive.unlink(missing_ok=True)
                raise ConnectionError("the file on the server has changed")
        else:  # 200: the first request, a changed file, or a server without ranges
            have, size = 0, response.length
        _check_room(archive.parent, 2 * (size or 0) - have)  # the zip, and as much unpacked
        with (
            archive.open("ab" if have else "wb") as file,
            _bar("Downloading", size, have, progress) as bar,
        ):
            if not have:
                note = {"url": url, "size": size, "validator": validator}
                archive.with_suffix(".json").write_text(json.dumps(note))
            while chunk := response.read1(1 << 18):
                have += len(chunk)
                if have > MAX_BYTES:
                    raise DataError(f"it is longer than {MAX_BYTES:,} bytes")
                file.write(chunk)
                bar.update(len(chunk))
    if size is not None and have != size:
        raise ConnectionError(f"the connection broke after {have:,} of {size:,} bytes")


def _known(url: str, archive: Path) -> tuple[dict, int]:
    """The note on what has come of `url` and the bytes there are; ({}, 0) when of no use."""
    with suppress(FileNotFoundError, ValueError):  # ValueError: killed while writing the note
        note, have = json.loads(archive.with_suffix(".json").read_text()), archive.stat().st_size
        if note["url"] == url and have <= (note["size"] or 0):
            return note, have
    return {}, 0


def _unpack(archive: Path, unpacked: Path, progress: bool, classes: int) -> None:
    """Check what `archive` lists, then unpack its pictures, which checks their CRC.

    Raises DataError for a zip of no use, OSError when the disk is full.
    """
    unpacking = unpacked.with_name("unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            pictures = _pictures(file.infolist(), classes)
            size = sum(entry.file_size for entry in pictures.values())
            _check_room(archive.parent, size)
            with _bar("Unpacking", size, 0, progress) as bar:
                for place, entry in pictures.items():
                    path = unpacking.joinpath(*place)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # "x": where a disk ignores case, no picture replaces another unnoticed
                    with file.open(entry) as source, path.open("xb") as copy:
                        shutil.copyfileobj(source, copy)
                    bar.update(entry.file_size)
        os.replace(unpacking, unpacked)
    except Exception as error:  # zipfile has a dozen kinds of them for a bad zip, even OSError
        if isinstance(error, DataError) or getattr(error, "errno", None) in DISK_FULL:
            raise
        raise DataError(f"the zip cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _pictures(entries: list[zipfile.ZipInfo], classes: int) -> dict[tuple, zipfile.ZipInfo]:
    """The pictures by (split, class, file name); DataError when unsafe or not the data set."""
    size = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES or size > MAX_BYTES:
        raise DataError(f"the zip unpacks to {len(entries):,} files of {size:,} bytes, too much")
    pictures = {}
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        parts = name.split("/")
        link = stat.S_ISLNK(entry.external_attr >> 16)
        if link or name.startswith("/") or ".." in parts or ":" in name:
            raise DataError(f"the zip holds {entry.filename!r}, which may lead out of the folder")
        place = tuple(parts if parts[0] in SPLITS else parts[1:])  # without the top folder
        junk = any(part.startswith((".", "__MACOSX")) for part in parts)
        picture = PurePosixPath(name).suffix.lower() in SUFFIXES and not entry.is_dir()
        if picture and not junk and len(place) == 3 and place[0] in SPLITS:
            if place in pictures:
                raise DataError(f"the zip holds {name!r} twice")
            pictures[place] = entry
    train, test = ({place[1] for place in pictures if place[0] == split} for split in SPLITS)
    if train != test or len(train) != classes:
        raise DataError(
            f"the zip has pictures of {len(train)} classes in train and {len(test)} in test, "
            f"{len(train & test)} of them the same, where there should be {classes}"
        )
    return pictures


def _check_room(folder: Path, need: int) -> None:
    """OSError (ENOSPC) unless `need` bytes are free on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OSError(errno.ENOSPC, f"{need:,} bytes have to be free, {free:,} are", str(folder))


def _bar(what: str, total: int | None, done: int, progress: bool) -> tqdm:
    scale = {"unit": "B", "unit_scale": True}
    return tqdm(desc=what, total=total, initial=done, disable=not progress, **scale)
