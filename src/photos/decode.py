"""Bytes from anyone become an upright RGB picture, or one sentence that says why not.

The one decoder of training, evaluation, app and tagger. Pillow does the work, and only its decoders of the
formats named here, chosen by what the bytes are and not by the file's name. They get no metadata to see, as
that is read within limits of our own (`containers`, `exif`, `xmp`). They are called directly, as `Image.open`
would warn of large pictures: their size is checked here, and warnings can only be silenced for all threads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import ModuleType

from PIL import GifImagePlugin, Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from src.files import shown_name
from src.photos.containers import MAX_BLOCK, START_OF_SCAN, Contents, jpeg_segments, take_apart
from src.photos.errors import NotAPictureError, PhotoError
from src.photos.exif import Exif


def _load_pillow_heif() -> ModuleType | None:
    try:
        import pillow_heif
    except ImportError:  # everything but HEIC works without it
        return None
    # Only the picture itself is wanted, so the other pictures in the file are not even unpacked.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return pillow_heif


pillow_heif = _load_pillow_heif()

FORMATS = "JPEG, PNG, WebP, GIF or HEIC"
SHORT_SIDE = 768  # pixels, unless told otherwise; larger pictures are shrunk, but not below this
LONG_SIDE = 8192  # pixels; a strip longer than this is shrunk below SHORT_SIDE
SMALLEST_SIDE = 32  # pixels; the smallest picture the exported models take
MAX_BYTES = 50 * 2**20
MAX_PIXELS = 64_000_000  # the picture is unpacked whole: up to 4 bytes a pixel
MAX_JPEG_PIXELS = 160_000_000  # a baseline JPEG is shrunk while it is decoded
MAX_SCANS = 100  # passes over a JPEG: progressive ones have 10, and each takes long but few bytes

# ISO base media "brands" of HEIC files: still pictures coded with HEVC, single or in a sequence.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIC_BRANDS |= {b"mif1", b"msf1"}

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_XMP_ORIENTATION = re.compile(rb"""tiff:Orientation(?:=["']|>)([1-8])""")
_UPRIGHT = {  # EXIF orientation -> what turns the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class OpenedPhoto:
    """A photo file with its header read, once; `open_photo` makes it.

    Attributes:
        name: of the file, fit to be shown.
        format: "JPEG", "PNG", "WEBP", "GIF" or "HEIF".
        exif: what its EXIF says, and `exif_block` as it stands in the file.
        xmp: its XMP packet, empty if there is none; one that is too large is cut.
        iptc: its IPTC block, empty if there is none.
        orientation: how to turn the stored picture upright, as EXIF numbers it; 1 where it is.
    """

    def __init__(self, name: str, kind: str, header: Image.Image, contents: Contents):
        self.name, self.format = name, kind
        self.exif_block, self.exif = contents.exif, Exif(contents.exif[:MAX_BLOCK])
        self.xmp, self.iptc = contents.xmp.rstrip(b"\0"), contents.iptc
        self.orientation = self._orientation()
        self._header: Image.Image | None = header
        self._bytes = len(contents.picture)

    def picture(self, short_side: int = SHORT_SIDE) -> Image.Image:
        """Decode the picture, the first frame of an animation. This can be done once.

        Args:
            short_side: pixels; larger pictures are shrunk, but not below this.

        Returns:
            An RGB picture as a person would hold it: turned by its EXIF orientation, colours in sRGB,
            transparency on white, without metadata. A larger picture is shrunk: its short side
            is less than twice `short_side`, and its long one at most 8192.

        Raises:
            PhotoError: it is damaged or too small.
            ValueError: it was decoded before.
        """
        if self._header is None:
            raise ValueError(f"{self.name} was decoded before; open it again.")
        decoded, self._header = self._header, None  # its pixels are not kept
        with _explained_damage(self.name):
            if isinstance(decoded, JpegImagePlugin.JpegImageFile):
                _draft(decoded, short_side, self._bytes)
            decoded.load()
            picture = _to_rgb(decoded, short_side)
            turn = _UPRIGHT.get(self.orientation)
            picture = picture.transpose(turn) if turn is not None else picture
            picture.info = {}  # no metadata goes further than here
        if min(picture.size) < SMALLEST_SIDE:
            raise PhotoError(
                f"{self.name} is too small or too narrow a picture; "
                f"use one of at least {SMALLEST_SIDE} × {SMALLEST_SIDE} pixels."
            )
        return picture

    def _orientation(self) -> int:
        if self.format == "HEIF":  # its own transformations are applied by its decoder
            return 1
        in_xmp = _XMP_ORIENTATION.search(self.xmp)
        return self.exif.orientation or (int(in_xmp[1]) if in_xmp else 1)


def open_photo(data: bytes, name: str = "photo") -> OpenedPhoto:
    """Read the header of a JPEG, PNG, WebP, GIF or HEIC file; no pixel is decoded.

    Args:
        data: the whole file.
        name: the file's name, used in messages only.

    Raises:
        PhotoError: not a picture of these formats, damaged or too large.
    """
    name = shown_name(name)
    check_size(len(data), name)
    kind = _format_of(data, name)
    with _explained_damage(name):
        if kind == "HEIF":
            header, contents = _open_heif(data, name)
        else:
            contents = take_apart(data, kind)
            _check_before_opening(contents.picture, kind, name)
            header = _PLUGINS[kind](io.BytesIO(contents.picture))
        shrinks = kind == "JPEG" and not header.info.get("progressive")
        _check_pixels(header.size, MAX_JPEG_PIXELS if shrinks else MAX_PIXELS, name)
    return OpenedPhoto(name, kind, header, contents)


def read_photo(data: bytes, name: str = "photo", short_side: int = SHORT_SIDE) -> Image.Image:
    """Open and decode a photo: `open_photo` and `OpenedPhoto.picture`.

    Raises:
        PhotoError: not a picture of the formats that are read, damaged, too large or too small.
    """
    return open_photo(data, name).picture(short_side)


@contextmanager
def _explained_damage(name: str) -> Iterator[None]:
    """Turn what a decoder raises at a broken or huge file into a PhotoError."""
    try:
        yield
    except PhotoError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PhotoError(f"{name} is too large a picture to read; use a smaller copy.") from error
    except Exception as error:  # decoders raise nearly anything at broken files
        raise PhotoError(f"{name} is damaged or incomplete; save or send it again.") from error


def check_size(size: int, name: str) -> None:
    """Raise PhotoError when a file of `size` bytes is not going to be read."""
    name = shown_name(name)
    if size == 0:
        raise PhotoError(f"{name} is empty; choose another file.")
    if size > MAX_BYTES:
        raise PhotoError(
            f"{name} has {size / 2**20:.0f} MB, and at most {MAX_BYTES // 2**20} MB can be read; "
            "use a smaller copy."
        )


def _format_of(data: bytes, name: str) -> str:
    """Pillow's name of the format, from the first bytes."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return "HEIF"
    raise NotAPictureError(f"{name} is not a picture that can be read here; use {FORMATS}.")


def _open_heif(data: bytes, name: str) -> tuple[Image.Image, Contents]:
    """The same for a HEIC file, which libheif takes apart."""
    if pillow_heif is None:
        raise PhotoError(
            f"{name} is a HEIC picture, which this computer cannot read: install pillow-heif, "
            "or save the picture as JPEG."
        )
    header = pillow_heif.HeifImageFile(io.BytesIO(data))
    exif, xmp = header.info.pop("exif", None) or b"", header.info.pop("xmp", None) or b""
    return header, Contents(b"", exif[: MAX_BLOCK + 1], xmp[: MAX_BLOCK + 1])


def _check_before_opening(picture: bytes, kind: str, name: str) -> None:
    """Refuse what would cost Pillow time or memory when it opens the file."""
    if kind == "WEBP":
        _check_webp_canvas(picture, name)
    if kind == "JPEG" and _scans(picture) > MAX_SCANS:
        raise PhotoError(f"{name} is stored in too many passes to be read; save it anew as a JPEG.")


def _draft(jpeg: JpegImagePlugin.JpegImageFile, short_side: int, size: int) -> None:
    """Let the decoder shrink by 2, 4 or 8 and read all `size` bytes at once, a tenth quicker."""
    factor = max((f for f in (2, 4, 8) if min(jpeg.size) // f >= short_side), default=1)
    jpeg.draft(None, (jpeg.width // factor, jpeg.height // factor))
    jpeg.decodermaxblock = size


def _check_pixels(size: tuple[int, int], limit: int, name: str) -> None:
    """Raise PhotoError for a picture of more than `limit` pixels."""
    if size[0] * size[1] > limit:
        raise PhotoError(
            f"{name} is {size[0]} × {size[1]} pixels, too large a picture to read; use a smaller copy."
        )


def _check_webp_canvas(data: bytes, name: str) -> None:
    """Check the canvas before Pillow opens the file: older versions set its memory aside at once."""
    if data[12:16] == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        _check_pixels((width, height), MAX_PIXELS, name)


def _scans(jpeg: bytes) -> int:
    """How many passes over the picture follow each other, counted up to the limit."""
    scans = (marker for marker, _, _ in jpeg_segments(jpeg) if marker == START_OF_SCAN)
    return sum(1 for _ in islice(scans, MAX_SCANS + 1))


def _to_rgb(picture: Image.Image, short_side: int) -> Image.Image:
    """8-bit sRGB on white, shrunk; `picture` may have any mode that the decoders give."""
    profile = picture.info.get("icc_profile")
    transparent = picture.has_transparency_data
    if picture.mode.startswith("I"):  # 16-bit gray; Pillow's own conversion would clip it
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
        transparent = False
    elif transparent:
        picture = picture.convert("LA" if picture.mode in ("LA", "La") else "RGBA")
    elif picture.mode not in ("L", "RGB", "CMYK"):
        picture = picture.convert("RGB")
    picture = _shrink(picture, short_side)
    if transparent:
        picture = _on_white(picture)
    if profile:
        picture = _to_srgb(picture, profile)
    return picture.convert("RGB")


def _shrink(picture: Image.Image, short_side: int) -> Image.Image:
    """The picture, with a short side of `short_side` if it had twice that, and a long one up to LONG_SIDE.

    What is less than twice as large stays: to resize it here and again later costs time and sharpness.
    """
    short, long = sorted(picture.size)
    if short < 2 * short_side and long <= LONG_SIDE:
        return picture
    scale = min(1.0, short_side / short, LONG_SIDE / long)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _on_white(picture: Image.Image) -> Image.Image:
    """An LA or RGBA picture laid on white, as L or RGB."""
    mode = "L" if picture.mode == "LA" else "RGB"
    page = Image.new(mode, picture.size, "white")
    page.paste(picture.convert(mode), mask=picture.getchannel("A"))
    return page


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Colours moved from the embedded ICC profile to sRGB; a useless profile is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB") or picture
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return picture
