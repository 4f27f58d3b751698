"""Raw files of cameras: the camera's own picture is shown, and tags go into a sidecar only."""

import time
from datetime import datetime

import pytest
from conftest import quarters
from metadata_samples import NOWHERE, TAJ, packet, place, taken
from PIL import Image
from raw_samples import LOSSLESS, RAW_KINDS, box, jpeg, raw, tiff
from test_photos import BLUE, GREEN, RED, STORED, YELLOW, assert_close, corners

from src.photos import raw as raws
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.write_tags import embed, sidecar


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_the_largest_preview_is_shown(kind):
    photo = open_photo(raw(kind, quarters()), "a")
    assert photo.format == "RAW"
    picture = photo.picture()
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_where_and_when(kind):
    data = raw(kind, quarters())
    assert place(data) == pytest.approx((27.175100, 78.042100), abs=1e-5)
    assert taken(data).time == datetime(2024, 5, 1, 12, 34, 56)
    assert place(raw(kind, quarters(), where=False)) == NOWHERE


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("kind", RAW_KINDS)
def test_previews_are_turned_as_the_raw_file_says(kind, orientation):
    stored = quarters().transpose(STORED[orientation])
    picture = read_photo(raw(kind, stored, orientation=orientation))
    assert picture.size == (64, 48)
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("kind", RAW_KINDS)
def test_tags_go_into_a_sidecar_only(kind):
    data = raw(kind, quarters())
    assert b"Taj Mahal" in sidecar(data, TAJ)
    assert b"exif:GPSLatitude" not in sidecar(data, TAJ)  # the camera said where
    with pytest.raises(MetadataError, match="cannot be copied bit by bit"):
        embed(data, TAJ)


@pytest.mark.parametrize(
    "data",
    [
        tiff({50706: b"\1\4\0\0"}) + LOSSLESS,
        tiff({262: 32803}) + b"\xff\xd8\xff\xdb" * 10_000,
        box(b"ftyp", b"crx \0\0\0\1crx ") + b"\0\0\0\1mdat" * 10_000,
        b"FUJIFILMCCD-RAW 0201" + b"\xff" * 100,
        b"IIU\0\x08\0\0\0",
    ],
)
def test_raw_files_without_a_preview_are_refused(data):
    with pytest.raises(
        PhotoError, match=r"^a\.raw is a RAW file without a preview.*save the picture as JPEG\.$"
    ):
        read_photo(data, "a.raw")


def test_what_only_begins_like_a_preview_costs_no_time():
    head = tiff({50706: b"\1\4\0\0"})
    for filler in (
        b"\xff\xd8\xff\xe0\0\2" * 2**22,
        b"\xff\xd8\xff\xe0\xff\xff" * 2**22,
        b"\xff\xd8\xff\xdb" + b"\0" * 2**24,
    ):
        start = time.perf_counter()
        with pytest.raises(PhotoError, match="without a preview"):
            read_photo(head + filler)
        assert time.perf_counter() - start < 2


def test_a_preview_behind_raw_data_that_look_like_many_is_not_searched_for_without_end():
    chance = b"\xff\xd8\xff\xdb\0\2\0" * raws.MAX_CANDIDATES
    with pytest.raises(PhotoError, match="without a preview"):
        read_photo(tiff({50706: b"\1\4\0\0"}) + chance + jpeg(quarters()))


def test_a_large_raw_file_is_read_quickly():
    data = raw("NEF", Image.new("RGB", (6000, 4000), "red")) + bytes(range(256)) * 160_000
    start = time.perf_counter()
    assert read_photo(data).size == (1500, 1000)
    assert time.perf_counter() - start < 3


def test_xmp_in_raw_files():
    inside = packet(
        "<exif:GPSLatitude>13,9,48S</exif:GPSLatitude><exif:GPSLongitude>72,32,44W</exif:GPSLongitude>"
    )
    nef = tiff({700: inside, 262: 32803}) + jpeg(quarters())
    xmp = box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), inside)
    for data in (nef, raw("CR3", quarters(), where=False) + xmp):
        assert place(data) == pytest.approx((-13.163333, -72.545556))
