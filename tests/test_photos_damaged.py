"""Photos as they are found: cut short by little, named wrongly, coded oddly."""

import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import encode, quarters
from heic_samples import tiled
from metadata_samples import TAJ
from PIL import Image, ImageChops
from raw_samples import raw
from test_photos import BLUE, GREEN, RED, YELLOW, assert_close, corners

from src.photos.decode import open_photo, read_photo
from src.photos.errors import MetadataError, PhotoError
from src.photos.files import find_photos
from src.photos.strip import strip_metadata
from src.photos.write_tags import embed, sidecar

CORNERS = [RED, GREEN, BLUE, YELLOW]
DETAILED = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8), "RGB"
).resize((800, 600), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("missing", [1, 2, 10, 300])
def test_jpegs_that_lack_their_last_bytes(missing, mode, options):
    """Pillow #4414 and #3185: no or nearly no pixel is missing."""
    if mode == "CMYK" and options == {"subsampling": 0}:
        pytest.skip("the same as without")
    data = encode(DETAILED.convert(mode), quality=95, **options)
    cut, whole = open_photo(data[:-missing], "a.jpg"), read_photo(data)
    picture = cut.picture()
    shown = picture.crop((0, 0, 800, 568))
    assert np.abs(np.asarray(shown, int) - np.asarray(whole.crop((0, 0, 800, 568)), int)).mean() < 2
    if missing > 2 and "progressive" in options:
        assert cut.note == "a.jpg is incomplete: the finest details of the picture may be missing."
    if missing <= 2 and "progressive" not in options:
        assert cut.note == ""


def rows_kept(data, rows):
    """The JPEG with so many rows of its 8 × 8 blocks, each of which ends in a restart marker."""
    at = [i for i in range(len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    return data[: at[rows - 1]]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_up_to_5_percent_of_the_rows_may_be_missing(mode):
    data = encode(DETAILED.convert(mode), quality=95, subsampling=0, restart_marker_rows=1)
    photo = open_photo(rows_kept(data, 71), "a.jpg")
    assert photo.note == ""
    assert photo.picture().size == (800, 600)
    assert photo.note == "a.jpg is incomplete: the lowest 4% of the picture are missing."
    with pytest.raises(PhotoError, match=r"^a\.jpg is damaged or incomplete; save or send it again\.$"):
        read_photo(rows_kept(data, 69), "a.jpg")


def test_shrinking_finds_the_missing_rows_too():
    data = encode(DETAILED.resize((4800, 3600)), quality=95, subsampling=0, restart_marker_rows=1)
    photo = open_photo(rows_kept(data, 440), "a.jpg")  # of 450
    assert photo.picture().size == (1200, 900)
    assert photo.note == "a.jpg is incomplete: the lowest 2% of the picture are missing."
    with pytest.raises(PhotoError, match="incomplete"):
        read_photo(rows_kept(data, 420), "a.jpg")


def test_a_progressive_jpeg_may_lack_its_last_passes_but_not_its_second():
    data = encode(DETAILED, quality=95, progressive=True)
    scans = [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xda"]
    assert "finest details" in noted(data[: scans[-1] + 50])
    for end in (scans[0] + 500, scans[1] + 50, scans[1]):
        with pytest.raises(PhotoError, match="incomplete"):
            read_photo(data[:end])


def noted(data):
    photo = open_photo(data)
    photo.picture()
    return photo.note


def test_gray_at_the_bottom_of_a_whole_photo_is_not_missing():
    picture = DETAILED.copy()
    picture.paste((128, 128, 128), (0, 300, 800, 600))
    assert noted(encode(picture)) == ""
    assert read_photo(encode(picture)).size == (800, 600)


def test_a_photo_that_lacks_a_little_takes_tags_in_a_sidecar_only():
    data = encode(DETAILED)[:-2]
    assert b"Taj Mahal" in sidecar(data, TAJ)
    with pytest.raises(MetadataError, match="incomplete"):
        embed(data, TAJ)


NOISE = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    for seed in (0, 1)
]
DAMAGED = {  # the photo, what stands in its pixels, and at which of their bytes
    "further picture": (encode(NOISE[0], "MPO", save_all=True, append_images=NOISE[1:]), b"\xff\xff", 115),
    "no marker": (encode(NOISE[0], restart_marker_rows=1), b"\xff\x4a\3\0", 20),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_copies_of_a_photo_with_damaged_pixels_show_the_same(damage):
    """The decoder looks ahead, so what stood behind the picture made one of something else than the copy."""
    whole, new, at = DAMAGED[damage]
    at += whole.index(b"\xff\xda") + 14
    photo = whole[:at] + new + whole[at + len(new) :]
    shown = read_photo(photo)
    assert ImageChops.difference(shown, read_photo(whole)).getbbox()
    for copy in (strip_metadata(photo), embed(photo, TAJ)):
        assert ImageChops.difference(shown, read_photo(copy)).getbbox() is None


def test_behind_a_byte_of_damage_the_next_restart_marker_is_found():
    whole, new, at = DAMAGED["no marker"]
    at += whole.index(b"\xff\xda") + 14
    photo = whole[:at] + new + whole[at + len(new) :]
    below = (0, 32, 64, 48)  # the last of three rows of blocks
    for data in (photo, strip_metadata(photo)):
        shown = read_photo(data).crop(below)
        assert ImageChops.difference(shown, read_photo(whole).crop(below)).getbbox() is None


def test_a_raw_file_cut_short_shows_its_preview():
    data = raw("RW2", DETAILED)
    assert noted(data[: data.rindex(b"\xff\xd9") - 1]) == ""


@pytest.mark.parametrize("transform", [0, 2])
def test_cmyk_jpegs_with_and_without_ycck(transform):
    """zune-image #442, TwelveMonkeys #141: stored inverted, as browsers show them."""
    cmyk = Image.new("CMYK", (64, 48), (0, 200, 255, 30))
    if transform == 2:  # what is stored is YCbCr of the inks, and Pillow stores the opposite of what it gets
        *inks, black = cmyk.split()
        coded = Image.merge("RGB", inks).convert("YCbCr")
        cmyk = Image.merge("CMYK", [*ImageChops.invert(coded).split(), black])
    data = encode(cmyk, quality=95)
    at = data.index(b"Adobe\0") + 11
    data = data[:at] + bytes([transform]) + data[at + 1 :]
    assert_close([read_photo(data).getpixel((9, 9))], [(225, 48, 0)], tolerance=12)


def test_orientation_as_a_rational():
    """Pillow #8965."""
    entry = struct.pack(">HHLL", 0x0112, 5, 1, 26)
    block = b"MM\0*\0\0\0\x08" + b"\0\1" + entry + b"\0\0\0\0" + struct.pack(">LL", 6, 1)
    stored = quarters().transpose(Image.Transpose.ROTATE_90)
    picture = read_photo(encode(stored, quality=95, subsampling=0, exif=b"Exif\0\0" + block))
    assert picture.size == (64, 48)
    assert_close(corners(picture), CORNERS)


@pytest.mark.parametrize(
    ("kind", "name"), [("JPEG", "a.png"), ("PNG", "a.jpg"), ("TIFF", "a.jpg"), ("JPEG", "a.tif")]
)
def test_a_name_of_another_format(kind, name):
    photo = open_photo(encode(quarters(), kind), name)
    assert photo.format == kind
    assert_close(corners(photo.picture()), CORNERS, tolerance=90)


def test_heic_named_as_a_film(tmp_path):
    """photoprism #1895: the still of a Live Photo may be called .MOV."""
    pytest.importorskip("pillow_heif")
    still = encode(quarters(), "HEIF")
    assert open_photo(still, "IMG_1.MOV").format == "HEIF"
    (tmp_path / "IMG_1.MOV").write_bytes(still)
    (tmp_path / "IMG_2.MOV").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    (tmp_path / "IMG_3.mov").mkdir()
    passed_over = Counter()
    assert [Path(found.path).name for found in find_photos(tmp_path, passed_over=passed_over)] == [
        "IMG_1.MOV"
    ]
    assert passed_over == {".mov": 1}


def test_every_kind_of_photo_is_found_by_its_name(tmp_path):
    for name in ("a.AVIF", "b.tif", "c.bmp", "d.CR3", "e.nef", "f.jfif", "g.HIF", "h.psd"):
        (tmp_path / name).write_bytes(b"x")
    assert [Path(found.path).stem for found in find_photos(tmp_path)] == list("abcdefg")


def test_heic_of_10_bit_and_of_odd_size():
    """Odd sides are coded as even ones, and cut by a "clap" box (libheif #1845)."""
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = quarters(65, 49)
    samples = np.asarray(picture).astype("<u2") * 257
    deep = pillow_heif.from_bytes("RGB;16", picture.size, samples.tobytes())
    file = io.BytesIO()
    deep.save(file, quality=95, chroma=444)
    assert b"clap" in file.getvalue()
    read = read_photo(file.getvalue())
    assert read.size == (65, 49)
    assert_close(corners(read), CORNERS, tolerance=24)


@pytest.mark.parametrize(
    ("turns", "shown", "size", "colours", "middle"),
    [
        (0, None, (200, 150), [RED, GREEN, BLUE, YELLOW], (100, 75)),
        (1, None, (150, 200), [GREEN, YELLOW, RED, BLUE], (75, 100)),
        (3, (30, 10, 180, 150), (140, 150), [BLUE, RED, YELLOW, GREEN], (75, 70)),
        (0, (40, 30, 160, 141), (120, 111), [RED, GREEN, BLUE, YELLOW], (60, 45)),
    ],
)
def test_heic_of_tiles_turned_and_cut(turns, shown, size, colours, middle):
    """As phones store pictures: tiles with a margin, and "irot" and "clap" that say what is to be seen."""
    pytest.importorskip("pillow_heif")
    read = read_photo(tiled(quarters(200, 150), 64, turns=turns, shown=shown))
    assert read.size == size
    assert_close(corners(read), colours, tolerance=24)
    x, y = middle
    around = [read.getpixel(at) for at in ((x - 3, y - 3), (x + 3, y - 3), (x - 3, y + 3), (x + 3, y + 3))]
    assert_close(around, colours, tolerance=24)


def test_webp_animation_whose_first_frame_is_a_part():
    """The rest of the canvas is transparent, and becomes white."""
    still = encode(quarters(32, 24), "WEBP", lossless=True)[12:]
    part = b"".join(n.to_bytes(3, "little") for n in (16, 12, 31, 23, 100)) + b"\0" + still  # offsets halved
    chunks = (
        b"VP8X"
        + struct.pack("<L", 10)
        + b"\x12\0\0\0"
        + (95).to_bytes(3, "little")
        + (71).to_bytes(3, "little")
    )
    chunks += b"ANIM" + struct.pack("<LLH", 6, 0, 0) + b"ANMF" + struct.pack("<L", len(part)) + part
    picture = read_photo(b"RIFF" + struct.pack("<L", len(chunks) + 4) + b"WEBP" + chunks)
    assert picture.size == (96, 72)
    assert picture.getpixel((5, 5)) == picture.getpixel((90, 60)) == (255, 255, 255)
    assert_close(corners(picture.crop((32, 24, 64, 48))), CORNERS)
