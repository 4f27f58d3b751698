"""The file of own landmarks: plain arrays and JSON, bound to the export that saw the photos.

It may come from a stranger: nothing in it is unpickled or run, and sizes and counts have limits.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from src.files import read, write
from src.inference.own import Example, Taught
from src.landmarks.table import Landmark

if sys.platform != "win32":
    import fcntl

NAME = "my_landmarks.npz"
VERSION = 1
MOST_BYTES = 256 * 2**20
MOST_LANDMARKS = 10_000
MOST_EXAMPLES = 100  # of one landmark
LONGEST = 200  # characters of a name
# what reading arrays and JSON from a file of any bytes ends with
DAMAGED = (
    *(ValueError, KeyError, TypeError, EOFError, OSError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


class OwnError(ValueError):
    """Own landmarks cannot be used or changed; the message is one sentence that says what to do."""


class OtherExportError(OwnError):
    """The file was made with another export, whose features say nothing to this one."""


def to_bytes(taught: Mapping[str, Taught], export: str) -> bytes:
    """The file of own landmarks, by their names.

    Args:
        taught: with examples whose features all have one length.
        export: which one made the features, see `src.inference.answers.Answering.space_id`.
    """
    about = {
        "version": VERSION,
        "export": export,
        "landmarks": [one.landmark.to_dict() for one in taught.values()],
        "examples": [
            [{"content": example.content, "name": example.name} for example in one.examples]
            for one in taught.values()
        ],
    }
    rows = [example.features for one in taught.values() for example in one.examples]
    features = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1 if rows else 0)
    file = io.BytesIO()
    text = json.dumps(about, ensure_ascii=False).encode()
    np.savez(file, about=np.frombuffer(text, np.uint8), features=features)
    return file.getvalue()


def from_bytes(data: bytes, export: str, name: str = NAME) -> dict[str, Taught]:
    """What `to_bytes` made.

    Args:
        data: the file.
        export: the one that is in use; see `to_bytes`.
        name: of the file, for people.

    Raises:
        OtherExportError: another export made it; what can be taught anew is in `names_in`.
        OwnError: it is no such file, damaged, or larger than anyone needs.
    """
    about, features = _parts(data, name)
    if about["export"] != export:
        raise OtherExportError(
            f"{name} was made with another export; teach its landmarks again from their photos."
        )
    try:
        taught, row = {}, 0
        for entry, examples in zip(about["landmarks"], about["examples"], strict=True):
            landmark, count = Landmark.from_dict(entry), len(examples)
            if not 0 < count <= MOST_EXAMPLES or len(landmark.name) > LONGEST or landmark.name in taught:
                raise ValueError(landmark.name)
            rows = [bytes(one) for one in features[row : row + count]]
            found = [
                Example(str(example["content"]), str(example["name"]), seen)
                for example, seen in zip(examples, rows, strict=True)
            ]
            taught[landmark.name] = Taught(landmark, tuple(found))
            row += count
        if row != len(features) or len(taught) > MOST_LANDMARKS:
            raise ValueError(row)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(name) from error
    return taught


def _parts(data: bytes, name: str) -> tuple[dict, np.ndarray]:
    """What is said in a file, and its features ``(N, F)``; raises OwnError."""
    if len(data) > MOST_BYTES:
        raise OwnError(f"{name} is larger than {MOST_BYTES >> 20} MB: teach fewer landmarks in one file.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError("it is packed")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about, features = json.loads(arrays["about"].tobytes()), arrays["features"]
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
    return from_bytes(read(path), export, path.name)


def save_own(path: Path, taught: Mapping[str, Taught], export: str) -> None:
    """Put the file in its place at once; raises FileError."""
    write(path, to_bytes(taught, export), replace=True)


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Wait until no other run changes the file, and keep others waiting meanwhile."""
    lock = path.with_name(f".{path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("wb") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
