"""What is no photo, or no harmless one, is refused with one sentence, before it costs time or memory."""

import importlib
import os
import struct
import time
import tracemalloc

import pytest
from conftest import encode, png, quarters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from raw_samples import RAW_KINDS, raw, tiff

from src.photos import decode as photos
from src.photos import headers, jxl
from src.photos.decode import read_photo
from src.photos.errors import PhotoError
from src.photos.formats import FORMATS


@pytest.mark.parametrize("name", ["taj.png", "taj", "taj.pdf", "taj.heic"])
def test_content_tells_the_format_not_the_name(name, jpeg):
    assert read_photo(jpeg, name).size == (320, 240)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7 and so on",
        b"just text",
        b"\0" * 1000,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<html><script>alert(1)</script>",
        b"\0\0\0\x18ftypmp42" + b"\0" * 100,
    ],
)
def test_not_a_picture(data):
    wanted = f"holiday.pdf is not a picture that can be read here; use {FORMATS}."
    with pytest.raises(PhotoError) as caught:
        read_photo(data, "holiday.pdf")
    assert str(caught.value) == wanted


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "EPS", "PCX", "JPEG2000"])
def test_only_the_decoders_of_the_list(kind):
    try:
        data = encode(quarters(), kind)
    except (KeyError, OSError):
        pytest.skip(f"Pillow cannot write {kind} here")
    with pytest.raises(PhotoError, match="not a picture that can be read here"):
        read_photo(data, "picture")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF", "TIFF", "BMP"])
@pytest.mark.parametrize("keep", [0.01, 0.3, 0.8])
def test_cut_short(kind, keep):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow has no AVIF here")
    data = encode(Image.effect_noise((200, 150), 60).convert("RGB"), kind)
    data = data[: max(20, int(len(data) * keep))]
    with pytest.raises(PhotoError, match=r"^cut\.jpg is damaged or incomplete; save or send it again\.$"):
        read_photo(data, "cut.jpg")


def test_empty():
    with pytest.raises(PhotoError, match=r"^empty\.jpg is empty; choose another file\.$"):
        read_photo(b"", "empty.jpg")


def test_too_many_bytes(monkeypatch, jpeg):
    monkeypatch.setattr(photos, "MAX_BYTES", 2**20)
    for name, remedy in (("big.jpg", "use a smaller copy"), ("big.ARW", "save the picture as JPEG")):
        with pytest.raises(PhotoError) as caught:
            read_photo(jpeg.ljust(2**20 + 1, b"\0"), name)
        assert str(caught.value) == f"{name} has 2 MB, and at most 1 MB can be read; {remedy}."


def test_too_small():
    with pytest.raises(PhotoError, match=r"dot\.png is too small.*32 × 32"):
        read_photo(encode(quarters(31, 200), "PNG"), "dot.png")
    with pytest.raises(PhotoError, match="too narrow"):
        read_photo(encode(Image.new("L", (60_000, 100)), "PNG"), "line.png")


def test_name_in_the_message_is_short_and_plain():
    with pytest.raises(PhotoError) as caught:
        read_photo(b"x", "../../etc/\u202egnp\n" + "a" * 300 + ".jpg")
    message = str(caught.value)
    assert "\n" not in message
    assert "\u202e" not in message
    assert "/" not in message
    assert len(message) < 200
    assert ".jpg is not" in message


def bomb_jpeg(width, height, progressive=False):
    """A small JPEG whose header claims another size."""
    data = encode(quarters(), progressive=progressive)
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def bomb_webp(width, height):
    """An animated WebP whose header claims another canvas."""
    data = bytearray(encode(quarters(), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))]))
    assert data[12:16] == b"VP8X"
    data[24:27] = (width - 1).to_bytes(3, "little")
    data[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(data)


def bomb_bmp(width, height):
    data = encode(quarters(), "BMP")
    return data[:18] + struct.pack("<LL", width, height) + data[26:]


BITS_16 = {258: (16, 16, 16), 259: 8, 262: 2, 277: 3}
BOMBS = {
    "png": png(60_000, 60_000, rows=b"\0" * 1_000_000),
    "png at Pillow's own limit": png(12_000, 12_000, rows=b"\0" * 1000),
    "jpeg": bomb_jpeg(65_000, 65_000),
    "progressive jpeg": bomb_jpeg(12_000, 12_000, progressive=True),
    "webp": bomb_webp(16_383, 16_383),
    "bmp": bomb_bmp(60_000, 60_000),
    "tiff": tiff({256: 60_000, 257: 60_000, 258: 8, 259: 8, 262: 1, 277: 1, 273: 8, 278: 60_000, 279: 9}),
    "tiff of few and large pixels": tiff(BITS_16 | {256: 8000, 257: 7000, 273: 8, 278: 7000, 279: 9}),
    "tiff of endless strips": tiff(BITS_16 | {256: 64, 257: 48, 278: 1, 279: (9,) * 200_000}),
    "raw": raw("DNG", quarters()).replace(b"\0\x11\x08\0\x30\0\x40", b"\0\x11\x08\xff\xff\xff\xff"),
    "gif": b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + b"\0\0\0" + b"," + b"\0" * 30,
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.filterwarnings("error")
def test_bombs_are_refused_before_they_unpack(bomb):
    tracemalloc.start()
    try:
        with pytest.raises(PhotoError, match=r"^bomb is .*too large a picture to read|damaged"):
            read_photo(BOMBS[bomb], "bomb")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


def test_a_large_phone_photo_is_read():
    """108 megapixels, as the largest common phone sensors give; nearly uniform, so quick."""
    data = encode(Image.new("L", (12_000, 9_000), 90), "JPEG")
    assert read_photo(data).size == (1500, 1125)


SEEDS = {
    "JPEG": encode(quarters(40, 40), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "PNG": encode(quarters(40, 40), "PNG"),
    "PNG16": encode(Image.new("I;16", (40, 40), 999), "PNG"),
    "WEBP": encode(quarters(40, 40), "WEBP"),
    "TIFF": encode(quarters(40, 40), "TIFF", compression="tiff_lzw"),
    "TIFF, not compressed": encode(quarters(40, 40), "TIFF"),
    "BMP": encode(quarters(40, 40), "BMP"),
    **{kind: raw(kind, quarters(40, 40)) for kind in RAW_KINDS},
    "GIF": encode(quarters(40, 40), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 40))]),
}
if headers.pillow_heif is not None:
    SEEDS["HEIF"] = encode(quarters(64, 64), "HEIF")
