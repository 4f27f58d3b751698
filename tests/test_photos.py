"""Photos of every format come upright, in the right colours, not too large."""

import struct
import subprocess
import sys

import pytest
from conftest import encode, png, quarters
from PIL import Image, ImageCms

from src.photos import decode as photos
from src.photos import headers, jxl
from src.photos.decode import read_photo
from src.photos.errors import PhotoError

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def corners(picture):
    """The colours an eighth from each corner: top left, top right, bottom left, bottom right."""
    right, bottom = picture.width * 7 // 8, picture.height * 7 // 8
    left, top = picture.width // 8, picture.height // 8
    return [picture.getpixel(p) for p in [(left, top), (right, top), (left, bottom), (right, bottom)]]


def assert_close(found, wanted, tolerance=12):
    for one, other in zip(found, wanted, strict=True):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= tolerance, (found, wanted)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("GIF", {}),
    ],
)
def test_formats(kind, options):
    picture = read_photo(encode(quarters(), kind, **options), "quarters")
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW])


def test_heic():
    pytest.importorskip("pillow_heif")
    picture = read_photo(encode(quarters(), "HEIF", quality=95), "quarters.heic")
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW], tolerance=24)


def test_heic_without_the_library_says_what_to_do(monkeypatch):
    monkeypatch.setattr(headers, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic" + b"\0" * 100
    with pytest.raises(PhotoError, match=r"beach\.heic is a HEIC picture.*pillow-heif.*JPEG"):
        read_photo(data, "beach.heic")


def test_jpeg_xl_without_the_libraries_says_what_to_do(monkeypatch):
    monkeypatch.setattr(jxl, "PACKAGES", ("json", "no_package_is_called_so"))
    for data in (b"\xff\x0a" + b"\0" * 100, b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 100):
        with pytest.raises(PhotoError, match=r"beach\.jxl is a JPEG XL.* pillow-jxl-plugin and brotli.*JPEG"):
            read_photo(data, "beach.jxl")


def test_module_works_without_pillow_heif():
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "import src.photos.decode; import src.photos.headers as p; assert p.pillow_heif is None\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# How a camera stores the upright picture for each EXIF orientation: the inverse of what turns it back.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters()
    if STORED[orientation] is not None:
        stored = stored.transpose(STORED[orientation])
    options = {"quality": 95} if kind != "PNG" else {}
    picture = read_photo(encode(stored, kind, exif=exif, **options), "turned")
    assert picture.size == (64, 48)
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW], tolerance=40)


@pytest.mark.parametrize("orientation", STORED)
def test_heic_orientation(orientation):
    """HEIC files turn the picture themselves; their EXIF orientation must not turn it again."""
    pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters()
    if STORED[orientation] is not None:
        stored = stored.transpose(STORED[orientation])
    picture = read_photo(encode(stored, "HEIF", quality=95, exif=exif.tobytes()), "turned.heic")
    assert picture.size == (64, 48)
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW], tolerance=24)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0garbage", b"Exif\0\0MM\0*\xff\xff\xff\xff"])
def test_broken_exif_is_no_reason_to_refuse(exif):
    assert read_photo(encode(quarters(), "JPEG", exif=exif)).size == (64, 48)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_orientation_out_of_range_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read_photo(encode(quarters(), exif=exif)).size == (64, 48)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "JPEG")],
)
def test_modes(mode, kind):
    picture = read_photo(encode(quarters().convert(mode), kind), "quarters")
    assert (picture.mode, picture.size) == ("RGB", (64, 48))


def test_palette_keeps_its_colours():
    picture = read_photo(encode(quarters().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"))
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW])


def test_cmyk_keeps_its_colours():
    cmyk = Image.new("CMYK", (64, 48), (0, 255, 255, 0))
    assert_close([read_photo(encode(cmyk, quality=95)).getpixel((9, 9))], [RED])


def test_16_bit_gray_is_scaled_not_clipped():
    values = [0, 0x4000, 0x8000, 0xFFFF]
    gray = Image.new("I", (64, 64))
    for i, value in enumerate(values):
        gray.paste(value, (i * 16, 0, i * 16 + 16, 64))
    picture = read_photo(encode(gray.convert("I;16"), "PNG"), "deep.png")
    assert [picture.getpixel((i * 16 + 8, 9))[0] for i in range(4)] == [0, 64, 128, 255]


