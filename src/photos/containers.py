"""A photo file taken apart without decoding a pixel: what makes the picture, and its EXIF, XMP and IPTC.

Pillow gets the former only, so that metadata is read within limits of our own. It gets
WebP files whole, but parses no metadata in them.

JPEG: ITU-T T.81, B.1; PNG: W3C PNG, 5.3; WebP: RFC 9649; GIF: GIF89a.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_SCANS = 100  # passes over a JPEG: progressive ones have 10, and each takes long but few bytes
MAX_PARTS = 100_000  # segments, chunks or blocks; a 50 MB PNG in chunks of 8 kB has 6,400
MAX_RESOURCES = 200  # of Photoshop in a segment, in which IPTC is looked for
MAX_BLOCK = 2**20  # bytes of EXIF, XMP or IPTC; of a larger block, one byte more than this is kept

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA  # markers of a JPEG
APP0, APP1, APP13, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xED, 0xEE, 0xEF, 0xFE

# What metadata begins with, in segments of a JPEG and in texts of a PNG.
EXIF_HEAD, XMP_IN_JPEG, PHOTOSHOP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"
XMP_IN_PNG = b"XML:com.adobe.xmp"
EXIF_IN_PNG_TEXT = (b"Raw profile type exif", b"Raw profile type APP1")  # by ImageMagick and old exiv2
IPTC_RESOURCE = 0x0404  # its number among Photoshop's

# Segments and chunks besides the critical ones that say how to show the picture.
JPEG_PICTURE = (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe\0")
PNG_PICTURE = frozenset(b"tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD pHYs acTL fcTL fdAT".split())

_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the others are part of coded pixels, or fill bytes
_END_OF_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # as libjpeg has it: what else there is, is damage
_NO_LENGTH = (0x01, 0xD8)  # temporary, start of image
_XMP_IN_GIF = b"XMP DataXMP"
_XMP_TAIL_IN_GIF = 257  # bytes behind the packet that lead any reader of blocks to their end


@dataclass(frozen=True)
class Contents:
    """The parts of a photo file; what is not there is empty."""

    picture: bytes  # the file without what is not needed to decode its first picture
    exif: bytes = b""  # a TIFF structure
    xmp: bytes = b""
    iptc: bytes = b""
    scans: int = 1  # passes over the picture of a JPEG, counted up to one more than `MAX_SCANS`
    cut: bool = False  # whether it is a JPEG without an end; `picture` has got one


def without_marks(block: bytes, mark: bytes) -> bytes:
    """The block without this mark at its beginning, however often it stands there."""
    at = 0
    while block.startswith(mark, at):
        at += len(mark)
    return block[at:]


def jpeg_segments(photo: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the end of the first picture; scans go with their pixels.

    What no segment begins with is passed over. A file cut short does not end in END_OF_IMAGE.

    Raises:
        ValueError: there are too many.
    """
    at = 2
    for _ in range(MAX_PARTS):
        found = _MARKER.search(photo, at)
        if not found:
            return
        start, marker, at = found.start(), photo[found.start() + 1], found.end()
        if marker == END_OF_IMAGE:
            yield marker, start, at
            return
        if marker in _NO_LENGTH:
            continue
        at += max(2, int.from_bytes(photo[at : at + 2]))
        if marker == START_OF_SCAN:
            after = _END_OF_SCAN.search(photo, at)
            at = after.start() if after else len(photo)
        yield marker, start, min(at, len(photo))
    raise ValueError("too many segments")


