"""Photo files opened for decoding: each by the one decoder for its format, with nothing decoded yet.

Only the decoders named here are ever used. They get no metadata to see, as that is read within limits of our
own (`containers`, `tiff`, `isobmff`, `jxl`, `raw`), and no picture that would cost too much time or memory.
They are called directly, as `Image.open` would warn of large pictures: their size is checked here, and
warnings can only be silenced for all threads.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from types import ModuleType

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from src.photos.containers import MAX_BLOCK, MAX_SCANS, Contents, take_apart
from src.photos.errors import PhotoError
from src.photos.exif import Exif
from src.photos.isobmff import exif_item, without_exif
from src.photos.jxl import JxlImage, can_decode, take_apart_jxl
from src.photos.raw import take_apart_raw
from src.photos.tiff import bytes_a_pixel, take_apart_tiff


def _load_pillow_heif() -> ModuleType | None:
    try:
        import pillow_heif
    except ImportError:  # everything but HEIC works without it
        return None
    # Only the picture itself is wanted, so the other pictures in the file are not even unpacked.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return pillow_heif


pillow_heif = _load_pillow_heif()

MAX_PIXELS = 64_000_000  # the picture is unpacked whole: up to 4 bytes a pixel
MAX_JPEG_PIXELS = 160_000_000  # a baseline JPEG is shrunk while it is decoded
_BITMAPS = (0, 3)  # kinds of compression: none; what is packed is unpacked too slowly

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}


@dataclass(frozen=True)
class Header:
    """An opened file.

    Attributes:
        picture: whose pixels are not decoded yet.
        contents: the parts of the file.
        exif: what it says.
        orientation: how the picture has to be turned, where its format has a way of its own to say so, which
            counts more than EXIF.
    """

    picture: Image.Image
    contents: Contents
    exif: Exif
    orientation: int | None = None


def open_header(data: bytes, kind: str, name: str) -> Header:
    """Open a file of a format as `formats.format_of` names it.

    Raises:
        PhotoError: it is too large, or cannot be read here.
        Exception: of nearly any kind, as decoders raise at broken files.
    """
    header = _OPENERS.get(kind, _open_plain)(data, kind, name)
    shrinks = header.picture.format == "JPEG" and not header.picture.info.get("progressive")
    limit = MAX_JPEG_PIXELS if shrinks else MAX_PIXELS
    if kind == "TIFF":
        limit = int(limit * 4 / max(4, bytes_a_pixel(data)))
    check_pixels(header.picture.size, limit, name)
    return header


def check_pixels(size: tuple[int, int], limit: int, name: str) -> None:
    """Raise PhotoError for a picture of more than `limit` pixels."""
    if size[0] * size[1] > limit:
        raise PhotoError(
            f"{name} is {size[0]} × {size[1]} pixels, too large a picture to read; use a smaller copy."
        )


def _open_plain(data: bytes, kind: str, name: str) -> Header:
    contents = take_apart(data, kind)
    if kind == "WEBP":
        _check_webp_canvas(contents.picture, name)
    _check_passes(contents, name)
    picture = _PLUGINS[kind](io.BytesIO(contents.picture))
    return Header(picture, contents, Exif(contents.exif[:MAX_BLOCK]))


def _open_raw(data: bytes, _kind: str, name: str) -> Header:
    try:
        contents, own_blocks = take_apart_raw(data)
    except ValueError as error:
        raise PhotoError(
            f"{name} is a RAW file without a preview that can be read; save the picture as JPEG."
        ) from error
    _check_passes(contents, name)
    picture = JpegImagePlugin.JpegImageFile(io.BytesIO(contents.picture))
    return Header(picture, contents, Exif(contents.exif, *own_blocks))


def _open_tiff(data: bytes, _kind: str, name: str) -> Header:
    contents = take_apart_tiff(data, name)
    return Header(TiffImagePlugin.TiffImageFile(io.BytesIO(contents.picture)), contents, Exif(data))


def _open_bmp(data: bytes, _kind: str, name: str) -> Header:
    size, compression = data[14:18], int.from_bytes(data[30:34], "little")
    if size != b"\x0c\0\0\0" and compression not in _BITMAPS:
        raise PhotoError(f"{name} is a kind of BMP that cannot be read here; save it as PNG.")
    return Header(BmpImagePlugin.BmpImageFile(io.BytesIO(data)), Contents(data), Exif(b""))


def _open_heif(data: bytes, _kind: str, name: str) -> Header:
    """A HEIC file, which libheif takes apart and turns by the file's own transformations."""
    if pillow_heif is None:
        raise PhotoError(
            f"{name} is a HEIC picture, which this computer cannot read: install pillow-heif, "
            "or save the picture as JPEG."
        )
    picture = pillow_heif.HeifImageFile(io.BytesIO(data))
    exif, xmp = picture.info.pop("exif", None) or b"", picture.info.pop("xmp", None) or b""
    contents = Contents(b"", exif[: MAX_BLOCK + 1], xmp[: MAX_BLOCK + 1])
    return Header(picture, contents, Exif(contents.exif[:MAX_BLOCK]), orientation=1)


def _open_avif(data: bytes, _kind: str, name: str) -> Header:
    """An AVIF file; Pillow tells of the file's own transformations in an EXIF block that it makes."""
    if not AvifImagePlugin.SUPPORTED:
        raise PhotoError(
            f"{name} is an AVIF picture, which this computer cannot read: install Pillow with AVIF, "
            "or save the picture as JPEG."
        )
    exif = exif_item(data)
    picture = AvifImagePlugin.AvifImageFile(io.BytesIO(without_exif(data)))
    turned = Exif(picture.info.pop("exif", b"")).orientation
    xmp = picture.info.pop("xmp", b"")[: MAX_BLOCK + 1]
    return Header(picture, Contents(b"", exif, xmp), Exif(exif[:MAX_BLOCK]), orientation=turned or 1)


def _open_jxl(data: bytes, _kind: str, name: str) -> Header:
    """A JPEG XL file; its codestream says how to turn it, whatever its EXIF says (ISO/IEC 18181-2)."""
    if not can_decode():
        raise PhotoError(
            f"{name} is a JPEG XL picture, which this computer cannot read: install pillow-jxl-plugin and "
            "brotli, or save the picture as JPEG."
        )
    contents = take_apart_jxl(data)
    picture = JxlImage(contents.picture, name)
    return Header(picture, contents, Exif(contents.exif[:MAX_BLOCK]), orientation=1)


_OPENERS = {
    "HEIF": _open_heif,
    "AVIF": _open_avif,
    "JXL": _open_jxl,
    "TIFF": _open_tiff,
    "BMP": _open_bmp,
    "RAW": _open_raw,
}


def _check_webp_canvas(data: bytes, name: str) -> None:
    """Check the canvas before Pillow opens the file: older versions set its memory aside at once."""
    if data[12:16] == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        check_pixels((width, height), MAX_PIXELS, name)


def _check_passes(contents: Contents, name: str) -> None:
    if contents.scans > MAX_SCANS:
        raise PhotoError(f"{name} is stored in too many passes to be read; save it anew as a JPEG.")
