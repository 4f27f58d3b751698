"""JPEG XL: both of its forms, upright once and in their colours; what is too large, animated or broken."""

import os
import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, HERE, HERE_IN_XMP, NOWHERE, TAJ, place, taken
from PIL import Image
from test_photos import BLUE, GREEN, RED, STORED, YELLOW, assert_close, corners

from src.photos import jxl
from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, NotAPictureError, PhotoError
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar

pytest.importorskip("pillow_jxl")  # which makes Pillow write such files
brotli = pytest.importorskip("brotli")

CORNERS = [RED, GREEN, BLUE, YELLOW]
WIDE, TALL = "110100110", "11110000010100"  # sizes: 48 high and 4:3; 64 high and 48 wide
DAMAGED = r"^a\.jxl is damaged or incomplete; save or send it again\.$"
TOO_LARGE = r"^a\.jxl is .* pixels, too large a picture to read; use a smaller copy\.$"


def bits(number, count):
    """With the lowest bit first."""
    return f"{number:0{count}b}"[::-1]


def with_header(picture, size="", orientation=1, preview="", animated=False):
    """A bare codestream of a wide or tall picture with another image header (ISO/IEC 18181-1, Annex D)."""
    data = encode(picture, "JXL", quality=95)
    own = WIDE if picture.width > picture.height else TALL
    assert int.from_bytes(data[2:4], "little") == int((own + "11")[::-1], 2)  # all by default
    header = (size or own) + "01" + bits(orientation - 1, 3) + "0"
    header += f"1{preview}" if preview else "0"
    header += "1" + "00" * 3 + "0" if animated else "0"
    header += "000" + "1" + "00" + "111" + "00" + "1"  # depth, buffers, channels, colours, extensions
    header += "0" * (-len(header) % 8)
    return data[:2] + int(header[::-1], 2).to_bytes(len(header) // 8, "little") + data[4:]


def box(kind, data):
    return struct.pack(">L", 8 + len(data)) + kind + data


def container(*inside):
    return jxl.CONTAINER + box(b"ftyp", b"jxl \0\0\0\0jxl ") + b"".join(inside)


def exif_block(gps=None, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8769] = {0x9003: "2024:05:01 12:34:56"}
    if gps:
        exif[0x8825] = gps
    return exif.tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("use_container", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_both_forms(lossless, use_container):
    data = encode(quarters(), "JXL", quality=95, lossless=lossless, use_container=use_container)
    assert data.startswith(jxl.CONTAINER if use_container else jxl.CODESTREAM)
    photo = open_photo(data, "a.jpg")
    picture = photo.picture()
    assert (photo.format, picture.mode, picture.size) == ("JXL", "RGB", (64, 48))
    assert_close(corners(picture), CORNERS, tolerance=24)


@pytest.mark.parametrize("orientation", STORED)
def test_turned_once(orientation):
    """As the codestream says; what EXIF says of it counts for nothing (ISO/IEC 18181-2)."""
    stored = quarters() if STORED[orientation] is None else quarters().transpose(STORED[orientation])
    codestream = with_header(stored, orientation=orientation)
    for said in (orientation, 6, 1):
        data = container(box(b"Exif", bytes(4) + exif_block(orientation=said)), box(b"jxlc", codestream))
        picture = read_photo(data)
        assert picture.size == (64, 48)
        assert_close(corners(picture), CORNERS, tolerance=24)


@pytest.mark.skipif(not os.environ.get("LANDMARK_IMAGES"), reason="needs LANDMARK_IMAGES")
def test_a_landmark():
    [folder] = (Path(os.environ["LANDMARK_IMAGES"]) / "test").glob("*.Eiffel_Tower")
    photo = read_photo(next(iter(sorted(folder.iterdir()))).read_bytes())
    shown = read_photo(encode(photo, "JXL", lossless=True))
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(photo)).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "I;16"])
@pytest.mark.parametrize("lossless", [False, True])
def test_modes(mode, lossless):
    gray = Image.linear_gradient("L").resize((64, 48))
    if mode == "I;16":  # Pillow's own conversion would clip
        picture = Image.frombytes("I;16", gray.size, (np.asarray(gray).astype("<u2") * 257).tobytes())
    else:
        picture = gray.convert(mode)
    shown = read_photo(encode(picture, "JXL", quality=95, lossless=lossless)).convert("L")
    values = np.asarray(gray).astype(float)
    if mode == "I;16":  # the plugin says that it is linear
        values = 255 * np.where(
            values < 0.8, values / 255 * 12.92, 1.055 * (values / 255) ** (1 / 2.4) - 0.055
        )
    assert np.abs(np.asarray(shown) - values)[5:].max() < 12


