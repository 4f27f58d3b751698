"""When a photo was taken, by the clocks that its metadata names: the camera's, and that of the satellites."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

from src.landmarks.tags import clean
from src.photos import exif

_GPS_TIME = "exif:GPSTimeStamp"
# When it was taken, then when a film was scanned: EXIF's tag, its zones and fraction, and their names in XMP.
_TIMES = (
    (
        exif.TAKEN,
        (exif.OFFSET_TAKEN, exif.OFFSET, exif.OFFSET_DIGITIZED),
        exif.FRACTION_TAKEN,
        ("exif:DateTimeOriginal", "photoshop:DateCreated"),  # the latter is IPTC's name for the former
    ),
    (
        exif.DIGITIZED,
        (exif.OFFSET_DIGITIZED, exif.OFFSET),
        exif.FRACTION_DIGITIZED,
        ("exif:DateTimeDigitized", "http://ns.adobe.com/xap/1.0/:CreateDate"),
    ),
)
_TIME = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?\s*(Z|[-+]\d\d:?\d\d)?"
)
_DATE = re.compile(r"(\d{4})[-:/](\d\d)[-:/](\d\d)")
_ZONE = re.compile(r"([-+])(\d\d):?(\d\d)")
_QUARTER = timedelta(minutes=15)  # every zone is off UTC by a multiple of it,
_ZONES = (-12 * 4, 14 * 4)  # from so many of these to so many
_YEARS = range(1826, 9999)  # from the first photo on
_MAX_NAME = 200  # characters of a camera's name

KEYS = (_GPS_TIME, *(key for *_, keys in _TIMES for key in keys))  # XMP properties


def read_time(said_in_exif: exif.Exif, said: Mapping[str, Sequence[str]]) -> tuple[datetime | None, str]:
    """The time, and the camera whose clock says it (make, model and serial number, as far as they are said).

    The time has a zone where the photo names one, or has the satellites' time as well. If only the latter is
    there, it is in UTC and by no camera's clock.

    Args:
        said_in_exif: by the photo.
        said: values in its XMP of the properties in `KEYS`.
    """
    time = _clock(said_in_exif.photo, said)
    gps_time = _gps_time(said_in_exif.gps) or next(filter(None, map(_time, said[_GPS_TIME])), None)
    if gps_time and gps_time.tzinfo is None:
        gps_time = gps_time.replace(tzinfo=UTC)
    if time is None:
        return gps_time and gps_time.astimezone(UTC), ""
    if time.tzinfo is None and gps_time:
        time = time.replace(tzinfo=_zone_between(time, gps_time))
    return time, _camera(said_in_exif)


def _clock(tags: exif.Tags, said: Mapping[str, Sequence[str]]) -> datetime | None:
    """The time of the camera's clock, with its zone if that is said."""
    for tag, zones, fraction, keys in _TIMES:
        text = exif.text(tags.get(tag))
        time = _time(f"{text}.{exif.text(tags.get(fraction))}") or _time(text)
        if time and time.tzinfo is None:
            zone = next(filter(None, (_zone(exif.text(tags.get(zone))) for zone in zones)), None)
            time = time.replace(tzinfo=zone)
        for value in (time, *(_time(text) for key in keys for text in said[key])):
            if value:
                return value
    return None


def _time(text: str) -> datetime | None:
    """A time such as "2024:05:01 12:34:56", "2024-05-01T12:34:56.25+02:00" or "2024-05-01T12:34Z".

    Hour 24 is the first of the day that is named: so a common mistake in programs writes it (Java's "kk").
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    *numbers, fraction, zone = match.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    micros = int((fraction or "").ljust(6, "0"))
    if year not in _YEARS:
        return None
    try:
        return datetime(year, month, day, 0 if hour == 24 else hour, minute, second, micros, _zone(zone))
    except ValueError:
        return None


def _zone(text: str | None) -> timezone | None:
    """A zone such as "+09:00", "-0330" or "Z"; None for anything else, or where no place on earth has it."""
    if text == "Z":
        return UTC
    match = _ZONE.fullmatch((text or "").strip())
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3])) * (-1 if match[1] == "-" else 1)
    return timezone(offset) if _ZONES[0] * _QUARTER <= offset <= _ZONES[1] * _QUARTER else None


def _zone_between(clock: datetime, gps_time: datetime) -> timezone | None:
    """The zone that a clock without one is set to; None where one of both times must be wrong."""
    quarters = round((clock.replace(tzinfo=UTC) - gps_time) / _QUARTER)
    return timezone(quarters * _QUARTER) if _ZONES[0] <= quarters <= _ZONES[1] else None


def _gps_time(gps: exif.Tags) -> datetime | None:
    """The time of the satellites, in UTC."""
    date, clock = _DATE.fullmatch(exif.text(gps.get(exif.GPS_DATE))), gps.get(exif.GPS_TIME)
    if date is None or not isinstance(clock, tuple) or len(clock) != 3 or not all(map(math.isfinite, clock)):
        return None
    year, month, day = map(int, date.groups())
    if year not in _YEARS:
        return None
    try:
        midnight = datetime(year, month, day, tzinfo=UTC)
        return midnight + timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
    except (ValueError, OverflowError):
        return None


def _camera(of: exif.Exif) -> str:
    """Make, model and serial number, as far as they are said."""
    parts = (of.main.get(exif.MAKE), of.main.get(exif.MODEL), of.photo.get(exif.SERIAL))
    return clean(" ".join(filter(None, map(exif.text, parts))))[:_MAX_NAME]
