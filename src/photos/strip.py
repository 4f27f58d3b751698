"""Photos without any metadata, bit by bit the same picture."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from src.photos import exif
from src.photos.containers import (
    APP0,
    APP1,
    APP14,
    END_OF_IMAGE,
    EXIF_HEAD,
    START_OF_SCAN,
    is_metadata,
    is_picture,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)
from src.photos.decode import OpenedPhoto, open_photo
from src.photos.errors import MetadataError
from src.photos.put_together import WEBP_FLAGS, png_chunk, segment, webp_chunk

COPIED = ("JPEG", "PNG", "WEBP")  # formats of which copies are made: without metadata, or with tags

# Bytes of segments without what may follow: "JFIF" up to the size of a thumbnail (JFIF 1.02), and "Adobe".
_JPEG_SIZES = {APP0: 18, APP14: 16}
_WEBP_PICTURE = set(b"VP8X,VP8 ,VP8L,ALPH,ANIM,ANMF,ICCP".split(b","))


def strip_metadata(photo: bytes, name: str = "photo") -> bytes:
    """A copy of a JPEG, PNG or WebP file without any metadata; the picture keeps every bit.

    Only what is needed to show it stays: pixels, colour profile and the EXIF orientation. All else goes, even
    if unknown: thumbnails, too, and the pictures behind the first in a JPEG with coordinates of their own.

    Raises:
        PhotoError: the file is no photo.
        MetadataError: it is of another format, or damaged.
    """
    opened = open_photo(photo, name)
    turned = Image.Exif()
    turned[exif.ORIENTATION] = opened.orientation
    return _assembled(_bare_parts(photo, opened), turned.tobytes() if opened.orientation != 1 else b"")


def picture_parts(photo: bytes, opened: OpenedPhoto) -> list[bytes]:
    """What makes the picture; VP8X only says what else is in a WebP file, and simple files have none."""
    return [part for part in _bare_parts(photo, opened) if not part.startswith(b"VP8X")]


def _bare_parts(photo: bytes, opened: OpenedPhoto) -> list[bytes]:
    """The file's first bytes and what makes the picture, in order: JPEG segments, PNG or WebP chunks."""
    try:
        if opened.format == "JPEG":
            return [photo[:2], *_jpeg_parts(photo)]
        if opened.format == "PNG":
            return [photo[:8], *_png_parts(photo)]
        if opened.format == "WEBP":
            return [photo[:4], *_webp_parts(photo)]
    except ValueError as error:
        raise MetadataError(f"{opened.name} is damaged or incomplete; save or send it again.") from error
    raise MetadataError(f"{opened.name} cannot be copied bit by bit; save it as JPEG, PNG or WebP first.")


def _jpeg_parts(photo: bytes) -> Iterator[bytes]:
    markers = []
    for marker, start, end in jpeg_segments(photo):
        markers.append(marker)
        if not is_metadata(photo, marker, start):
            part = photo[start:end]
            yield _trimmed(part, _JPEG_SIZES[marker]) if marker in _JPEG_SIZES else part
    if START_OF_SCAN not in markers or markers[-1] != END_OF_IMAGE:
        raise ValueError("no scan or no end")


def _trimmed(segment: bytes, size: int) -> bytes:
    """The segment without what follows so many bytes; the thumbnail in "JFIF" gets a size of 0 × 0 pixels."""
    if len(segment) <= size:
        return segment
    kept = segment[:2] + (size - 2).to_bytes(2) + segment[4:size]
    return kept[:-2] + b"\0\0" if segment[1] == APP0 else kept


def _png_parts(photo: bytes) -> Iterator[bytes]:
    """The critical chunks and those that say how to show them."""
    kind, end = b"", 0
    for kind, start, end in png_chunks(photo):
        if is_picture(kind):
            yield photo[start:end]
    if kind != b"IEND" or end > len(photo):
        raise ValueError("no end")


def _webp_parts(photo: bytes) -> Iterator[bytes]:
    for kind, start, end in webp_chunks(photo):
        if end > len(photo):
            raise ValueError("no end")
        if kind in _WEBP_PICTURE:
            yield photo[start:end]


def _assembled(parts: list[bytes], exif: bytes) -> bytes:
    """A photo file of these parts and, unless empty, an EXIF block with its head "Exif"."""
    head, first, *rest = parts
    if head == b"\xff\xd8":
        return b"".join([head, segment(APP1, exif) if exif else b"", first, *rest])
    exif = exif.removeprefix(EXIF_HEAD)
    if head != b"RIFF":
        return b"".join([head, first, png_chunk(b"eXIf", exif) if exif else b"", *rest])
    if first.startswith(b"VP8X"):
        flags = first[8] & ~sum(WEBP_FLAGS.values()) | (WEBP_FLAGS[b"EXIF"] if exif else 0)
        first = first[:8] + bytes([flags]) + first[9:]
    body = b"".join([b"WEBP", first, *rest, webp_chunk(b"EXIF", exif) if exif else b""])
    return head + len(body).to_bytes(4, "little") + body
