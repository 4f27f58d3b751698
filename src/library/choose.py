"""Before the model is asked: which photos are wanted, and whether tags can be put beside them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from datetime import date, datetime
from pathlib import Path

from src.files import printable
from src.library.catalog import Catalog
from src.library.read_ahead import in_threads
from src.library.takeout import LocalFiles, Takeout
from src.photos.decode import OpenedPhoto, open_photo
from src.photos.files import read_photo_file
from src.photos.read_metadata import read_taken, said_by
from src.photos.sidecar_names import Listing, find_sidecar, listed_once
from src.photos.xmp import KEYS, read_properties
from src.progress import Tally

_KEYWORDS = ("dc:subject", "digiKam:TagsList", "lr:hierarchicalSubject")
_POSITION = "exif:GPSLatitude"


class ClosedError(RuntimeError):
    """Nothing can be written; the message is one sentence that says where, and what to do."""


def leave_out(catalog: Catalog, since: date | None, only_missing: bool) -> Counter[str]:
    """Take photos of this run out of it, by what they say themselves; their pixels are not decoded.

    Photos that cannot be read stay, so that the run says why.

    Args:
        catalog: with this run's photos, all in folders of this machine.
        since: leave out what was taken before this day, by the camera's clock; where a photo does not say
            when, by the JSON of a Google Takeout (in UTC), or else the time of its file.
        only_missing: leave out what has both keywords and a position, in the photo or its sidecar; what was
            written here does not count.

    Returns:
        How many were left out for which reason.
    """
    takeout, listing, reasons = Takeout(LocalFiles()), listed_once(), Counter[str]()

    def reason(found: tuple[str, int]) -> str:
        path, mtime_ns = found
        try:
            photo = open_photo(read_photo_file(path), path)
            if since and _day(photo, path, mtime_ns, takeout) < since:
                return f"taken before {since}"
            return "with keywords and a position" if only_missing and _complete(photo, path, listing) else ""
        except Exception:  # whatever it is, the run comes across it again, and says it
            return ""

    with Tally(catalog.count_found()) as tally:
        for (path, _), why in in_threads(reason, catalog.found()):
            tally.add(f"left out, {why}" if why else "")
            if why:
                reasons[why] += 1
                catalog.leave_out(path)
    return reasons


def warn_of_closed_folders(catalog: Catalog) -> None:
    """Say in which folders of this run's photos no sidecar can be made; ClosedError where that is all."""
    folders = list(catalog.photo_folders())
    closed = [folder for folder in folders if not can_be_made(Path(folder))]
    if not closed:
        return
    said = f"No sidecars can be written in {printable(closed[0])}, which can only be read"
    if len(closed) == len(folders):
        raise ClosedError(f"{said}; change its permissions, or take --write copy --to DIR.")
    others = f"; nor in {len(closed) - 1:,} more folders" if len(closed) > 1 else ""
    print(f"{said}{others}.", file=sys.stderr)


def can_be_made(path: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is not there yet."""
    return os.access(nearest_folder(path), os.W_OK | os.X_OK)


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _day(photo: OpenedPhoto, path: str, mtime_ns: int, takeout: Takeout) -> date:
    time = read_taken(photo).time or takeout.read(path).time
    return time.date() if time else datetime.fromtimestamp(mtime_ns / 1e9).date()


def _complete(photo: OpenedPhoto, path: str, listing: Listing) -> bool:
    said = said_by(photo)
    sidecar = find_sidecar(path, listing=listing)
    if sidecar.exists():
        for key, values in read_properties(read_photo_file(sidecar), KEYS).items():
            said[key] = [*said[key], *values]
    return any(any(said[key]) for key in _KEYWORDS) and any(said[_POSITION])
