"""AVIF, TIFF and BMP: right in their colours and upright, and harmless."""

import struct
from datetime import datetime

import numpy as np
import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, HERE, TAJ, packet, place, taken, with_exif
from PIL import Image, ImageCms, features
from raw_samples import WHEN, structure, tiff
from test_photos import BLUE, GREEN, RED, STORED, YELLOW, assert_close, corners

from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.read_metadata import said_by
from src.photos.write_tags import embed, sidecar

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF here")
KINDS = [pytest.param("AVIF", marks=needs_avif), "TIFF", "BMP"]
DESCRIBED = [pytest.param("AVIF", marks=needs_avif), "TIFF"]  # formats with metadata
CORNERS = [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize("kind", KINDS)
def test_colours(kind):
    options = {"quality": 95, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    photo = open_photo(encode(quarters(), kind, **options), "a.jpg")
    picture = photo.picture()
    assert (photo.format, picture.mode, picture.size) == (kind, "RGB", (64, 48))
    assert_close(corners(picture), CORNERS, tolerance=24)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", DESCRIBED)
def test_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters() if STORED[orientation] is None else quarters().transpose(STORED[orientation])
    options = {"quality": 95, "subsampling": "4:4:4"} if kind == "AVIF" else {}
    picture = read_photo(encode(stored, kind, exif=exif, **options))
    assert picture.size == (64, 48)
    assert_close(corners(picture), CORNERS, tolerance=24)


@needs_avif
def test_where_and_when_in_an_avif():
    data = with_exif(CAMERA, "2024:05:01 12:34:56", kind="AVIF")
    assert place(data) == pytest.approx(HERE)
    assert taken(data).time == datetime(2024, 5, 1, 12, 34, 56)


def test_where_and_when_behind_the_pixels_of_a_large_tiff():
    """libtiff writes its directory last; EXIF blocks of other formats are read up to a megabyte."""
    pixels = np.random.default_rng(0).bytes(800 * 600 * 3)
    said = {256: 800, 257: 600, 258: (8, 8, 8), 262: 2, 273: 8, 277: 3, 278: 600, 279: len(pixels)}
    at = 8 + len(pixels)
    data = (
        b"II*\0"
        + struct.pack("<L", at)
        + pixels
        + structure(said | {0x8825: CAMERA, 0x8769: {0x9003: WHEN}}, at=at)
    )
    assert place(data) == pytest.approx(HERE)
    assert taken(data).time == datetime(2024, 5, 1, 12, 34, 56)
    assert read_photo(data).size == (800, 600)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_xmp(kind):
    inside = packet(
        "<exif:GPSLatitude>13,9,48S</exif:GPSLatitude><exif:GPSLongitude>72,32,44W</exif:GPSLongitude>"
    )
    options = {"tiffinfo": {700: inside}} if kind == "TIFF" else {"xmp": inside}
    assert place(encode(quarters(), kind, **options)) == pytest.approx((-13.163333, -72.545556))


def test_iptc_in_a_tiff():
    iptc = b"\x1c\x02\x5a\0\x04Agra"
    resources = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(iptc)) + iptc + b"\0"
    for tag, value in [(33723, iptc), (34377, resources)]:
        data = encode(quarters(), "TIFF", tiffinfo={tag: value})
        assert said_by(open_photo(data))["photoshop:City"] == ["Agra"]


@pytest.mark.parametrize("kind", KINDS)
def test_tags_go_into_a_sidecar_only(kind):
    data = encode(quarters(), kind)
    assert b"Taj Mahal" in sidecar(data, TAJ)
    with pytest.raises(MetadataError, match="save it as JPEG, PNG or WebP first"):
        embed(data, TAJ)


@pytest.mark.parametrize(
    "compression", [None, "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits", "tiff_deflate"]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "1"])
def test_kinds_of_tiff(mode, compression):
    if compression == "jpeg" and mode in ("P", "RGBA", "1"):
        pytest.skip("there is no such JPEG")
    picture = quarters().convert(mode)
    read = read_photo(encode(picture, "TIFF", compression=compression))
    assert_close(corners(read), corners(picture.convert("RGB")), tolerance=12)


