"""When and where a photo was taken, and what else it says of itself: its EXIF, XMP and IPTC (IIM 4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from src.landmarks.evidence import Taken, is_on_earth
from src.landmarks.tags import clean
from src.photos import exif, times
from src.photos.captions import CAPTION, says_something
from src.photos.decode import OpenedPhoto
from src.photos.errors import MetadataError
from src.photos.iptc_edit import data_sets, in_another_character_set
from src.photos.xmp import ADDED, CAPTIONS, ESTIMATE, KEYS, degrees, read_properties

IN_EXIF = "in the EXIF"  # stands for coordinates there,
IN_IPTC = "in the IPTC"  # and this for a text in a character set that is not read

_SPOT = ("exif:GPSLatitude", "exif:GPSLongitude", "exif:GPSProcessingMethod")
_REFS = ("exif:GPSLatitudeRef", "exif:GPSLongitudeRef")  # not in the standard, but in files of old programs
_IPTC = {
    **{5: "dc:title", 25: "dc:subject", 80: "dc:creator", 116: "dc:rights", 120: "dc:description"},
    **{90: "photoshop:City", 95: "photoshop:State", 101: "photoshop:Country", 105: "photoshop:Headline"},
}


def read_taken(photo: OpenedPhoto) -> Taken:
    """When and where a photo was taken, as far as it says so; broken metadata says nothing.

    All is from its EXIF, else from its XMP. The time is that of the camera's clock, with its zone where the
    photo says it or also has GPS time; or it is GPS time. There are no coordinates where they were predicted
    here, or say nowhere: void values, or 0, 0 as of cameras that found no satellite.
    """
    said = _said_in_xmp(photo, (*_SPOT, *_REFS, *times.KEYS))
    time, camera = times.read_time(photo.exif, said)
    spots = []
    if not _estimated(photo.exif.gps.get(exif.METHOD)):
        spots.append(
            (
                _degrees(photo.exif.gps, exif.LATITUDE_REF, "NS"),
                _degrees(photo.exif.gps, exif.LONGITUDE_REF, "EW"),
            )
        )
    spots.append(_spot_in_xmp(said))
    spot = next((spot for spot in spots if is_on_earth(*spot)), (None, None))
    return Taken(time, *spot, camera)


def read_sidecar_spot(packet: bytes) -> tuple[float, float] | None:
    """Where a photo was taken, in degrees, as its sidecar says; None where it does not, or where that was
    predicted here, also if another program wrote it in another way since.

    Raises:
        MetadataError: the bytes are no XMP, or more of it than is read.
    """
    said = read_properties(packet, (*_SPOT, *_REFS, ADDED))
    latitude, longitude = _spot_in_xmp(said)
    ours = any(entry.startswith(f"{key}=") for entry in said[ADDED] for key in _SPOT)
    if ours or latitude is None or longitude is None or not is_on_earth(latitude, longitude):
        return None
    return latitude, longitude


def _spot_in_xmp(said: Mapping[str, list[str]]) -> tuple[float | None, float | None]:
    """Coordinates as XMP says them; none where they were predicted here."""
    if any(ESTIMATE in method for method in said[_SPOT[2]]):
        return None, None
    return (
        _directed(degrees(said[_SPOT[0]]), said[_REFS[0]], "NS"),
        _directed(degrees(said[_SPOT[1]]), said[_REFS[1]], "EW"),
    )


def said_by(photo: OpenedPhoto) -> dict[str, list[str]]:
    """What the photo itself says, by XMP property: from its XMP, EXIF and IPTC."""
    said = _said_in_xmp(photo, (*KEYS, *CAPTIONS))
    foreign = in_another_character_set(photo.iptc)
    for key, text in _iptc_texts(photo.iptc):
        if not foreign:
            said[key].append(text)
        elif text and key != "dc:subject":
            said[key].append(IN_IPTC)
    captions = [
        *said[CAPTION],
        clean(exif.text(photo.exif.main.get(exif.DESCRIPTION))),
        *(text for key in CAPTIONS for text in said.pop(key)),
        clean(exif.comment(photo.exif.photo.get(exif.COMMENT))),
    ]
    said[CAPTION] = [text for text in captions if says_something(CAPTION, text)]
    gps = photo.exif.gps
    if not _estimated(gps.get(exif.METHOD)) and any(
        map(_says_something, (gps.get(exif.LATITUDE), gps.get(exif.LONGITUDE)))
    ):
        said["exif:GPSLatitude"].append(IN_EXIF)
    return said


def _said_in_xmp(photo: OpenedPhoto, keys: tuple[str, ...]) -> dict[str, list[str]]:
    """What its XMP says but for what was written here; nothing where there is none or it is broken."""
    try:
        if photo.xmp:
            return read_properties(photo.xmp, keys)
    except MetadataError:
        pass
    return {key: [] for key in keys}


def _iptc_texts(block: bytes) -> list[tuple[str, str]]:
    """The properties in IPTC's record 2, each with its text, up to what is broken."""
    return [
        (_IPTC[number], clean(exif.decoded(block[start:end])))
        for (record, number), start, end in data_sets(block)
        if record == 2 and number in _IPTC
    ]


def _estimated(method: exif.Value | None) -> bool:
    """Whether a GPS processing method is ours; EXIF puts eight bytes with the character set before it."""
    return isinstance(method, bytes) and ESTIMATE.encode() in method


def _says_something(value: exif.Value | None) -> bool:
    """Whether an EXIF coordinate is more than void (0/0) or zeros."""
    return isinstance(value, tuple) and any(number and math.isfinite(number) for number in value)


def _degrees(gps: exif.Tags, tag: int, letters: str) -> float | None:
    """A coordinate from the EXIF tag of its direction and the next: degrees, minutes and seconds."""
    letter, numbers = exif.text(gps.get(tag)).upper()[:1], gps.get(tag + 1)
    if not isinstance(numbers, tuple) or not letter or letter not in letters:
        return None
    degrees = sum(number / scale for number, scale in zip(numbers, (1, 60, 3600), strict=False))
    return -degrees if letter == letters[1] else degrees


def _directed(number: float | None, refs: list[str], letters: str) -> float | None:
    """A coordinate of XMP with the direction that some programs give apart; None where both disagree."""
    letter = refs[0].upper()[:1] if refs else ""
    if number is None or not letter or letter not in letters:
        return number
    if letter == letters[1]:
        return -abs(number)
    return number if number >= 0 else None
