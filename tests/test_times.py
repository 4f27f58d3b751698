"""When a photo was taken: the camera's clock, its zone, and the satellites' time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from conftest import encode, quarters
from hypothesis import given, settings
from hypothesis import strategies as st
from metadata_samples import packet, rational, taken
from PIL import Image

from src.photos import exif
from src.photos.exif import Exif
from src.photos.times import KEYS, read_time

MAKE, MODEL, SERIAL = 0x010F, 0x0110, 0xA431
ORIGINAL, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132
OFFSET, OFFSET_ORIGINAL, OFFSET_DIGITIZED, SUBSEC_ORIGINAL = 0x9010, 0x9011, 0x9012, 0x9291
TEN = "2024:05:01 10:00:00"


def photo(tags=None, gps=None, main=None, xmp=""):
    exif = Image.Exif()
    exif.update(main or {})
    exif[0x8769] = tags or {}
    if gps:
        exif[0x8825] = gps
    return taken(encode(quarters(), exif=exif, **({"xmp": packet(xmp)} if xmp else {})))


def satellites(date, *clock):
    return {7: rational(*clock), 29: date}


def zoned(hours, *when):
    return datetime(*when, tzinfo=timezone(timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ({}, None),
        ({OFFSET_ORIGINAL: "+09:00"}, 9),
        ({OFFSET: "+09:00"}, 9),
        ({OFFSET: "+01:00", OFFSET_ORIGINAL: "+09:00"}, 9),
        ({OFFSET: "+01:00", OFFSET_DIGITIZED: "+09:00"}, 1),
        ({OFFSET_DIGITIZED: "-03:30"}, -3.5),
        ({OFFSET_ORIGINAL: "Z"}, 0),
        ({OFFSET_ORIGINAL: "+0545"}, 5.75),
        ({OFFSET_ORIGINAL: "   :  "}, None),
        ({OFFSET_ORIGINAL: "+99:00"}, None),
        ({OFFSET_ORIGINAL: "Asia/Tokyo"}, None),
    ],
)
def test_the_zone_of_the_clock(offsets, expected):
    """immich #15639, photoprism #5062: 10:00 in Tokyo is not 10:00 in Paris."""
    time = photo({ORIGINAL: TEN, **offsets}).time
    assert time.replace(tzinfo=None) == datetime(2024, 5, 1, 10), "the clock's own time stays"
    assert time.utcoffset() == (None if expected is None else timedelta(hours=expected))


@pytest.mark.parametrize(("digits", "micros"), [("5", 500_000), ("123456789", 123_456), ("", 0), ("x", 0)])
def test_fractions_of_a_second(digits, micros):
    assert photo({ORIGINAL: TEN, SUBSEC_ORIGINAL: digits}).time == datetime(2024, 5, 1, 10, 0, 0, micros)


@pytest.mark.parametrize("gps", [None, satellites("2016:02:01", 23, 28, 33)])
def test_the_first_hour_of_a_day_as_24(gps):
    """Piwigo#1017: some phones call the first hour of a day the 24th, and the satellites agree."""
    time = photo({ORIGINAL: "2016:02:02 24:28:33"}, gps).time
    assert time.replace(tzinfo=None) == datetime(2016, 2, 2, 0, 28, 33)
    assert time.utcoffset() == (timedelta(hours=1) if gps else None)


@pytest.mark.parametrize(
    ("clock", "gps", "expected"),
    [
        ("2024:05:01 12:34:56", ("2024:05:01", 10, 34, 50), zoned(2, 2024, 5, 1, 12, 34, 56)),
        ("2024:05:01 00:04:00", ("2024:04:30", 18, 18, 30), zoned(5.75, 2024, 5, 1, 0, 4)),
        ("2024:05:01 12:00:00", ("2024-05-01", 12, 0, 0), zoned(0, 2024, 5, 1, 12)),
        # one of both is wrong, and nobody can say which
        ("2024:05:01 12:00:00", ("2004:09:15", 10, 0, 0), datetime(2024, 5, 1, 12)),
        ("2024:05:01 12:00:00", ("0000:00:00", 10, 0, 0), datetime(2024, 5, 1, 12)),
        ("2024:05:01 12:00:00", ("2024:05:01", 1e300, 0, 0), datetime(2024, 5, 1, 12)),
        (None, ("2024:05:01", 10, 34, 50), datetime(2024, 5, 1, 10, 34, 50, tzinfo=UTC)),
        (None, ("", 10, 34, 50), None),
        (None, ("2024:13:01", 10, 34, 50), None),
    ],
)
def test_the_time_of_the_satellites_gives_the_zone(clock, gps, expected):
    time = photo({ORIGINAL: clock} if clock else {}, satellites(*gps)).time
    assert time == expected
    assert (time and time.tzinfo and time.utcoffset()) == (
        expected and expected.tzinfo and expected.utcoffset()
    )


