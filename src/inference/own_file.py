"""The file of own landmarks: plain arrays and JSON, bound to the export that saw the photos.

It may come from a stranger: nothing in it is unpickled or run, and sizes and counts have limits.
"""

from __future__ import annotations

import io
import json
import stat
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from src.files import explained, printable, read, write
from src.inference.own import Example, OwnError, Taught
from src.landmarks.table import Landmark
from src.landmarks.tags import clean

if sys.platform != "win32":
    import fcntl

NAME = "my_landmarks.npz"
VERSION = 1
MOST_BYTES = 256 * 2**20
MOST_TEXT = 32 * 2**20  # bytes of names: 10,000 landmarks with ten examples each have some 25 MB
MOST_LANDMARKS = 10_000
MOST_EXAMPLES = 100  # of one landmark
LONGEST = 200  # characters of a name
# what reading a file of any bytes ends with: NumPy, zipfile and what unpacks for it let many kinds through
DAMAGED = Exception


class OtherExportError(OwnError):
    """The file was made with another export, whose features say nothing to this one."""


def to_bytes(taught: Mapping[str, Taught], export: str) -> bytes:
    """The file of own landmarks, by their names.

    Args:
        taught: with examples whose features all have one length.
        export: which one made the features, see `src.inference.answers.Answering.space_id`.

    Raises:
        OwnError: there is more of something than `from_bytes` takes.
    """
    _check_counts(taught)
    about = {
        "version": VERSION,
        "export": export,
        "landmarks": [one.landmark.to_dict() for one in taught.values()],
        "examples": [
            [
                {"content": example.content, "name": example.name, "path": example.path}
                for example in one.examples
            ]
            for one in taught.values()
        ],
    }
    rows = [example.features for one in taught.values() for example in one.examples]
    features = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1 if rows else 0)
    file = io.BytesIO()
    text = json.dumps(about).encode()  # in ASCII, which holds also names of files that are no UTF-8
    np.savez(file, about=np.frombuffer(text, np.uint8), features=features)
    if len(text) > MOST_TEXT or file.tell() > MOST_BYTES:
        raise OwnError("These are more own landmarks than one file can hold: begin another one.")
    return file.getvalue()


def _check_counts(taught: Mapping[str, Taught]) -> None:
    """Raise OwnError for what would be refused when it is read."""
    if len(taught) > MOST_LANDMARKS:
        raise OwnError(f"A file holds at most {MOST_LANDMARKS:,} own landmarks: begin another one.")
    for name, one in taught.items():
        if not 0 < len(one.examples) <= MOST_EXAMPLES:
            raise OwnError(
                f"{printable(name)} would have {len(one.examples):,} photos: give it 1 to {MOST_EXAMPLES}."
            )
        if len(name) > LONGEST:
            raise OwnError(f"{printable(name[:40])}… is too long a name: take at most {LONGEST} letters.")


def from_bytes(data: bytes, export: str, name: str = NAME) -> dict[str, Taught]:
    """What `to_bytes` made.

    Args:
        data: the file.
        export: the one that is in use; see `to_bytes`.
        name: of the file, for people.

    Raises:
        OtherExportError: another export made it.
        OwnError: it is no such file, damaged, or larger than anyone needs.
    """
    check_space(export)
    made_with, taught = from_any_export(data, name)
    if made_with != export:
        raise OtherExportError(
            f"{name} was made with another export: renew it (python -m src.teach --renew), or teach its "
            "landmarks again from their photos."
        )
    return taught


def check_space(export: str) -> None:
    """Raise OwnError where an export, by its `space_id`, can be taught nothing."""
    if not export:
        raise OwnError("This export is from before places could be taught: take a newer one.")


def from_any_export(data: bytes, name: str = NAME) -> tuple[str, dict[str, Taught]]:
    """The export that made a file, and its landmarks, whichever that is; raises OwnError as `from_bytes`."""
    about, features = _parts(data, name)
    try:
        taught, row = {}, 0
        for entry, examples in zip(about["landmarks"], about["examples"], strict=True):
            landmark, count = _cleaned(Landmark.from_dict(entry)), len(examples)
            if not 0 < count <= MOST_EXAMPLES or len(landmark.name) > LONGEST or landmark.name in taught:
                raise ValueError(landmark.name)
            rows = [bytes(one) for one in features[row : row + count]]
            found = [_example(example, seen) for example, seen in zip(examples, rows, strict=True)]
            taught[landmark.name] = Taught(landmark, tuple(found))
            row += count
        if row != len(features) or len(taught) > MOST_LANDMARKS:
            raise ValueError(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(name) from error
    return about["export"], taught


def _cleaned(landmark: Landmark) -> Landmark:
    """The landmark with texts that tables, photos and pages can hold: a stranger may have made the file."""
    return replace(
        landmark,
        class_name=clean(landmark.class_name),
        name=clean(landmark.name),
        name_local=clean(landmark.name_local),
        city=clean(landmark.city),
        country=clean(landmark.country),
        tags=tuple(filter(None, map(clean, landmark.tags))),
    )


def _example(entry: dict, features: bytes) -> Example:
    return Example(str(entry["content"]), str(entry["name"]), features, str(entry.get("path", "")))


def _parts(data: bytes, name: str) -> tuple[dict, np.ndarray]:
    """What is said in a file, and its features ``(N, F)``; raises OwnError."""
    _check_size(len(data), name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError("it is packed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            text, features = arrays["about"].tobytes(), arrays["features"]
        if len(text) > MOST_TEXT:
            raise ValueError(len(text))
        about = json.loads(text)
        if about["version"] != VERSION or features.dtype != np.uint8 or features.ndim != 2:
            raise ValueError(about["version"])
        if not isinstance(about["export"], str):
            raise TypeError("export")
    except DAMAGED as error:
        raise _damaged(name) from error
    return about, features


def _damaged(name: str) -> OwnError:
    return OwnError(f"{name} is damaged or no file of own landmarks: take another copy, or teach them again.")


def load_own(path: Path, export: str) -> dict[str, Taught]:
    """The own landmarks of a file by their names; raises what `from_bytes` raises, and FileError."""
    return from_bytes(_whole(path), export, path.name)


def load_any(path: Path) -> tuple[str, dict[str, Taught]]:
    """What `from_any_export` says of a file; raises FileError, too."""
    return from_any_export(_whole(path), path.name)


def _whole(path: Path) -> bytes:
    """A file; one that is too large is not read, and what has no end is no file."""
    with explained(path, "read"):
        status = path.stat()
    if stat.S_ISREG(status.st_mode):
        _check_size(status.st_size, path.name)
    elif not stat.S_ISDIR(status.st_mode):
        raise _damaged(path.name)
    return read(path)


def _check_size(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise OwnError(f"{name} is larger than {MOST_BYTES >> 20} MB: teach fewer landmarks in one file.")


def save_own(path: Path, taught: Mapping[str, Taught], export: str) -> None:
    """Put the file in its place at once; raises FileError."""
    write(path, to_bytes(taught, export), replace=True)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Wait until no other run changes the file, and keep others waiting meanwhile; raises FileError."""
    with explained(path, "written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("wb")
    with file:
        if sys.platform != "win32":
            with suppress(OSError):  # some network shares know no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
