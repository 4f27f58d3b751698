"""Metadata is found in whatever block of a file it stands, read alike by all, and needs no pixel decoded."""

import dataclasses
import io
import struct
import zlib

import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, FORMS, HERE, HERE_IN_XMP, NOWHERE, RDF, TAJ, chunk, packet, place, taken
from PIL import Image, ImageFile, PngImagePlugin

from src.landmarks.evidence import Taken
from src.photos import write_tags, xmp_edit
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError
from src.photos.read_metadata import read_taken, said_by
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar
from src.photos.xmp import KEYS, read_properties

# ---- What XMP says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tagged", [False, True])
def test_the_light_reader_says_what_the_editor_says(form, tagged):
    data = FORMS[form].encode()
    data = sidecar(encode(quarters()), dataclasses.replace(TAJ, latitude=None), data) if tagged else data
    before = xmp_edit.Packet(xmp_edit.remove(data, "x"), "x")
    assert read_properties(data, KEYS) == {key: before.values(key) for key in KEYS}


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (
            "<dc:subject>\n<rdf:Bag> <rdf:li> a </rdf:li> <rdf:li>b<c>d</c></rdf:li></rdf:Bag> </dc:subject>",
            ["a", "b"],
        ),
        ("<dc:subject>a &amp; <!-- b -->c</dc:subject>", ["a & c"]),
        ("<dc:subject/>", [""]),
        ("<dc:subject><rdf:Bag/></dc:subject>", []),
        ("<a><dc:subject>x</dc:subject></a>", []),
        (
            "<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>",
            ["a"],
        ),
        (
            "</rdf:Description><rdf:Description><dc:subject xmlns:dc='http://purl.org/dc/elements/1.1/'>x</dc:subject>",
            ["x"],
        ),
    ],
)
def test_values_of_a_property(inside, said):
    data = packet(inside)
    assert read_properties(data, ("dc:subject",)) == {"dc:subject": said}
    assert xmp_edit.Packet(data, "x").values("dc:subject") == said


# ---- Where it stands in the file -------------------------------------------------------------------------


def text_chunk(packed: bool) -> bytes:
    head = b"XML:com.adobe.xmp\0" + bytes([packed, 0]) + b"\0\0"
    return chunk(b"iTXt", head + (zlib.compress(HERE_IN_XMP) if packed else HERE_IN_XMP))


def raw_profile(exif: bytes) -> bytes:
    """As ImageMagick writes EXIF into a PNG: in hexadecimal digits."""
    text = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[0x8825] = CAMERA
    return exif.tobytes()


BLOCKS = {
    "eXIf": lambda: chunk(b"eXIf", camera_exif()[6:]),
    "iTXt": lambda: text_chunk(False),
    "iTXt, packed": lambda: text_chunk(True),
    "raw profile": lambda: raw_profile(camera_exif()),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("behind", [False, True])
def test_metadata_of_a_png_needs_no_pixel(block, behind, monkeypatch):
    plain = encode(quarters(), "PNG")
    at = plain.index(b"IEND") - 4 if behind else 33
    photo = plain[:at] + BLOCKS[block]() + plain[at:]
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", None)
    opened = open_photo(photo)
    assert read_taken(opened) == Taken(None, *(pytest.approx(degrees, abs=1e-5) for degrees in HERE))
    assert said_by(opened)["exif:GPSLatitude"]
    assert b"Taj Mahal" in sidecar(photo, TAJ)
    assert strip_metadata(photo) == plain


def test_tags_in_a_copy_of_a_png_need_no_pixel(monkeypatch):
    photo = encode(quarters(), "PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    assert place(embed(photo, TAJ)) == NOWHERE


def test_a_photo_is_decoded_once():
    opened = open_photo(encode(quarters()))
    opened.picture()
    with pytest.raises(ValueError, match="decoded before"):
        opened.picture()


def test_xmp_in_a_gif():
    plain = encode(quarters(), "GIF")
    at = 13 + (3 << (plain[10] & 7) + 1)
    tail = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    block = b"!\xff\x0bXMP DataXMP" + HERE_IN_XMP + tail
    photo = plain[:at] + block + plain[at:]
    assert open_photo(photo).xmp == HERE_IN_XMP
    assert place(photo) == pytest.approx(HERE, abs=1e-5)
    assert read_photo(photo).tobytes() == read_photo(plain).tobytes()


def test_iptc_of_a_jpeg_is_said(tmp_path):
    entries = b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text
        for number, text in ((25, b"famille"), (25, "Ärger".encode("latin-1")), (90, b"Cusco"))
    )
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(entries)) + entries
    segment = b"Photoshop 3.0\0" + b"8BIM\x04\x0a\x03abc\0\0\0\2xx" + resource
    plain = encode(quarters())
    photo = plain[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    said = said_by(open_photo(photo))
    assert said["dc:subject"] == ["famille", "Ärger"]
    assert said["photoshop:City"] == ["Cusco"]


# ---- Which of two counts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "<exif:DateTimeOriginal>2024-05-01T12:34:56.25+02:00</exif:DateTimeOriginal>",
            "2024-05-01 12:34:56.250000+02:00",
        ),
        ("<photoshop:DateCreated>2024-05-01T12:34:56</photoshop:DateCreated>", "2024-05-01 12:34:56"),
        ("<photoshop:DateCreated>2024-05</photoshop:DateCreated>", "None"),
    ],
)
def test_the_time_in_xmp_counts_where_exif_has_none(said, expected):
    assert str(taken(encode(quarters(), xmp=packet(said))).time) == expected
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05"}
    assert str(taken(encode(quarters(), xmp=packet(said), exif=exif)).time) == "2020-01-02 03:04:05"


