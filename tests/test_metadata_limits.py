"""Metadata of visitors costs neither time nor memory, crashes nothing, and needs no pixel decoded."""

import dataclasses
import importlib
import io
import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, FORMS, HERE, NOWHERE, RDF, TAJ, packet, place, taken
from PIL import Image, ImageFile, PngImagePlugin

from src.landmarks.evidence import Taken
from src.photos import write_tags, xmp, xmp_edit
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.read_metadata import read_taken, said_by
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar
from src.photos.xmp import KEYS, parse, read_properties

INSIDE = packet(
    "<exif:GPSLatitude>13,9.798S</exif:GPSLatitude><exif:GPSLongitude>72,32.736W</exif:GPSLongitude>"
)


def around(middle: str) -> bytes:
    """XMP that says where, and something else in endless quantity."""
    return INSIDE.replace(b"</rdf:Description>", f"{middle}</rdf:Description>".encode())


FLOODS = {
    "bytes": around("<dc:subject>" + "word " * 1_700_000 + "</dc:subject>"),
    "elements": around("<a/>" * 100_000),
    "elements, 8.8 MB": around("<a/>" * 2_200_000),
    "attributes": around("<dc:b " + " ".join(f'a{i}="x"' for i in range(30_000)) + "/>"),
    "depth": around("<a>" * 1_000 + "</a>" * 1_000),
    "entities": b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>' + INSIDE,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_xmp_without_end_is_not_read(flood):
    photo = encode(Image.new("RGB", (64, 64)), "WEBP", xmp=FLOODS[flood])
    tracemalloc.start()
    start = time.perf_counter()
    try:
        assert taken(photo) == Taken()
        seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < 2
    assert peak < 25e6 + len(photo)
    assert b"Taj Mahal" in sidecar(photo, TAJ)
    with pytest.raises(MetadataError, match="holds XMP that cannot be read; write a sidecar"):
        embed(photo, TAJ)


def test_xmp_just_below_the_limits_is_read_without_an_object_per_element():
    inside = around("<a/>" * (xmp.MAX_ELEMENTS - 20))
    tracemalloc.start()
    try:
        assert read_properties(inside, ("exif:GPSLatitude",)) == {"exif:GPSLatitude": ["13,9.798S"]}
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert place(encode(quarters(), "WEBP", xmp=inside)) == pytest.approx(HERE, abs=1e-5)


def test_a_sidecar_without_end_is_left_alone():
    with pytest.raises(
        MetadataError, match=r"^a\.xmp holds more XMP than is read here \(1 MB, .*move it away\.$"
    ):
        sidecar(encode(quarters()), TAJ, FLOODS["bytes"], old_name="a.xmp")


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


# ---- EXIF ------------------------------------------------------------------------------------------------


def exif_block(*entries: tuple[int, int, int, bytes], pointer: int = 0x8825) -> bytes:
    """EXIF with entries (tag, type, count, four bytes) in the block that the pointer leads to."""
    main = struct.pack(">HHHLLL", 1, pointer, 4, 1, 26, 0)
    rows = b"".join(struct.pack(">HHL4s", *entry) for entry in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + main + struct.pack(">H", len(entries)) + rows + b"\0" * 4


BROKEN_EXIF = {
    "larger than the block": exif_block(*((tag, 5, 9999, b"\0\0\xff\0") for tag in range(5000))),
    "one place for all": exif_block(*((tag, 5, 7000, b"\0\0\0\x08") for tag in range(5000))),
    "unknown types": exif_block(*((tag, 99, 1, b"\0\0\0\0") for tag in range(1, 31))),
    "a block that is its own": exif_block((0x8825, 4, 1, b"\0\0\0\x1a")),
    "behind the end": exif_block()[:16] + b"\xff\xff\xff\xff" * 4,
    "numbers that are none": exif_block((2, 12, 3, b"\0\0\0\x08"), (4, 11, 1, b"\x7f\xc0\0\0")),
    "cut": exif_block((1, 2, 2, b"N\0\0\0"))[:-7],
}


@pytest.mark.parametrize("broken", BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.filterwarnings("error")
def test_broken_exif_says_nothing_at_no_cost(broken, kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    photo = encode(quarters(), kind, exif=BROKEN_EXIF[broken])
    start = time.perf_counter()
    opened = open_photo(photo)
    assert opened.picture().size == (64, 48)
    assert read_taken(opened) == Taken()
    assert time.perf_counter() - start < 1


def test_a_copy_of_exif_with_entries_of_unknown_type():
    """exiv2, which wrote copies once, crashed at a new value for such an entry."""
    for tag, kind in ((1, 0), (2, 0), (3, 255), (27, 0)):
        photo = encode(quarters(), exif=exif_block((tag, kind, 4, b"\2\3\0\0")))
        assert read_photo(embed(photo, TAJ)).tobytes() == read_photo(photo).tobytes()


def test_exif_that_is_too_large_to_be_read_stays_as_it_is():
    photo = encode(quarters(), "PNG", exif=exif_block() + b"\0" * 2**20)
    assert b"Taj Mahal" in sidecar(photo, TAJ)
    copy = embed(photo, TAJ)
    assert b"Taj Mahal" in copy and exif_block()[6:] + b"\0" * 2**20 in copy


# ---- Where it stands in the file -------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def text_chunk(packed: bool) -> bytes:
    head = b"XML:com.adobe.xmp\0" + bytes([packed, 0]) + b"\0\0"
    return chunk(b"iTXt", head + (zlib.compress(INSIDE) if packed else INSIDE))


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


def test_a_png_text_that_unpacks_without_end():
    bomb = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<a/>" * 5_000_000))
    plain = encode(quarters(), "PNG")
    photo = plain[:33] + bomb * 200 + plain[33:]
    tracemalloc.start()
    try:
        assert taken(photo) == Taken()
        assert read_photo(photo).size == (64, 48)
        assert tracemalloc.get_traced_memory()[1] < 15e6
    finally:
        tracemalloc.stop()


def test_xmp_in_a_gif():
    plain = encode(quarters(), "GIF")
    at = 13 + (3 << (plain[10] & 7) + 1)
    tail = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    block = b"!\xff\x0bXMP DataXMP" + INSIDE + tail
    photo = plain[:at] + block + plain[at:]
    assert open_photo(photo).xmp == INSIDE
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


# ---- Parts without end, warnings and thumbnails ----------------------------------------------------------


PART = {
    "JPEG": b"\xff\xe5\0\2",
    "PNG": chunk(b"IDAT", b""),
    "GIF": b"\1a",
    "GIF, extensions": b"\0!\xfe\1a",
}


def flooded(kind: str, count: int) -> bytes:
    """A photo with so many small parts before its picture."""
    photo = encode(quarters(), kind.partition(",")[0])
    if kind.startswith("GIF"):
        at = 13 + (3 << (photo[10] & 7) + 1)
        return photo[:at] + b"!\xfe" + PART[kind] * count + b"\0" + photo[at:]
    at = {"JPEG": 2, "PNG": 33}[kind]
    return photo[:at] + PART[kind] * count + photo[at:]


@pytest.mark.parametrize("kind", PART)
def test_parts_without_end_are_refused_at_once(kind):
    assert read_photo(flooded(kind, 1000)).size == (64, 48)
    start = time.perf_counter()
    with pytest.raises(PhotoError, match="damaged"):
        open_photo(flooded(kind, 2_000_000))
    assert time.perf_counter() - start < 2


def test_resources_of_photoshop_without_end_are_not_read():
    resources = b"8BIM\x04\x0a\0\0\0\0\0\0" * 5400
    segment = b"\xff\xed" + struct.pack(">H", len(resources) + 16) + b"Photoshop 3.0\0" + resources
    plain = encode(quarters())
    photo = plain[:2] + segment * 500 + plain[2:]
    start = time.perf_counter()
    assert open_photo(photo).iptc == b""
    assert time.perf_counter() - start < 1


@pytest.mark.filterwarnings("error")
def test_no_warning_is_silenced_as_threads_share_the_filters(monkeypatch):
    monkeypatch.setattr(warnings, "catch_warnings", None)
    large = encode(Image.new("L", (12_000, 9_000), 90), "JPEG")  # more than Pillow warns of
    assert read_photo(large).size == (1500, 1125)
    animated = encode(quarters(40, 40), "PNG")
    at = animated.index(b"IDAT") - 4
    assert read_photo(animated[:at] + chunk(b"acTL", b"\0" * 8) + animated[at:]).size == (40, 40)
    assert taken(encode(quarters(), exif=BROKEN_EXIF["larger than the block"])) == Taken()


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


def test_a_copy_that_is_turned_otherwise_is_not_made(monkeypatch):
    photo = encode(quarters(), exif=with_orientation(6))
    turned = encode(quarters(), exif=with_orientation(8))
    monkeypatch.setattr(write_tags, "put_together", lambda *_, **__: turned)
    with pytest.raises(MetadataError, match="cannot take tags without harm to the picture"):
        embed(photo, TAJ)


def test_only_a_whole_exif_header_counts():
    """Other programs read none otherwise, and rewriting the file drops it."""
    photo = encode(quarters(), exif=with_orientation(6))
    assert open_photo(photo).orientation == 6
    assert open_photo(photo.replace(b"Exif\0\0", b"Exif\0\1")).orientation == 1


def test_a_photo_is_decoded_once():
    opened = open_photo(encode(quarters()))
    opened.picture()
    with pytest.raises(ValueError, match="decoded before"):
        opened.picture()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_orientation_in_xmp_counts_where_exif_has_none(orientation):
    tiff = f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"'
    inside = f"<rdf:RDF {RDF}><rdf:Description {tiff}/></rdf:RDF>"
    size = (48, 64) if orientation == 6 else (64, 48)
    photo = encode(quarters(), xmp=inside.encode())
    assert read_photo(photo).size == read_photo(strip_metadata(photo)).size == size
    assert read_photo(encode(quarters(), xmp=inside.encode(), exif=with_orientation(8))).size == (48, 64)


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_mutated_files_end_in_a_result_or_a_sentence(monkeypatch):
    """The short form of `benchmarks/fuzz.py`; exiv2 crashed at two of these files."""
    pytest.importorskip("pillow_heif")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    seen, slowest, peak, bad = importlib.import_module("fuzz").run(600, 150)
    assert bad == []
    assert slowest < 5 and peak < 2**30
    steps = ("picture", "taken", "stripped", "tagged", "with_sidecar")
    assert all(seen[f"{step} {came}"] > 20 for step in steps for came in ("good", "sentence"))


def test_a_mistake_of_ours_is_no_broken_xmp():
    def start(name, attributes, at):
        return name.nothing_of_this_name

    with pytest.raises(AttributeError):
        parse(b"<a/>", "photo", start, lambda name, at: None, lambda value: None, prefixes=False)