if features.check("avif"):
    SEEDS["AVIF"] = encode(quarters(64, 64), "AVIF")
if jxl.can_decode():
    importlib.import_module("pillow_jxl")  # which makes Pillow write such files
    SEEDS["JXL"] = encode(quarters(64, 64), "JXL", lossless=True)
    SEEDS["JXL in a container"] = encode(quarters(64, 64), "JXL", use_container=True)

edits = st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=0, max_size=6)), max_size=6)


@pytest.mark.parametrize("seed", SEEDS)
@settings(
    max_examples=int(os.environ.get("PHOTO_FUZZ_EXAMPLES", "150")),
    deadline=5000,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(edits=edits, cut=st.integers(0, 10_000))
def test_any_bytes_give_a_picture_or_one_sentence(seed, edits, cut):
    data = bytearray(SEEDS[seed])
    for place, new in edits:
        at = place % len(data)
        data[at : at + len(new)] = new
    if cut % 3 == 0:
        del data[cut % len(data) :]
    sentence = ""
    try:
        picture = read_photo(bytes(data), "fuzzed.jpg")
    except PhotoError as error:
        sentence = str(error)
    if sentence:
        assert sentence.startswith("fuzzed.jpg ")
        assert sentence.endswith(".")
    else:
        assert picture.mode == "RGB"
        assert min(picture.size) >= photos.SMALLEST_SIDE


@given(st.binary(max_size=400))
@settings(max_examples=100, derandomize=True)
def test_noise_is_never_an_unknown_error(data):
    for head in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X"):
        with pytest.raises(PhotoError):
            read_photo(head + data)


def test_a_jpeg_of_endless_passes_is_refused_at_once():
    """Each pass takes 100 bytes of the file and 40 ms at 64 megapixels."""
    progressive = encode(Image.new("RGB", (4000, 4000), "red"), progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    assert read_photo(progressive + b"\xff\xda" * 500).size == (1000, 1000)  # behind the end: a film, say
    start = time.perf_counter()
    with pytest.raises(PhotoError, match="too many passes"):
        read_photo(progressive[:-2] + last * 5000 + progressive[-2:])
    assert time.perf_counter() - start < 2


@pytest.mark.filterwarnings("error")
def test_the_values_of_a_tiff_are_not_all_read():
    """Each of many tags may say that its value is the whole file."""
    size = 2**20
    tags = b"".join(struct.pack("<HHLL", 40_000 + number, 7, size, 8) for number in range(3000))
    shown = {256: 64, 257: 48, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 48, 279: 3072}
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in shown.items()) + tags
    directory = struct.pack("<H", len(entries) // 12) + entries + b"\0" * 4
    data = b"II*\0" + struct.pack("<L", 8 + size) + b"\0" * size + directory
    tracemalloc.start()
    try:
        assert read_photo(data).size == (64, 48)
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF here")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frames", [1, 2])
def test_the_exif_of_an_avif_is_not_all_read(frames):
    """The same in an EXIF block, which Pillow would parse."""
    size = 2**20
    tags = b"".join(struct.pack("<HHLL", 40_000 + number, 7, size - 8, 8) for number in range(1000))
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 1000) + tags + b"\0" * size
    exif = Image.Exif()
    exif[0x010F] = "x" * len(block)
    others = {"save_all": True, "append_images": [quarters()]} if frames > 1 else {}
    data = encode(quarters(), "AVIF", exif=exif, **others)
    at = data.index(b"MM\0*") if b"MM\0*" in data else data.index(b"II*\0")
    data = data[:at] + block + data[at + len(block) :]
    tracemalloc.start()
    try:
        assert read_photo(data).size == (64, 48)
        assert tracemalloc.get_traced_memory()[1] < 20 * size
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("error")
def test_directories_that_lead_in_a_circle_end():
    once = tiff({256: 64, 257: 48, 330: (8,) * 60_000})
    circle = once[:-4] + struct.pack("<L", 8)
    start = time.perf_counter()
    with pytest.raises(PhotoError):
        read_photo(circle)
    assert time.perf_counter() - start < 1


@pytest.mark.filterwarnings("error")
def test_pillow_does_not_warn_of_a_strange_tiff():
    main = {256: 64, 257: 48, 258: 8, 262: 1, 273: 8, 277: 1, 278: 48, 279: 3072}
    one, three = struct.pack("<HHLHH", 277, 3, 1, 1, 0), struct.pack("<HHLL", 277, 3, 3, 8)
    data = tiff(main, gap=b"\1\0" * 1536)
    assert one in data
    assert read_photo(data.replace(one, three)).size == (64, 48)
    for broken in (b"II*\0", b"MM\0*\0\0\0\0", b"II*\0\xff\xff\xff\xff"):
        with pytest.raises(PhotoError, match="damaged"):
            read_photo(broken)