def deep(picture, order, samples="RGB"):
    """A TIFF of 16 bit a channel, in an order of bytes."""
    values = np.asarray(picture.convert(samples)).astype(np.uint16) * 257
    channels = 1 if values.ndim == 2 else values.shape[2]
    pixels = values.astype(">u2" if order == "MM" else "<u2").tobytes()
    said = {256: picture.width, 257: picture.height, 258: (16,) * channels, 262: {1: 1, 3: 2, 4: 5}[channels]}
    said |= {273: 8, 277: channels, 278: picture.height, 279: len(pixels)}
    at = struct.pack("<L" if order == "II" else ">L", 8 + len(pixels))
    head = b"II*\0" if order == "II" else b"MM\0*"
    return head + at + pixels + structure(said, order, 8 + len(pixels))


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("samples", ["RGB", "L", "CMYK"])
def test_16_bit_tiff(order, samples):
    wanted = corners(quarters().convert(samples).convert("RGB"))
    assert_close(corners(read_photo(deep(quarters(), order, samples))), wanted, tolerance=2)


def test_first_page_and_first_frame():
    others = [Image.new("RGB", (64, 48), "black")] * 2
    for kind in ["TIFF", *(["AVIF"] if features.check("avif") else [])]:
        data = encode(quarters(), kind, save_all=True, append_images=others)
        assert_close(corners(read_photo(data)), CORNERS, tolerance=70)


def test_transparent_becomes_white():
    page = Image.new("RGBA", (64, 48), (200, 0, 0, 0))
    for kind in ["TIFF", *(["AVIF"] if features.check("avif") else [])]:
        assert_close([read_photo(encode(page, kind)).getpixel((9, 9))], [(255, 255, 255)], tolerance=4)


@pytest.mark.parametrize("kind", DESCRIBED)
def test_colour_profile_is_applied(kind):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmpp").replace(b"bXYZ", b"rXYZ").replace(b"tmpp", b"bXYZ")
    picture = Image.new("RGB", (64, 48), (200, 30, 60))
    read = read_photo(encode(picture, kind, icc_profile=swapped))
    assert_close([read.getpixel((9, 9))], [(60, 30, 200)], tolerance=8)


@needs_avif
@pytest.mark.parametrize(("first", "other"), [(b"mif1", b"avif"), (b"avif", b"heic")])
def test_brands_of_avif(first, other):
    data = encode(quarters(), "AVIF")
    at = data.index(b"avif", 16)
    photo = open_photo(data[:8] + first + data[12:at] + other + data[at + 4 :])
    assert photo.format == "AVIF"
    assert photo.picture().size == (64, 48)


def test_kinds_of_bmp():
    """Compressed ones are refused: they are unpacked in Python, which takes too long."""
    data = encode(quarters().convert("P"), "BMP")
    assert read_photo(data).size == (64, 48)
    packed = data[:30] + struct.pack("<L", 1) + data[34:]
    with pytest.raises(PhotoError, match="is a kind of BMP that cannot be read here; save it as PNG"):
        read_photo(packed)


@pytest.mark.parametrize(
    "said",
    [
        {259: 3},  # fax
        {259: 6},  # old JPEG
        {259: 50001},  # WebP
        {258: 32, 339: 3},  # floating point
        {258: 12},
        {262: 8},  # CIE L*a*b*
        {322: 2**20, 323: 2**20},  # tiles
        {277: 9},
    ],
)
def test_kinds_of_tiff_that_are_refused(said):
    main = {256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 48, 279: 3072}
    assert read_photo(tiff(main, gap=bytes(3072))).size == (64, 48)
    with pytest.raises(
        PhotoError, match=r"^a\.tif is a kind of TIFF that cannot be read here; save it as JPEG\.$"
    ):
        read_photo(tiff(main | said, gap=bytes(3072)), "a.tif")