def test_floating_point():
    """Of what Pillow has no other way to hold; 0.5 of the light is 188 in sRGB."""
    shown = read_photo(encode(Image.new("F", (64, 48), 0.5), "JXL", lossless=True))
    assert_close([shown.getpixel((9, 9))], [(188, 188, 188)], tolerance=2)


def test_transparent_becomes_white():
    page = Image.new("RGBA", (64, 48), (200, 0, 0, 0))
    assert read_photo(encode(page, "JXL", lossless=True)).getpixel((9, 9)) == (255, 255, 255)


def test_where_and_when():
    codestream = encode(quarters(), "JXL", lossless=True)
    block = exif_block(CAMERA)
    half = len(codestream) // 2
    pieces = (
        box(b"jxlp", bytes(4) + codestream[:half]),
        box(b"jxlp", b"\x80\0\0\1" + codestream[half:]),
    )
    for exif in (
        box(b"Exif", bytes(4) + block),
        box(b"Exif", b"\0\0\0\6Exif\0\0" + block),
        box(b"Exif", block),  # as pillow-jxl-plugin wrote it
        box(b"brob", b"Exif" + brotli.compress(bytes(4) + block)),  # as cjxl packs it
    ):
        data = container(pieces[0], exif, pieces[1])
        assert place(data) == pytest.approx(HERE)
        assert taken(data).time == datetime(2024, 5, 1, 12, 34, 56)
        assert_close(corners(read_photo(data)), CORNERS, tolerance=2)


@pytest.mark.parametrize("options", [{}, {"compress_metadata": True}])
def test_xmp(options):
    data = encode(quarters(), "JXL", xmp=HERE_IN_XMP, **options)
    assert place(data) == pytest.approx(HERE, abs=1e-4)


def test_metadata_that_is_broken_or_endless():
    codestream = box(b"jxlc", encode(quarters(), "JXL"))
    endless = brotli.compress(bytes(50_000_000), quality=1)
    for packed in (b"", b"\xff" * 50, endless):
        data = container(box(b"brob", b"xml " + packed), box(b"brob", b"Exif" + packed), codestream)
        photo = open_photo(data)
        assert max(len(photo.xmp), len(photo.exif_block)) <= 2**20 + 1
        assert place(data) == NOWHERE


def test_tags_go_into_a_sidecar_only():
    data = encode(quarters(), "JXL")
    assert b"Taj Mahal" in sidecar(data, TAJ)
    for act in (lambda: embed(data, TAJ, "a.jxl"), lambda: strip_metadata(data, "a.jxl")):
        with pytest.raises(MetadataError, match=r"^a\.jxl cannot be copied bit by bit; save it as JPEG"):
            act()


def wide(width, height):
    return "0" + "11" + bits(height - 1, 30) + "000" + "11" + bits(width - 1, 30)


@pytest.mark.parametrize(
    "size",
    [
        "0" + "11" + bits(2**30 - 1, 30) + "100",  # as wide as high
        "0" + bits(2, 2) + bits(2**17, 18) + "111",  # twice as wide
        wide(8001, 8001),
        wide(2**30, 1),
    ],
)
def test_too_large_before_a_pixel_is_decoded(size, monkeypatch):
    monkeypatch.setattr(jxl.subprocess, "run", None)
    codestream = with_header(quarters(), size)
    for data in (codestream, container(box(b"jxlc", codestream))):
        with pytest.raises(PhotoError, match=TOO_LARGE):
            open_photo(data, "a.jxl")


