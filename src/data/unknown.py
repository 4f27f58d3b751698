"""Photos that show none of the landmarks: which of them train, which set the threshold, which judge.

They are split by source. Photos of one camera, place or blog are alike, so a network that has met some of
them does better on the others than on a stranger's.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.data.errors import DataError
from src.data.folders import list_photos

NAMES = ("ordinary", "not_landmarks")  # folders beside a data set
TABLE = "SOURCES.csv"  # in such a folder, with the columns file and source
SHARES = (0.6, 0.2, 0.2)  # to learn from, to choose by, to judge by


class UnknownPhotos(NamedTuple):
    """Photos of no landmark, no source of which is in two parts."""

    learn: list[Path]  # they train along, and what looks like them counts as unknown
    choose: list[Path]  # the threshold is set by them
    judge: list[Path]  # for figures alone


def find_unknown(given: Sequence[str | Path] | None, root: Path) -> list[Path]:
    """The folders of photos of no landmark: those given, else those of `NAMES` beside ``root``, if any."""
    if given:
        return [Path(folder) for folder in given]
    return [beside for name in NAMES if (beside := root.resolve().parent / name).is_dir()]


def split_unknown(folders: Sequence[str | Path], seed: int = 0) -> UnknownPhotos:
    """Split the photos of each folder in three by their sources, as `SHARES` says.

    A folder's `SOURCES.csv` says which source each of its files is from; one that is not in it is a source of
    its own. The largest source goes where most is lacking, then the next: no choice of ours. ``seed`` orders
    those of one size.

    Raises:
        DataError: a folder has too few sources for three parts, or its table cannot be read.
    """
    parts = UnknownPhotos([], [], [])
    for folder in map(Path, folders):
        photos = list_photos(folder)
        sources = [str(source) for source in sources_of(folder, photos)]
        sizes = Counter(sources)
        names = np.random.default_rng(seed).permutation(sorted(sizes)).tolist()
        lacking, part_of = [share * len(photos) for share in SHARES], {}
        for name in sorted(names, key=lambda name: -sizes[name]):
            part_of[name] = int(np.argmax(lacking))
            lacking[part_of[name]] -= sizes[name]
        if len(set(part_of.values())) < len(SHARES):
            raise DataError(f"{folder} has photos of too few sources to be split in three: add some others.")
        for photo, source in zip(photos, sources, strict=True):
            parts[part_of[source]].append(photo)
    return parts


def sources_of(folder: Path, photos: Sequence[Path]) -> list[str | Path]:
    """The source of each photo."""
    if not (table := folder / TABLE).is_file():
        return list(photos)
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            known = {folder / row["file"]: row["source"] for row in csv.DictReader(file)}
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{table} must be a table with the columns file and source: mend it.") from error
    return [known.get(photo) or photo for photo in photos]
