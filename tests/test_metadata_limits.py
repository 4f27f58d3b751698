"""Metadata of visitors costs neither time nor memory, and crashes nothing."""

import contextlib
import importlib
import struct
import time
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pytest
from conftest import encode, quarters
from metadata_samples import HERE, HERE_IN_XMP, TAJ, chunk, place, taken
from PIL import Image

from src.landmarks.evidence import Taken
from src.photos import exif, xmp
from src.photos.containers import EXIF_HEAD
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.exif_edit import with_position
from src.photos.read_metadata import read_taken
from src.photos.write_tags import embed, sidecar
from src.photos.xmp import parse, read_properties

# ---- XMP -------------------------------------------------------------------------------------------------


def around(middle: str) -> bytes:
    """XMP that says where, and something else in endless quantity."""
    return HERE_IN_XMP.replace(b"</rdf:Description>", f"{middle}</rdf:Description>".encode())


FLOODS = {
    "bytes": around("<dc:subject>" + "word " * 1_700_000 + "</dc:subject>"),
    "elements": around("<a/>" * 100_000),
    "elements, 8.8 MB": around("<a/>" * 2_200_000),
    "attributes": around("<dc:b " + " ".join(f'a{i}="x"' for i in range(30_000)) + "/>"),
    "depth": around("<a>" * 1_000 + "</a>" * 1_000),
    "entities": b'<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>' + HERE_IN_XMP,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_xmp_without_end_is_not_read(flood):
    photo = encode(Image.new("RGB", (64, 64)), "WEBP", xmp=FLOODS[flood])
    tracemalloc.start()
    start = time.process_time()
    try:
        assert taken(photo) == Taken()
        seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
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


def listed(key: str, words) -> str:
    return f"<{key}><rdf:Bag>{''.join(f'<rdf:li>{word}</rdf:li>' for word in words)}</rdf:Bag></{key}>"


BLANKS, MANY = " " * 10**6, xmp.MAX_ELEMENTS - 30
RUNS = {
    "in a start tag": HERE_IN_XMP.replace(b"><exif:GPSLat", f" dc:format='x'{BLANKS}><exif:GPSLat".encode()),
    "between attributes": HERE_IN_XMP.replace(b" xmlns:dc", f"{BLANKS}xmlns:dc".encode()),
    "in a list": around(f"<dc:subject><rdf:Bag>{BLANKS}<rdf:li>x</rdf:li></rdf:Bag></dc:subject>"),
    "behind the XMP": HERE_IN_XMP + f"{BLANKS}<?xpacket end='w'?>".encode(),
    "behind the XMP, without an end": HERE_IN_XMP + BLANKS.encode(),
    "in the declaration": f"<?xml{BLANKS}?>".encode() + HERE_IN_XMP,
    "in the declaration, UTF-16": f"<?xml{BLANKS[::2]}?>{HERE_IN_XMP.decode()}".encode("utf-16"),
    "in the declaration, UTF-16, broken": f"<?xml{BLANKS[::2]}".encode("utf-16"),
    "marks": xmp._MARK_TWICE * (10**6 // len(xmp._MARK_TWICE)) + HERE_IN_XMP,
    "descriptions": HERE_IN_XMP.replace(b"<rdf:D", b"<rdf:Description/>" * MANY + b"<rdf:D"),
    "keywords": around(listed("dc:subject", map(hex, range(MANY)))),
    "steps": around(
        listed("digiKam:TagsList", ["/".join(map(str, range(70_000)))])
        + listed("dc:subject", map(str, range(MANY)))
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_nearly_a_megabyte_of_the_same_takes_seconds_nowhere(run):
    """With time that grows with the square of the length each of these had taken minutes."""
    photo = encode(quarters(), "WEBP", xmp=RUNS[run])
    for step in (
        lambda: taken(photo),
        lambda: sidecar(photo, TAJ),
        lambda: sidecar(encode(quarters()), TAJ, RUNS[run]),
        lambda: embed(photo, TAJ),
    ):
        start = time.process_time()
        with contextlib.suppress(MetadataError):  # where it is broken, or more than fits
            step()
        assert time.process_time() - start < 5  # 0.1 for blanks, 0.6 for the rest, alone on a core


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
    start = time.process_time()
    opened = open_photo(photo)
    assert opened.picture().size == (64, 48)
    assert read_taken(opened) == Taken()
    assert time.process_time() - start < 1


def test_a_copy_of_exif_with_entries_of_unknown_type():
    """exiv2, which wrote copies once, crashed at a new value for such an entry."""
    for tag, kind in ((1, 0), (2, 0), (3, 255), (27, 0)):
        photo = encode(quarters(), exif=exif_block((tag, kind, 4, b"\2\3\0\0")))
        assert read_photo(embed(photo, TAJ)).tobytes() == read_photo(photo).tobytes()


def test_marks_before_exif_without_end():
    block = EXIF_HEAD * (10**6 // 6) + exif_block()[6:]
    start = time.process_time()
    assert exif.Exif(block).orientation == 0
    assert with_position(block, TAJ).startswith(block[: 10**6 - 6])
    assert time.process_time() - start < 1


def test_exif_that_is_too_large_to_be_read_stays_as_it_is():
    photo = encode(quarters(), "PNG", exif=exif_block() + b"\0" * 2**20)
    assert b"Taj Mahal" in sidecar(photo, TAJ)
    copy = embed(photo, TAJ)
    assert b"Taj Mahal" in copy and exif_block()[6:] + b"\0" * 2**20 in copy


# ---- Parts of a file -------------------------------------------------------------------------------------


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
    start = time.process_time()
    with pytest.raises(PhotoError, match="damaged"):
        open_photo(flooded(kind, 2_000_000))
    assert time.process_time() - start < 2


def test_resources_of_photoshop_without_end_are_not_read():
    resources = b"8BIM\x04\x0a\0\0\0\0\0\0" * 5400
    segment = b"\xff\xed" + struct.pack(">H", len(resources) + 16) + b"Photoshop 3.0\0" + resources
    plain = encode(quarters())
    photo = plain[:2] + segment * 500 + plain[2:]
    start = time.process_time()
    assert open_photo(photo).iptc == b""
    assert time.process_time() - start < 1


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


# ---- Warnings and crashes --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_no_warning_is_silenced_as_threads_share_the_filters(monkeypatch):
    monkeypatch.setattr(warnings, "catch_warnings", None)
    large = encode(Image.new("L", (12_000, 9_000), 90), "JPEG")  # more than Pillow warns of
    assert read_photo(large).size == (1500, 1125)
    animated = encode(quarters(40, 40), "PNG")
    at = animated.index(b"IDAT") - 4
    assert read_photo(animated[:at] + chunk(b"acTL", b"\0" * 8) + animated[at:]).size == (40, 40)
    assert taken(encode(quarters(), exif=BROKEN_EXIF["larger than the block"])) == Taken()


def test_mutated_files_end_in_a_result_or_a_sentence(monkeypatch):
    """The short form of `benchmarks/fuzz.py`; exiv2 crashed at two of these files."""
    pytest.importorskip("pillow_heif")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    seen, slowest, peak, bad = importlib.import_module("fuzz").run(600, 150)
    assert bad == []
    assert slowest < 5 and peak < 2**30
    steps = ("picture", "taken", "stripped", "tagged", "with_sidecar")
    assert all(seen[f"{step} {came}"] > 15 for step in steps for came in ("good", "sentence"))


def test_a_mistake_of_ours_is_no_broken_xmp():
    def start(name, attributes, at):
        return name.nothing_of_this_name

    with pytest.raises(AttributeError):
        parse(b"<a/>", "photo", start, lambda name, at: None, lambda value: None, prefixes=False)
