"""What a photo says itself: where and when it was taken."""

from datetime import datetime

import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, HERE, NOWHERE, TAJ, packet, place, rational, taken, with_exif
from PIL import TiffImagePlugin

from src.photos import xmp
from src.photos.write_tags import embed, sidecar
from src.photos.xmp import ESTIMATE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
def test_where_and_when_a_photo_was_taken(kind):
    data = with_exif(CAMERA, "2024:05:01 12:34:56", kind=kind)
    assert place(data) == pytest.approx(HERE)
    assert taken(data).time == datetime(2024, 5, 1, 12, 34, 56)


@pytest.mark.parametrize(
    "gps",
    [
        None,
        {},
        {1: "N", 3: "E"},
        {1: "N", 2: rational(0, 0, 0), 3: "E", 4: rational(0, 0, 0)},
        {
            1: "N",
            2: (TiffImagePlugin.IFDRational(0, 0),) * 3,
            3: "E",
            4: (TiffImagePlugin.IFDRational(0, 0),) * 3,
        },
        {2: rational(48, 0, 0), 4: rational(2, 0, 0)},
        {1: "N", 2: rational(99, 0, 0), 3: "E", 4: rational(2, 0, 0)},
        {**CAMERA, 27: b"ASCII\0\0\0" + ESTIMATE.encode()},
    ],
)
def test_coordinates_that_are_none(gps):
    assert place(with_exif(gps)) == NOWHERE


def test_coordinates_that_cannot_be_read_are_still_the_cameras():
    unclear = with_exif({2: rational(48, 0, 0), 4: rational(2, 0, 0)})
    assert b"GPSLatitude" not in sidecar(unclear, TAJ)
    void = with_exif({1: "N", 2: rational(0, 0, 0), 3: "E", 4: rational(0, 0, 0)})
    assert b"GPSLatitude" in sidecar(void, TAJ)


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("27,10.506N", "78,2.526E", (27.1751, 78.0421)),
        ("13,9,48S", "72,32,44W", (-13.163333, -72.545556)),
        ("48.8584", "-2.2945", (48.8584, -2.2945)),
        ("north", "78,2.526E", None),
        ("27,10.506N", "", None),
    ],
)
def test_coordinates_from_xmp(latitude, longitude, expected):
    inside = packet(
        f"<exif:GPSLatitude>{latitude}</exif:GPSLatitude><exif:GPSLongitude>{longitude}</exif:GPSLongitude>"
    )
    found = place(encode(quarters(), xmp=inside))
    assert found == (pytest.approx(expected, abs=1e-5) if expected else NOWHERE)


@pytest.mark.parametrize(
    ("latitude", "longitude", "refs", "expected"),
    [
        ("33", "68", "SW", (-33, -68)),
        ("33", "68", "NE", (33, 68)),
        ("-33", "-68", "SW", (-33, -68)),
        ("33,30S", "68,30W", "SW", (-33.5, -68.5)),
        ("33", "68", "", (33, 68)),
        ("33", "-68", "NE", None),
    ],
)
def test_coordinates_whose_direction_stands_apart(latitude, longitude, refs, expected):
    """immich #3540, #6580: 68 with a reference W was taken for the eastern hemisphere."""
    values = {"Latitude": latitude, "Longitude": longitude}
    values |= dict(zip(("LatitudeRef", "LongitudeRef"), refs, strict=False))
    said = packet(*(f"<exif:GPS{name}>{value}</exif:GPS{name}>" for name, value in values.items()))
    assert place(encode(quarters(), xmp=said)) == (expected or NOWHERE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_predictions_are_not_read_as_measurements(kind):
    assert place(embed(encode(quarters(), kind), TAJ)) == NOWHERE


@pytest.mark.parametrize("said", [None, "", "    :  :     :  :  ", "0000:00:00 00:00:00", "yesterday"])
def test_times_that_are_none(said):
    assert taken(with_exif(taken=said)).time is None


@pytest.mark.parametrize(
    ("degrees", "expected"), [(-0.00001, "0,0.0006S"), (59.9999999, "60,0.0000N"), (90, "90,0.0000N")]
)
def test_coordinates_at_the_edges(degrees, expected):
    assert xmp.coordinate(degrees, "NS") == expected