@pytest.mark.parametrize("size", [wide(64, 48), "0" + "00" + bits(47, 9) + "110"])
def test_sizes_in_other_words(size):
    assert_close(corners(read_photo(with_header(quarters(), size))), CORNERS, tolerance=24)


PREVIEWS = (
    "",
    "1" + bits(0, 2) + "100",
    "1" + bits(3, 2) + bits(9, 9) + "000" + bits(2, 2) + bits(1, 5),
    "0" + bits(1, 2) + bits(9, 8) + "100",
)


@pytest.mark.parametrize("preview", PREVIEWS)
def test_an_animation_is_refused_at_once(preview, monkeypatch):
    """The decoder would make all of its pictures."""
    monkeypatch.setattr(jxl.subprocess, "run", None)
    assert open_photo(with_header(quarters(), preview=preview)).format == "JXL"
    data = with_header(quarters(), preview=preview, animated=True)
    with pytest.raises(PhotoError, match=r"^a\.jxl is an animation in JPEG XL, .* as JPEG\.$"):
        open_photo(data, "a.jxl")


@pytest.mark.parametrize("keep", [2, 4, 20, 0.3, 0.9])
def test_cut_short(keep):
    for use_container in (False, True):
        data = encode(Image.effect_noise((200, 150), 60), "JXL", use_container=use_container)
        unknown = use_container and keep in (2, 4)
        with pytest.raises(PhotoError, match="not a picture that can be read" if unknown else DAMAGED):
            read_photo(data[: keep if keep > 1 else int(len(data) * keep)], "a.jxl")


def test_no_codestream():
    for inside in (b"", box(b"jxlc", b""), box(b"jxlc", b"\xff\xd8\xff")):
        with pytest.raises(PhotoError, match=DAMAGED):
            open_photo(container(inside), "a.jxl")
    with pytest.raises(NotAPictureError):
        open_photo(b"\xff\x0b" + bytes(50))


@pytest.mark.parametrize(
    "happens",
    [
        "import os; os.abort()",
        "raise BaseException('as of a panic in Rust')",
        "raise MemoryError",
        "pass",
        "import sys, struct; sys.stdout.buffer.write(struct.pack('<4sLLL', b'RGB', 9, 9, 0) + bytes(243))",
        "import sys, struct; sys.stdout.buffer.write(struct.pack('<4sLLL', b'RGB', 64, 48, 0) + bytes(9))",
    ],
)
def test_whatever_the_decoder_does_is_one_sentence(happens, monkeypatch, capfd):
    data = encode(quarters(), "JXL")
    monkeypatch.setattr(jxl, "_DECODE", happens)
    with pytest.raises(PhotoError, match=DAMAGED):
        read_photo(data, "a.jxl")
    assert capfd.readouterr() == ("", "")


def test_limit_of_time(monkeypatch):
    """A still picture of thousands of layers is small, and takes hours."""
    monkeypatch.setattr(jxl, "SECONDS", 0.2)
    monkeypatch.setattr(jxl, "_DECODE", "while True: pass")
    with pytest.raises(PhotoError, match=r"^a\.jxl takes too long to be read; save the picture as JPEG\.$"):
        read_photo(encode(quarters(), "JXL"), "a.jxl")


def test_limit_of_memory(monkeypatch):
    limits, imports, rest = jxl._DECODE.partition("from PIL")
    monkeypatch.setattr(jxl, "_DECODE", f"{limits}bytearray({jxl.MEMORY})\n{imports}{rest}")
    with pytest.raises(PhotoError, match=DAMAGED):
        read_photo(encode(quarters(), "JXL"), "a.jxl")
    monkeypatch.setattr(jxl, "MEMORY", 50_000)  # as were it a picture of 60 megapixels
    with pytest.raises(PhotoError, match=r"^a\.jxl is damaged, or takes too much memory .* smaller copy\.$"):
        read_photo(encode(quarters(), "JXL"), "a.jxl")
