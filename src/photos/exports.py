"""What Google's and Apple's exports lay beside photos: files with metadata, and edited versions.

Google Takeout puts a JSON file with time and position beside each photo; its name is cut to 46 characters
before ".json", and edited copies have none of their own. Google documents neither; the rules are those that
immich-go found in real exports (its tests "Test_matchers").
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

from src.landmarks.evidence import Taken, is_on_earth

MAX_JSON = 2**18  # bytes; Google's files have some 1,000, and more with comments or names of people

_CUT = 46  # UTF-16 code units of a name that Google keeps before ".json"
_SUFFIXES = ("", ".supplemental-metadata")  # the latter since 2024
_NUMBERED = re.compile(r"(.+)(\(\d+\))", re.DOTALL)
# "-edited" in the language of the account, with spaces ("-ha editado") and vowel signs. Whatever has no JSON
# of its own, and but for such an ending the name of a photo that has one, is an edited copy.
_EDITED = re.compile(r"(.+)-[^\W\d_][^\d_.()\[\]-]*", re.DOTALL)
_EDITED_BY_APPLE = re.compile(r"img_e(?=\d{4})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def takeout_names(photo: str) -> Iterator[str]:
    """How the JSON file of a photo may be called in Google Takeout, the likeliest name first.

    Args:
        photo: the file's name without its folder.

    Yields:
        Names in Unicode's form NFC.
    """
    for title, number in _titles(unicodedata.normalize("NFC", photo)):
        for suffix in _SUFFIXES:
            yield f"{_cut(title + suffix)}{number}.json"


def read_takeout(data: bytes) -> Taken:
    """When and where a photo was taken, as the JSON file of Google Takeout says; nothing if it is none.

    The time is an instant, in UTC. The position is what a person or Google set, else that of the camera; 0, 0
    is none.
    """
    try:
        said = json.loads(data[: MAX_JSON + 1]) if len(data) <= MAX_JSON else None
    except (ValueError, RecursionError):  # the latter where it is too deep
        return Taken()
    if not isinstance(said, dict):
        return Taken()
    spots = (_spot(said.get(key)) for key in ("geoData", "geoDataExif"))
    return Taken(_instant(said.get("photoTakenTime")), *next(filter(None, spots), (None, None)))


def shot_name(photo: str) -> str:
    """A name that files of one shot in one folder share: a RAW photo and its JPEG, and Apple's edited pairs.

    Apple's export calls the edited version of IMG_1234.HEIC IMG_E1234.JPG.

    Args:
        photo: the file's name, with or without its folder.
    """
    return _EDITED_BY_APPLE.sub("img_", unicodedata.normalize("NFC", PurePath(photo).stem).lower(), count=1)


def _titles(photo: str) -> Iterator[tuple[str, str]]:
    """What the photo may have been called, and the number, "(1)", that tells photos of one name apart."""
    stem, dot, suffix = photo.rpartition(".")
    if not dot or not stem:
        stem, suffix = photo, ""
    stems = list(_numbered(stem))
    for base, number in tuple(stems):
        edited = _EDITED.fullmatch(base)
        if edited:
            stems += ((original, number or further) for original, further in _numbered(edited[1]))
    for base, number in stems:
        yield f"{base}{dot}{suffix}", number
        yield base, number  # some titles have no suffix


def _numbered(stem: str) -> Iterator[tuple[str, str]]:
    yield stem, ""
    if match := _NUMBERED.fullmatch(stem):
        yield match[1], match[2]


def _cut(name: str) -> str:
    return name.encode("utf-16-le", "surrogatepass")[: 2 * _CUT].decode("utf-16-le", "ignore")


def _instant(said: Any) -> datetime | None:
    """A Unix time, as Google has it: {"timestamp": "1556712000"}; 0 is none."""
    try:
        seconds = int(said["timestamp"])
        return _EPOCH + timedelta(seconds=seconds) if seconds else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _spot(said: Any) -> tuple[float, float] | None:
    try:
        latitude, longitude = float(said["latitude"]), float(said["longitude"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (latitude, longitude) if is_on_earth(latitude, longitude) else None
