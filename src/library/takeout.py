"""Time and place from the JSON files of a Google Takeout, for photos of a library that do not say them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from src.files import FileError, explained, patiently
from src.inference.report import PhotoReport
from src.landmarks.evidence import Taken
from src.photos.exports import MAX_JSON, read_takeout, takeout_names

THREADS = 16  # of these most wait for the disk or the network


class Files(Protocol):
    """Where the photos are: in folders of this machine, or at an address."""

    def json_names(self, folder: str) -> Iterable[str]:
        """The files in a folder whose names end in ".json"; none where it cannot be looked into."""

    def read_start(self, path: str, size: int) -> bytes:
        """So many bytes of a file, or all where it is smaller; raises FileError."""


class LocalFiles:
    """Folders of this machine."""

    def json_names(self, folder: str) -> Iterable[str]:
        """See `Files`."""
        return names_ending(folder, ".json")

    def read_start(self, path: str, size: int) -> bytes:
        """See `Files`."""

        def start() -> bytes:
            with open(path, "rb") as file:
                return file.read(size)

        with explained(Path(path), "read"):
            return patiently(start)


def names_ending(folder: str | Path, ending: str) -> list[str]:
    """The names in a folder that end so, in small or capital letters; none where it cannot be looked into."""

    def listed() -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.name.lower().endswith(ending)]

    try:
        return patiently(listed)
    except OSError:
        return []


class Takeout:
    """The JSON files of a Google Takeout, of one folder after the other; for any number of threads."""

    def __init__(self, files: Files):
        self._files = files
        self._names = lru_cache(maxsize=8)(self._listed)

    def find(self, photo: str) -> str:
        """The path of a photo's JSON file; empty where there is none."""
        folder, _, own = photo.rpartition(os.sep)
        if not (names := self._names(folder)):
            return ""
        name = next((names[name] for name in takeout_names(own) if name in names), "")
        return name and f"{folder}{os.sep}{name}"

    def read(self, photo: str) -> Taken:
        """What it says; nothing where there is none, or it cannot be read."""
        path = self.find(photo)
        try:
            return read_takeout(self._files.read_start(path, MAX_JSON + 1)) if path else Taken()
        except FileError:
            return Taken()

    def _listed(self, folder: str) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self._files.json_names(folder)}


def add_takeout(reports: Sequence[PhotoReport], takeout: Takeout) -> list[PhotoReport]:
    """The reports of a folder's photos with what the JSON files beside them say and the photos do not.

    What a photo says itself counts more. An edited copy shares the file, and the shot, of its original.
    """

    def completed(report: PhotoReport) -> PhotoReport:
        path, taken = takeout.find(report.name), report.taken
        if path and (taken.time is None or taken.latitude is None):
            taken = _completed(taken, takeout.read(report.name))
        return replace(report, shot=path, taken=taken)

    if not any(takeout.find(report.name) for report in reports):
        return list(reports)
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(completed, reports))


def _completed(taken: Taken, said: Taken) -> Taken:
    if taken.time is None:
        taken = replace(taken, time=said.time)
    if taken.latitude is None:
        taken = replace(taken, latitude=said.latitude, longitude=said.longitude)
    return taken