def png_chunks(photo: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk; a file cut short does not end in IEND, or behind its end.

    Raises:
        ValueError: there are too many.
    """
    at = 8
    for _ in range(MAX_PARTS):
        kind, end = photo[at + 4 : at + 8], at + 12 + int.from_bytes(photo[at : at + 4])
        if len(kind) < 4 or not kind.isalpha():
            return
        yield kind, at, end
        if kind == b"IEND" or end > len(photo):
            return
        at = end
    raise ValueError("too many chunks")


def webp_chunks(photo: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk; the last may end behind the end of a file cut short.

    Raises:
        ValueError: there are too many.
    """
    at, file_end = 12, min(len(photo), 8 + int.from_bytes(photo[4:8], "little"))
    for _ in range(MAX_PARTS):
        if at >= file_end:
            return
        size = int.from_bytes(photo[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        yield photo[at : at + 4], at, end
        at = end
    raise ValueError("too many chunks")


def take_apart(photo: bytes, kind: str) -> Contents:
    """The parts of a JPEG, PNG, WEBP or GIF file, also of one that is cut short.

    Raises:
        ValueError: it has too many of them.
    """
    return {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp, "GIF": _gif}[kind](photo)


def _jpeg(photo: bytes) -> Contents:
    """What makes the first picture, up to its own end: a decoder looks ahead, and damage lets it run on."""
    picture, scans, marker = [photo[:2]], 0, 0
    blocks: dict[str, Any] = {}
    for marker, start, end in jpeg_segments(photo):
        if scans and _ends_in_header(photo, marker, start):
            break
        scans += marker == START_OF_SCAN
        if scans > MAX_SCANS:
            break
        if not is_metadata(photo, marker, start):
            picture.append(photo[start:end])
        elif scans:
            continue  # where no program looks for any
        elif marker == APP1 and photo.startswith(EXIF_HEAD, start + 4):
            blocks.setdefault("exif", photo[start + 4 + len(EXIF_HEAD) : end])
        elif marker == APP1 and photo.startswith(XMP_IN_JPEG, start + 4):
            blocks.setdefault("xmp", photo[start + 4 + len(XMP_IN_JPEG) : end])
        elif marker == APP13 and (iptc := _photoshop_iptc(photo[start + 4 : end])):
            blocks.setdefault("iptc", iptc)
    cut = scans <= MAX_SCANS and marker != END_OF_IMAGE
    ends = b"\xff\xd9" if cut else b""  # the decoder fills what is missing
    return Contents(b"".join([*picture, ends]), **blocks, scans=scans, cut=cut)


def _ends_in_header(photo: bytes, marker: int, start: int) -> bool:
    """Whether a JPEG is cut within a segment, and not within the pixels behind it."""
    size = photo[start + 2 : start + 4]
    return marker != END_OF_IMAGE and (len(size) < 2 or start + 2 + int.from_bytes(size) > len(photo))


def is_metadata(photo: bytes, marker: int, start: int) -> bool:
    """Whether a JPEG segment is not needed to show the picture."""
    application = APP0 <= marker <= APP15 or marker == COMMENT
    return application and not photo.startswith(JPEG_PICTURE, start + 4)


def _photoshop_iptc(segment: bytes) -> bytes:
    return iptc_in_resources(segment[len(PHOTOSHOP) :]) if segment.startswith(PHOTOSHOP) else b""


def iptc_in_resources(resources: bytes) -> bytes:
    """The IPTC block in Photoshop's image resources (Photoshop File Formats, "Image Resource Blocks")."""
    at = 0
    for _ in range(MAX_RESOURCES):
        if resources[at : at + 4] != b"8BIM":
            break
        number, name = int.from_bytes(resources[at + 4 : at + 6]), resources[at + 6 : at + 7]
        at += 6 + (len(name) + sum(name) + 1) // 2 * 2
        size = int.from_bytes(resources[at : at + 4])
        if number == IPTC_RESOURCE:
            return resources[at + 4 : at + 4 + size]
        at += 4 + size + size % 2
    return b""


def _png(photo: bytes) -> Contents:
    picture, at = [photo[:8]], 8
    blocks: dict[str, Any] = {}
    for kind, start, end in png_chunks(photo):
        at = end
        if is_picture(kind) and kind not in (b"acTL", b"fcTL", b"fdAT"):
            picture.append(photo[start:end])
        elif kind == b"eXIf":
            blocks["exif"] = photo[start + 8 : min(end - 4, start + 9 + MAX_BLOCK)]
        elif kind in (b"iTXt", b"tEXt", b"zTXt"):
            keyword = photo[start + 8 : start + 8 + 80].partition(b"\0")[0]
            if keyword == XMP_IN_PNG and "xmp" not in blocks:
                blocks["xmp"] = _png_text(kind, photo[start + 9 + len(keyword) : end - 4])
            elif keyword in EXIF_IN_PNG_TEXT and "exif" not in blocks:
                blocks["exif"] = _raw_profile(_png_text(kind, photo[start + 9 + len(keyword) : end - 4]))
    return Contents(b"".join([*picture, photo[at:]]), **blocks)


def is_picture(kind: bytes) -> bool:
    """Whether a PNG chunk is needed to show the picture, as the critical ones are."""
    return kind[:1].isupper() or kind in PNG_PICTURE


def _png_text(kind: bytes, text: bytes) -> bytes:
    """The text of a chunk, unpacked, from what stands behind its keyword."""
    packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        text = text[2:].split(b"\0", 2)[-1]
    if not packed:
        return text[: MAX_BLOCK + 1]
    try:
        return zlib.decompressobj().decompress(text, MAX_BLOCK + 1)
    except zlib.error:
        return b""


def _raw_profile(text: bytes) -> bytes:
    r"""The block in a text such as "\nexif\n  26\n4578696600…"."""
    try:
        return binascii.unhexlify(b"".join(text.split()[2:]))
    except binascii.Error:
        return b""


def _webp(photo: bytes) -> Contents:
    blocks: dict[str, Any] = {}
    for kind, start, _ in webp_chunks(photo):
        if kind in (b"EXIF", b"XMP "):
            size = min(int.from_bytes(photo[start + 4 : start + 8], "little"), MAX_BLOCK + 1)
            blocks.setdefault(kind.decode().strip().lower(), photo[start + 8 : start + 8 + size])
    return Contents(photo, **blocks)


def _gif(photo: bytes) -> Contents:
    """The first picture with the extension that says how to show it; what follows is never decoded."""
    at = 13 + _palette_size(photo[10:11])
    head, control, xmp = photo[:at], b"", b""
    parts = iter(range(MAX_PARTS))
    while photo[at : at + 1] == b"!":  # an extension
        end = _gif_blocks_end(photo, at + 2, parts)
        if photo[at + 1 : at + 2] == b"\xf9":
            control = photo[at:end]
        elif photo.startswith(_XMP_IN_GIF, at + 3):
            start = at + 3 + len(_XMP_IN_GIF)
            xmp = photo[start : min(end - _XMP_TAIL_IN_GIF - 1, start + MAX_BLOCK + 1)]
        at = end
    return Contents(head + control + photo[at:], xmp=xmp)


def _palette_size(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _gif_blocks_end(photo: bytes, at: int, parts: Iterator[int]) -> int:
    """Where the blocks end that start at a place; `parts` counts the blocks of the whole file."""
    for _ in parts:
        size = photo[at] if at < len(photo) else 0
        at += 1 + size
        if not size:
            return at
    raise ValueError("too many blocks")