def test_16_bit_colour():
    rows = b"".join(b"\0" + struct.pack(">3H", 0xFFFF, 0x8000, 0) * 40 for _ in range(40))
    picture = read_photo(png(40, 40, depth=16, colour_type=2, rows=rows))
    assert_close([picture.getpixel((20, 20))], [(255, 128, 0)], tolerance=1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_becomes_white(kind, mode):
    if (kind, mode) == ("WEBP", "LA"):
        pytest.skip("WebP has no gray")
    page = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    page.paste((0, 0, 0, 255), (0, 0, 32, 48))
    page.putpixel((50, 10), (0, 0, 0, 128))
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read_photo(encode(page.convert(mode), kind, **options))
    assert picture.getpixel((8, 8)) == (0, 0, 0)
    assert picture.getpixel((60, 40)) == (255, 255, 255)
    assert_close([picture.getpixel((50, 10))], [(127, 127, 127)], tolerance=2)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_colour_becomes_white(kind):
    picture = quarters().convert("P", palette=Image.Palette.ADAPTIVE)
    index = picture.getpixel((8, 8))  # where red is
    read = read_photo(encode(picture, kind, transparency=index))
    assert_close(corners(read), [(255, 255, 255), GREEN, BLUE, YELLOW])


def test_transparent_colour_of_a_gray_or_colour_png_becomes_white():
    gray = Image.new("L", (64, 48), 10)
    assert read_photo(encode(gray, "PNG", transparency=10)).getpixel((5, 5)) == (255, 255, 255)
    read = read_photo(encode(quarters(), "PNG", transparency=RED))
    assert_close(corners(read), [(255, 255, 255), GREEN, BLUE, YELLOW])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (64, 48), "blue"), quarters()]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(quarters(), kind, save_all=True, append_images=frames, duration=100, **options)
    assert_close(corners(read_photo(data)), [RED, GREEN, BLUE, YELLOW])


def test_multi_picture_jpeg_of_phones():
    data = encode(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))], quality=95)
    assert_close(corners(read_photo(data)), [RED, GREEN, BLUE, YELLOW], tolerance=60)


def test_colour_profile_is_applied():
    """With the profile's red and blue light exchanged, the same numbers are another colour."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tmpp").replace(b"bXYZ", b"rXYZ").replace(b"tmpp", b"bXYZ")
    picture = Image.new("RGB", (64, 48), (200, 30, 60))
    for profile, wanted in [(None, (200, 30, 60)), (srgb, (200, 30, 60)), (swapped, (60, 30, 200))]:
        for kind in ("PNG", "JPEG"):
            options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
            if profile:
                options["icc_profile"] = profile
            assert_close([read_photo(encode(picture, kind, **options)).getpixel((9, 9))], [wanted], 4)


@pytest.mark.parametrize("profile", [b"garbage", b"\0" * 200, b"x" * 5000])
def test_broken_colour_profile_is_ignored(profile):
    picture = read_photo(encode(quarters(), "JPEG", icc_profile=profile, quality=95, subsampling=0))
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW])


def test_gray_profile_of_a_colour_picture_is_ignored():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_photo(encode(quarters().convert("L"), "JPEG", icc_profile=srgb)).mode == "RGB"
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert read_photo(encode(quarters(), "JPEG", icc_profile=lab)).mode == "RGB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(4000, 3000), (2100, 2800), (1500, 1100)])
def test_large_pictures_become_smaller_but_not_below_the_short_side(kind, size):
    options = {"quality": 95} if kind != "PNG" else {"compress_level": 1}
    picture = read_photo(encode(quarters(*size), kind, **options))
    assert photos.SHORT_SIDE <= min(picture.size) < 2 * photos.SHORT_SIDE
    assert picture.width / picture.height == pytest.approx(size[0] / size[1], rel=0.005)
    assert_close(corners(picture), [RED, GREEN, BLUE, YELLOW], tolerance=40)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_smaller_pictures_keep_their_size(kind):
    assert read_photo(encode(quarters(1300, 1024), kind)).size == (1300, 1024)
    assert read_photo(encode(quarters(700, 33), kind)).size == (700, 33)


def test_a_long_strip_is_bounded():
    picture = read_photo(encode(Image.new("L", (40_000, 500)), "PNG"))
    assert max(picture.size) == photos.LONG_SIDE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_no_metadata_and_no_file_behind_the_picture(kind):
    exif = Image.Exif()
    exif[0x010F] = "Secret camera"
    picture = read_photo(encode(quarters(), kind, exif=exif))
    assert type(picture) is Image.Image
    assert picture.info == {}
    assert not picture.getexif()
