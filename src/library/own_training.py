"""Photos of own landmarks as a data set, in the layout that `src.data.folders` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.files import explained, safe_name, write
from src.inference.own import Example, Taught
from src.inference.report import content_of
from src.landmarks.table import Landmark, class_key
from src.library.teach_own import is_there
from src.photos.errors import UNUSABLE
from src.photos.files import read_photo_file
from src.photos.formats import SUFFIXES

PARTS = ("train", "test")
LEAST = 2  # photos of a class: one to train with and one to test


@dataclass(frozen=True)
class Copied:
    """How the photos of one landmark came into a data set.

    Attributes:
        name: of the landmark.
        folder: its class; empty where it has too few photos to be one.
        photos: how many it got now.
        missing: how many are not where they were when they were taught, or have changed.
    """

    name: str
    folder: str
    photos: int
    missing: int


def export_training(taught: Iterable[Taught], landmarks: Sequence[Landmark], root: Path) -> list[Copied]:
    """Copy the photos of own landmarks into a data set, a fifth of each to its test photos.

    The set may be there already, as the one that the export was trained on: nothing in it is replaced, and
    a photo that it has is left where it is. So the same landmarks can be taken again with more photos.

    Args:
        taught: the own landmarks.
        landmarks: of the export; new classes are numbered after these, and photos of one of these go to its
            class.
        root: the folder with ``train/`` and ``test/``; made if need be.

    Raises:
        FileError: a file cannot be written; those before it stay.
    """
    classes = {landmark.name: landmark.class_name for landmark in landmarks}
    copied: list[Copied] = []
    for one in taught:
        there = [example for example in one.examples if _is_unchanged(example)]
        missing = len(one.examples) - len(there)
        if len(there) < LEAST:
            copied.append(Copied(one.landmark.name, "", 0, missing))
            continue
        given = {other.folder for other in copied}
        folder = classes.get(one.landmark.name) or _class_folder(one.landmark.name, landmarks, root, given)
        copied.append(Copied(one.landmark.name, folder, _copy(there, root, folder), missing))
    return copied


def _is_unchanged(example: Example) -> bool:
    try:
        data = read_photo_file(example.path) if is_there(example) else b""
    except UNUSABLE:
        return False
    return content_of(data) == example.content


def _class_folder(name: str, landmarks: Sequence[Landmark], root: Path, given: Collection[str]) -> str:
    """The folder of a landmark: one that is there and not `given` to another one, or the next number."""
    there = {entry.name for part in PARTS for entry in _entries(root / part)}
    key = safe_name(name.replace(" ", "_"))
    if key in map(class_key, given):  # as of "A/B" and "A:B"
        key = f"{key}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    known = sorted(folder for folder in there if class_key(folder) == key)
    numbers = [re.match(r"\d+(?=\.)", folder) for folder in (*there, *(one.class_name for one in landmarks))]
    following = max((int(number[0]) for number in numbers if number), default=-1) + 1
    return known[0] if known else f"{following:02}.{key}"


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, if it is there; hidden files are neither photos nor classes."""
    with explained(folder, "read"):
        entries = folder.iterdir() if folder.is_dir() else ()
        return [entry for entry in entries if not entry.name.startswith(".")]


def _copy(examples: Sequence[Example], root: Path, folder: str) -> int:
    """Copy what is not there yet; the second and then each fifth are photos to test with."""
    counts = {part: len(_entries(root / part / folder)) for part in PARTS}
    copied = 0
    for example in examples:
        suffix = Path(example.path).suffix.lower()
        name = f"{example.content}{suffix if suffix in SUFFIXES else '.jpg'}"
        if any((root / part / folder / name).exists() for part in PARTS):
            continue
        part = "test" if counts["train"] > 4 * counts["test"] else "train"
        write(root / part / folder / name, read_photo_file(example.path), replace=False)
        counts[part] += 1
        copied += 1
    return copied
