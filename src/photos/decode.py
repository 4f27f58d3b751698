"""Bytes from anyone become an upright RGB picture, or one sentence that says why not.

The one decoder of training, evaluation, app and tagger. Pillow does the work; `headers` says with which of
its decoders, and lets nothing through that would cost too much time or memory.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageCms, JpegImagePlugin

from src.files import shown_name
from src.photos.errors import NotAPictureError, PhotoError
from src.photos.formats import FORMATS, RAW_SUFFIXES, format_of
from src.photos.headers import Header, open_header

SHORT_SIDE = 768  # pixels, unless told otherwise; larger pictures are shrunk, but not below this
LONG_SIDE = 8192  # pixels; a strip longer than this is shrunk below SHORT_SIDE
SMALLEST_SIDE = 32  # pixels; the smallest picture the exported models take
MAX_BYTES = 50 * 2**20
MOST_MISSING = 0.05  # of the rows of a JPEG that ends too early; one that lacks more is refused
BLURRED_SCANS = 2  # passes after which a progressive JPEG that ends too early is still blurred

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
        format: as `formats.format_of` names it: "JPEG", "HEIF", "RAW".
        exif: what its EXIF says, and `exif_block` as it stands in the file.
        xmp: its XMP packet, empty if there is none; one that is too large is cut.
        iptc: its IPTC block, empty if there is none.
        orientation: how to turn the stored picture upright, as EXIF numbers it; 1 where it is.
        note: a sentence on what is missing of the picture, known once it was decoded; empty where nothing is.
    """

    def __init__(self, name: str, kind: str, header: Header):
        contents = header.contents
        self.name, self.format, self.note = name, kind, ""
        self.exif_block, self.exif = contents.exif, header.exif
        self.xmp, self.iptc = contents.xmp.rstrip(b"\0"), contents.iptc
        self.orientation = header.orientation or self._orientation()
        self._header: Image.Image | None = header.picture
        self._bytes, self._scans, self._cut = len(contents.picture), contents.scans, contents.cut

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
            if self._cut:
                self.note = self._missing(decoded)
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
        """What EXIF says, or else XMP."""
        in_xmp = _XMP_ORIENTATION.search(self.xmp)
        return self.exif.orientation or (int(in_xmp[1]) if in_xmp else 1)

    def _missing(self, jpeg: Image.Image) -> str:
        """A sentence on what a JPEG lacks that ends too early.

        Raises:
            ValueError: it lacks too much.
        """
        progressive = "progressive" in jpeg.info
        rows = _missing_rows(jpeg) / jpeg.height
        if rows > MOST_MISSING or (progressive and self._scans <= BLURRED_SCANS):
            raise ValueError("too much is missing")
        if progressive:
            return f"{self.name} is incomplete: the finest details of the picture may be missing."
        if not rows:
            return ""
        return f"{self.name} is incomplete: the lowest {max(rows, 0.01):.0%} of the picture are missing."


def open_photo(data: bytes, name: str = "photo") -> OpenedPhoto:
    """Read the header of a photo file of one of the `FORMATS`; no pixel is decoded.

    Args:
        data: the whole file.
        name: the file's name, used in messages only.

    Raises:
        PhotoError: damaged or too large; NotAPictureError where it is not of these formats.
    """
    name = shown_name(name)
    check_size(len(data), name)
    kind = format_of(data)
    if kind is None:
        raise NotAPictureError(f"{name} is not a picture that can be read here; use {FORMATS}.")
    with _explained_damage(name):
        header = open_header(data, kind, name)
    return OpenedPhoto(name, kind, header)


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
        remedy = "save the picture as JPEG" if name.lower().endswith(RAW_SUFFIXES) else "use a smaller copy"
        raise PhotoError(
            f"{name} has {-(-size // 2**20)} MB, and at most {MAX_BYTES // 2**20} MB can be read; {remedy}."
        )


def _draft(jpeg: JpegImagePlugin.JpegImageFile, short_side: int, size: int) -> None:
    """Let the decoder shrink by 2, 4 or 8 and read all `size` bytes at once, a tenth quicker."""
    factor = max((f for f in (2, 4, 8) if min(jpeg.size) // f >= short_side), default=1)
    jpeg.draft(None, (jpeg.width // factor, jpeg.height // factor))
    jpeg.decodermaxblock = size


def _missing_rows(jpeg: Image.Image) -> int:
    """Rows at the bottom in middle gray: libjpeg fills with it what it had no data for."""
    other = [0 if value in (127, 128) else 255 for value in range(256)]
    rest = jpeg.point(other * len(jpeg.getbands())).getbbox()
    return jpeg.height - (rest[3] if rest else 0)


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
