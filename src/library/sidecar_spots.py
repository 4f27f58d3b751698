"""Where photos were taken, from their sidecars: there Lightroom and others put it for raw photos."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from src.files import exists
from src.inference.report import PhotoReport
from src.library.takeout import THREADS, names_ending
from src.photos.errors import UNUSABLE
from src.photos.files import read_photo_file
from src.photos.read_metadata import read_sidecar_spot
from src.photos.sidecar_names import find_sidecar, listed_once


def add_sidecar_spots(reports: Sequence[PhotoReport]) -> list[PhotoReport]:
    """The reports of a folder's photos with the position in their sidecars where they say none themselves."""
    listing = listed_once()

    def completed(report: PhotoReport) -> PhotoReport:
        try:
            sidecar = find_sidecar(report.name, listing=listing)
            spot = read_sidecar_spot(read_photo_file(sidecar)) if exists(sidecar) else None
        except UNUSABLE:  # one that is broken says nothing, and is named when it is written to
            return report
        if spot is None:
            return report
        return replace(report, taken=replace(report.taken, latitude=spot[0], longitude=spot[1]))

    found = names_ending(Path(reports[0].name).parent, ".xmp") if reports else ()
    names = set(map(str.lower, found))
    with ThreadPoolExecutor(THREADS) as pool:
        asked = {
            number: pool.submit(completed, report)
            for number, report in enumerate(reports)
            if report.taken.latitude is None and not names.isdisjoint(_names(Path(report.name)))
        }
        return [
            asked[number].result() if number in asked else report for number, report in enumerate(reports)
        ]


def _names(photo: Path) -> tuple[str, str]:
    return f"{photo.name}.xmp".lower(), f"{photo.stem}.xmp".lower()
