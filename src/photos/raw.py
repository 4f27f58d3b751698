"""A camera's raw files: the largest picture that the camera itself made of what its sensor saw.

Every maker puts JPEG files into the raw one, for the camera's screen; where they are differs, but what
they look like does not. So they are looked for, and nothing of the raw data is decoded. EXIF and XMP are
where each kind has them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice

from src.photos.containers import START_OF_SCAN, Contents, take_apart
from src.photos.isobmff import canon_blocks
from src.photos.tiff import ALL_ORDERS, metadata_of

MAX_CANDIDATES = 1000  # beginnings of a JPEG that are looked at; a raw file has up to 5, and some by chance
MAX_SEGMENTS = 100  # before the pixels
_FIRST_IN_RAF = 84  # where a RAF says where its JPEG with EXIF is

_BEGINNING = re.compile(rb"\xff\xd8\xff[\xdb\xe0\xe1\xe2\xfe]")
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline and progressive; raw data are coded as 0xC3, without loss


def take_apart_raw(photo: bytes) -> tuple[Contents, tuple[bytes, bytes]]:
    """The parts of a raw file, its preview as the picture.

    Returns:
        The parts, and EXIF's photo and GPS tags where they are not within `exif`.

    Raises:
        ValueError: it has no preview.
    """
    preview = _jpeg_at(photo, _largest_preview(photo))
    if photo[4:8] == b"ftyp":
        blocks = canon_blocks(photo)
        main, shot, gps, xmp = (blocks.get(kind, b"") for kind in (b"CMT1", b"CMT2", b"CMT4", b"xmp"))
        return replace(preview, exif=main, xmp=xmp), (shot, gps)
    if photo[:4] in ALL_ORDERS:
        xmp, iptc = metadata_of(photo)
        return replace(preview, exif=photo, xmp=xmp, iptc=iptc), (b"", b"")
    says_all = _jpeg_at(photo, int.from_bytes(photo[_FIRST_IN_RAF : _FIRST_IN_RAF + 4]))
    return replace(says_all, picture=preview.picture, scans=preview.scans, cut=preview.cut), (b"", b"")


def _jpeg_at(photo: bytes, at: int) -> Contents:
    return take_apart(photo[at:], "JPEG")


def _largest_preview(photo: bytes) -> int:
    """Where the JPEG with the most pixels begins."""
    starts = (found.start() for found in islice(_BEGINNING.finditer(photo), MAX_CANDIDATES))
    sizes = [(_pixels(photo, at), -at) for at in starts]
    pixels, at = max(sizes, default=(0, 0))
    if not pixels:
        raise ValueError("no preview")
    return -at


def _pixels(photo: bytes, at: int) -> int:
    """How many pixels a JPEG has that begins there; 0 if none does, or none of eight bits."""
    pixels, at = 0, at + 2
    for _ in range(MAX_SEGMENTS):
        filler, marker = photo[at : at + 2].ljust(2, b"\0")
        if filler != 0xFF or not 0xC0 <= marker <= 0xFE:
            return 0
        if marker == START_OF_SCAN:
            return pixels
        if marker in _FRAMES and photo[at + 4 : at + 5] == b"\x08":
            pixels = int.from_bytes(photo[at + 5 : at + 7]) * int.from_bytes(photo[at + 7 : at + 9])
        at += 2 + int.from_bytes(photo[at + 2 : at + 4])
    return 0
