"""A photo file with other EXIF, XMP or IPTC, all else byte for byte in its order: `containers` the other way.

Nothing is read that is not replaced, so MakerNotes, further pictures and films behind the first one, and all
that nobody here has heard of, stay as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from src.photos.containers import (
    APP0,
    APP1,
    APP13,
    EXIF_HEAD,
    EXIF_IN_PNG_TEXT,
    PHOTOSHOP,
    XMP_IN_JPEG,
    XMP_IN_PNG,
    png_chunks,
    webp_chunks,
)
from src.photos.iptc_edit import with_iptc
from src.photos.multi_picture import segments_before_pixels, with_places
from src.photos.splice import Edit, spliced

MAX_XMP_IN_JPEG = 65_502  # bytes of a packet (XMP Part 3, 1.1.3)
WEBP_FLAGS = {b"EXIF": 0x08, b"XMP ": 0x04}  # in VP8X

_APP11 = 0xEB
_MAX_SEGMENT = 65_533  # bytes without marker and length
_ALPHA = 0x10


def put_together(
    photo: bytes,
    kind: str,
    *,
    exif: bytes = b"",
    xmp: bytes = b"",
    iptc: bytes = b"",
    without_c2pa: bool = False,
) -> bytes:
    """The photo with these blocks; an empty one leaves what there is, as do EXIF and IPTC that find no place.

    Args:
        photo: a whole JPEG, PNG or WebP file.
        kind: "JPEG", "PNG" or "WEBP".
        exif: a TIFF structure.
        xmp: a packet.
        iptc: what is in Photoshop's image resource; for a JPEG only.
        without_c2pa: leave out Content Credentials.

    Raises:
        ValueError: the XMP is too long for a JPEG, or the photo has too many parts.
    """
    cuts = [(start, end, b"") for start, end in c2pa_parts(photo, kind)] if without_c2pa else []
    if kind == "JPEG":
        return with_places(spliced(photo, [*cuts, *_jpeg_edits(photo, exif, xmp, iptc)]), photo)
    if kind == "PNG":
        return spliced(photo, [*cuts, *_png_edits(photo, exif, xmp)])
    return _webp(photo, [*cuts, *_webp_edits(photo, exif, xmp)])


def c2pa_parts(photo: bytes, kind: str) -> list[tuple[int, int]]:
    """Start and end of what holds Content Credentials (C2PA 2.1, A.3), which vouch for every other byte."""
    if kind == "PNG":
        return [(start, end) for name, start, end in png_chunks(photo) if name == b"caBX"]
    if kind == "WEBP":
        return [(start, end) for name, start, end in webp_chunks(photo) if name == b"C2PA"]
    boxes = {}
    for marker, start, end in segments_before_pixels(photo) if kind == "JPEG" else ():
        if marker == _APP11 and photo.startswith(b"JP", start + 4):
            boxes[start] = (photo[start + 6 : start + 8], end)  # segments of one number are one box
    credentials = {
        number for start, (number, end) in boxes.items() if b"c2pa" in photo[start : min(end, start + 64)]
    }
    return [(start, end) for start, (number, end) in boxes.items() if number in credentials]


# ---- JPEG ------------------------------------------------------------------------------------------------


def _jpeg_edits(photo: bytes, exif: bytes, xmp: bytes, iptc: bytes) -> Iterator[Edit]:
    """EXIF, XMP and IPTC in their own places; what is new stands behind the former, behind JFIF."""
    if len(xmp) > MAX_XMP_IN_JPEG:
        raise ValueError("the XMP is longer than a segment")
    at, photoshop = 2, []
    found: dict[bytes, tuple[int, int]] = {}
    for marker, start, end in segments_before_pixels(photo):
        if marker == APP0 and start == at and not found:
            at = end
        elif marker == APP1 and photo.startswith((EXIF_HEAD, XMP_IN_JPEG), start + 4):
            head = EXIF_HEAD if photo.startswith(EXIF_HEAD, start + 4) else XMP_IN_JPEG
            found.setdefault(head, (start, end))
        elif marker == APP13 and photo.startswith(PHOTOSHOP, start + 4):
            photoshop.append((start, end))
    for head, block in ((EXIF_HEAD, exif), (XMP_IN_JPEG, xmp)):
        start, end = found.get(head, (at, at))
        if block and len(head) + len(block) <= _MAX_SEGMENT:
            yield start, end, segment(APP1, head + block)
        at = end
    if iptc:
        yield from _iptc_edits(photo, iptc, photoshop or [(at, at)])


def _iptc_edits(photo: bytes, iptc: bytes, segments: list[tuple[int, int]]) -> Iterator[Edit]:
    """IPTC in the segment that has some, or the first; nothing where one is broken or has no room."""
    try:
        new = [with_iptc(photo[start + 4 : end] or PHOTOSHOP, iptc) for start, end in segments]
    except ValueError:
        return
    has_some = [b"8BIM\x04\x04" in photo[start:end] for start, end in segments]
    number = has_some.index(True) if True in has_some else 0
    if len(new[number]) <= _MAX_SEGMENT:
        yield *segments[number], segment(APP13, new[number])


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data


# ---- PNG -------------------------------------------------------------------------------------------------


def _png_edits(photo: bytes, exif: bytes, xmp: bytes) -> Iterator[Edit]:
    """What is new stands behind the first chunk."""
    chunks = list(png_chunks(photo))
    behind = chunks[0][2]
    raw_profile = tuple(keyword + b"\0" for keyword in EXIF_IN_PNG_TEXT)
    places: dict[bytes, tuple[int, int]] = {}
    for kind, start, end in chunks:
        if kind == b"eXIf":
            places[kind] = (start, end)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            if photo.startswith(XMP_IN_PNG + b"\0", start + 8):
                places.setdefault(b"iTXt", (start, end))
            elif photo.startswith(raw_profile, start + 8):
                places.setdefault(b"text", (start, end))
    if exif:
        start, end = places.get(b"eXIf", places.get(b"text", (behind, behind)))
        yield start, end, png_chunk(b"eXIf", exif.removeprefix(EXIF_HEAD))
    if xmp:
        start, end = places.get(b"iTXt", (behind, behind))
        yield start, end, png_chunk(b"iTXt", XMP_IN_PNG + b"\0\0\0\0\0" + xmp)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


# ---- WebP ------------------------------------------------------------------------------------------------


def _webp_edits(photo: bytes, exif: bytes, xmp: bytes) -> Iterator[Edit]:
    """What is new stands behind the last chunk; VP8X, which a simple file has not, says that it is there."""
    chunks = list(webp_chunks(photo))
    new = {kind: block for kind, block in ((b"EXIF", exif), (b"XMP ", xmp)) if block}
    for kind, block in new.items():
        places = [(start, end) for name, start, end in chunks if name == kind] or [(chunks[-1][2],) * 2]
        yield *places[0], webp_chunk(kind, block)
    name, start, end = chunks[0]
    flags = sum(WEBP_FLAGS[kind] for kind in new)
    if name == b"VP8X":
        yield start + 8, start + 9, bytes([photo[start + 8] | flags])
    else:
        yield start, start, _extended(photo[start:end], flags)


def _extended(picture: bytes, flags: int) -> bytes:
    """The chunk that must stand before the only one of a simple file (RFC 9649, 2.7; RFC 6386, 9.1)."""
    if picture.startswith(b"VP8L"):
        bits = int.from_bytes(picture[9:13], "little")
        sides = (bits & 0x3FFF, bits >> 14 & 0x3FFF)
        flags |= _ALPHA if bits >> 28 & 1 else 0
    else:
        width, height = (int.from_bytes(picture[at : at + 2], "little") & 0x3FFF for at in (14, 16))
        sides = (width - 1, height - 1)
    data = bytes([flags, 0, 0, 0]) + b"".join(side.to_bytes(3, "little") for side in sides)
    return webp_chunk(b"VP8X", data)


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a WebP file."""
    return kind + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2)


def _webp(photo: bytes, edits: list[Edit]) -> bytes:
    size = int.from_bytes(photo[4:8], "little")
    grown = sum(len(new) - (end - start) for start, end, new in edits)
    return spliced(photo, [*edits, (4, 8, (size + grown).to_bytes(4, "little"))])
