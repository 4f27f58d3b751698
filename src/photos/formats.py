"""Which of the formats that are read a file is of: by what its bytes are, and not by its name.

The numbers are the formats' own: JPEG, PNG, RIFF, GIF, JPEG XL (ISO/IEC 18181), TIFF 6.0, Windows'
BITMAPFILEHEADER, and the brands of ISO base media files (ISO 14496-12; HEIF: ISO 23008-12; AVIF 1.1). Raw
files are known by what their makers put first, or are TIFF structures with a sensor's pixels in them
(`tiff.is_raw`).
"""

from __future__ import annotations

from src.photos.jxl import CODESTREAM, CONTAINER
from src.photos.tiff import ORDERS, RAW_ORDERS, is_raw

FORMATS = "JPEG, PNG, WebP, GIF, HEIC, AVIF, JPEG XL, TIFF, BMP or a camera's RAW"
RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".sr2", ".srw", ".orf", ".raf", ".rw2", ".pef"),
)
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jxl", *RAW_SUFFIXES),
)

# Still pictures coded with HEVC or AV1, single or in a sequence; "mif1" and "msf1" may hold either.
_HEVC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AV1 = {b"avif", b"avis"}
_EITHER = {b"mif1", b"msf1"}
_MAX_BRANDS = 50

_BITMAP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # bytes, by version
_RAW = (b"FUJIFILMCCD-RAW", *RAW_ORDERS)


def format_of(data: bytes) -> str | None:
    """Pillow's name of the format, or "RAW"; None for what is not read."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data.startswith((CODESTREAM, CONTAINER)):
        return "JXL"
    if data[4:8] == b"ftyp":
        return _by_brands(data)
    if data.startswith(_RAW):
        return "RAW"
    if data[:4] in ORDERS:
        return "RAW" if is_raw(data) else "TIFF"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BITMAP_HEADERS:
        return "BMP"
    return None


def _by_brands(data: bytes) -> str | None:
    """The same for an ISO base media file; its first brand counts most."""
    size = min(int.from_bytes(data[:4]), 16 + 4 * _MAX_BRANDS)
    first, others = data[8:12], {data[at : at + 4] for at in range(16, size, 4)}
    if first == b"crx ":  # Canon's CR3
        return "RAW"
    if first in _AV1 or (first in _EITHER and others & _AV1 and not others & _HEVC):
        return "AVIF"
    return "HEIF" if first in _HEVC | _EITHER else None