def test_a_zone_that_is_said_counts_more_than_the_satellites():
    time = photo({ORIGINAL: TEN, OFFSET: "+02:00"}, satellites("2024:05:01", 1, 0, 0)).time
    assert time == zoned(2, 2024, 5, 1, 10)


@pytest.mark.parametrize(
    ("tags", "xmp", "expected"),
    [
        ({DIGITIZED: TEN}, "", datetime(2024, 5, 1, 10)),
        ({DIGITIZED: TEN, OFFSET_DIGITIZED: "+09:00"}, "", zoned(9, 2024, 5, 1, 10)),
        ({DIGITIZED: TEN, ORIGINAL: "1975:08:01 12:00:00"}, "", datetime(1975, 8, 1, 12)),
        ({DIGITIZED: TEN, ORIGINAL: "    :  :     :  :  "}, "", datetime(2024, 5, 1, 10)),
        ({CHANGED: TEN}, "", None),
        ({}, "<photoshop:DateCreated>2013-01-02T12:00:30+01:00", zoned(1, 2013, 1, 2, 12, 0, 30)),
        ({}, "<photoshop:DateCreated>2013-01-02T12:00-05:00", zoned(-5, 2013, 1, 2, 12)),
        ({}, "<photoshop:DateCreated>2013-01-02T12:00Z", zoned(0, 2013, 1, 2, 12)),
        ({DIGITIZED: TEN}, "<photoshop:DateCreated>1975-08-01T12:00:00", datetime(1975, 8, 1, 12)),
        ({ORIGINAL: TEN}, "<photoshop:DateCreated>1975-08-01T12:00:00", datetime(2024, 5, 1, 10)),
        ({}, "<exif:DateTimeDigitized>2013-01-02T12:00:00", datetime(2013, 1, 2, 12)),
        (
            {},
            "<x:CreateDate xmlns:x='http://ns.adobe.com/xap/1.0/'>2013-01-02T12:00:00",
            datetime(2013, 1, 2, 12),
        ),
        ({}, "<exif:GPSTimeStamp>2013-01-02T12:00:00Z", zoned(0, 2013, 1, 2, 12)),
        ({ORIGINAL: TEN}, "<exif:GPSTimeStamp>2024-05-01T08:00:00Z", zoned(2, 2024, 5, 1, 10)),
        ({}, "<photoshop:DateCreated>2013-01-02", None),
        ({}, "<photoshop:DateCreated>0001-01-02T12:00:00+14:00", None),
    ],
)
def test_where_the_time_stands(tags, xmp, expected):
    """photoprism #1151; and when a film was scanned counts less than when its photo was taken."""
    if xmp:
        xmp += f"</{xmp[1:].partition('>')[0].partition(' ')[0]}>"
    time = photo(tags, xmp=xmp).time
    assert time == expected
    assert (time and time.tzinfo and time.utcoffset()) == (
        expected and expected.tzinfo and expected.utcoffset()
    )


DIGITS = st.text("0123456789:-+ TZ.", max_size=32)


@settings(max_examples=300, deadline=None)
@given(st.lists(DIGITS, min_size=5, max_size=5), st.lists(st.floats(), max_size=4))
def test_any_text_gives_a_time_or_none(texts, clock):
    """One that can be compared with any other, and saved."""
    photo, tags = Exif(b""), (exif.TAKEN, exif.OFFSET, exif.FRACTION_TAKEN, exif.DIGITIZED)
    photo.photo.update({tag: text.encode() for tag, text in zip(tags, texts, strict=False)})
    photo.gps.update({exif.GPS_TIME: tuple(clock), exif.GPS_DATE: texts[4].encode()})
    time, _ = read_time(photo, dict.fromkeys(KEYS, texts))
    if time is not None:
        assert datetime.fromisoformat(time.isoformat()) == time
        zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
        assert abs(zoned - datetime.now(UTC)) >= timedelta(0)


def test_whose_clock_it_is():
    who = {MAKE: "Canon ", MODEL: "Canon EOS 6D"}
    assert photo({ORIGINAL: TEN, SERIAL: "012"}, main=who).camera == "Canon Canon EOS 6D 012"
    assert photo({ORIGINAL: TEN}).camera == ""
    assert photo({}, satellites("2024:05:01", 8, 0, 0), main=who).camera == "", "not the camera's clock"
    assert len(photo({ORIGINAL: TEN}, main={MAKE: "x" * 5000}).camera) == 200