def test_coordinates_of_a_person_in_place_of_ours_are_read():
    ours = sidecar(encode(quarters()), TAJ)
    assert place(encode(quarters(), xmp=ours)) == NOWHERE
    lines = {b"27,10.5N": b"13,9.798S", b"78,2.5E": b"72,32.736W"}
    moved = ours
    for tag in (b"exif:GPSLatitude", b"exif:GPSLongitude"):
        for old, new in lines.items():
            moved = moved.replace(b"<%s>%s<" % (tag, old), b"<%s>%s<" % (tag, new))
    assert place(encode(quarters(), xmp=moved)) == pytest.approx(HERE, abs=1e-4)


# ---- Thumbnails ------------------------------------------------------------------------------------------


THUMBNAIL = bytes([200, 30, 60]) * 20 * 15
JPEG_EXTRAS = {
    "JFIF": (0xE0, b"JFIF\0\1\2\0\0\1\0\1" + bytes([20, 15]) + THUMBNAIL),
    "JFXX, RGB": (0xE0, b"JFXX\0\x13" + bytes([20, 15]) + THUMBNAIL),
    "JFXX, JPEG": (0xE0, b"JFXX\0\x10" + encode(Image.new("RGB", (20, 15)))),
    "Adobe": (0xEE, b"Adobe\0\x64\0\0\0\0\1" + THUMBNAIL),
}


@pytest.mark.parametrize("extra", JPEG_EXTRAS)
def test_no_thumbnail_stays_in_a_copy_without_metadata(extra):
    marker, data = JPEG_EXTRAS[extra]
    plain = encode(quarters(), quality=95)
    segment = bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data
    rest = plain[20:] if extra == "JFIF" else plain[2:]  # in place of the one without a thumbnail
    photo = plain[:2] + segment + rest
    stripped = strip_metadata(photo)
    assert THUMBNAIL[:60] not in stripped and b"JFXX" not in stripped
    assert stripped.count(b"\xff\xd8") == 1
    assert read_photo(stripped).tobytes() == read_photo(photo).tobytes()
    assert strip_metadata(stripped) == stripped
    if extra == "JFIF":  # version and pixel density stay
        assert stripped[2:20] == b"\xff\xe0\0\x10JFIF\0\1\2\0\0\1\0\1\0\0"
        assert Image.open(io.BytesIO(stripped)).info["jfif_version"] == (1, 2)


# ---- How a photo is turned -------------------------------------------------------------------------------


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_only_a_whole_exif_header_counts():
    """Other programs read none otherwise, and rewriting the file drops it."""
    photo = encode(quarters(), exif=with_orientation(6))
    assert open_photo(photo).orientation == 6
    assert open_photo(photo.replace(b"Exif\0\0", b"Exif\0\1")).orientation == 1


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_orientation_in_xmp_counts_where_exif_has_none(orientation):
    tiff = f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"'
    inside = f"<rdf:RDF {RDF}><rdf:Description {tiff}/></rdf:RDF>"
    size = (48, 64) if orientation == 6 else (64, 48)
    photo = encode(quarters(), xmp=inside.encode())
    assert read_photo(photo).size == read_photo(strip_metadata(photo)).size == size
    assert read_photo(encode(quarters(), xmp=inside.encode(), exif=with_orientation(8))).size == (48, 64)


def test_a_copy_that_is_turned_otherwise_is_not_made(monkeypatch):
    photo = encode(quarters(), exif=with_orientation(6))
    turned = encode(quarters(), exif=with_orientation(8))
    monkeypatch.setattr(write_tags, "put_together", lambda *_, **__: turned)
    with pytest.raises(MetadataError, match="cannot take tags without harm to the picture"):
        embed(photo, TAJ)
