"""ISO base media files (ISO 14496-12): their boxes, and what AVIF and Canon's CR3 say of themselves there.

AVIF keeps its metadata as items (ISO 14496-12, 8.11), CR3 as boxes of Canon's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from src.photos.containers import MAX_BLOCK, MAX_PARTS

Box = tuple[bytes, int, int]  # kind, start and end of what is in it
Extents = list[tuple[int, int, int]]  # where to count from, start, size

_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # XMP Specification Part 3, 1.1.4
_HIDDEN = b"hide"  # in the place of a kind of item that the decoder must not read


def boxes(photo: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two places, one after the other.

    Raises:
        ValueError: there are too many.
    """
    end = len(photo) if end is None else min(end, len(photo))
    for _ in range(MAX_PARTS):
        if start + 8 > end:
            return
        size, head = int.from_bytes(photo[start : start + 4]), 8
        if size == 1:
            size, head = int.from_bytes(photo[start + 8 : start + 16]), 16
        after = end if size == 0 else start + size
        if size and size < head:
            return
        yield photo[start + 4 : start + 8], start + head, min(after, end)
        start = after
    raise ValueError("too many boxes")


def without_exif(photo: bytes) -> bytes:
    """An AVIF file whose EXIF block is not known as one, as Pillow would read all of it."""
    parts, done = [], 0
    for kind, start, end in boxes(photo):
        if kind in (b"meta", b"moov"):  # of a picture, and of a sequence
            parts += [photo[done:start], photo[start:end].replace(b"Exif", _HIDDEN)]
            done = end
    return b"".join([*parts, photo[done:]]) if parts else photo


def exif_item(photo: bytes) -> bytes:
    """The EXIF block of an AVIF file, a TIFF structure; empty if there is none."""
    for kind, start, end in boxes(photo):
        if kind == b"meta":
            block = _exif_in_meta(photo, start + 4, end)
            return block[4 + int.from_bytes(block[:4]) :]  # how far from here the structure is
    return b""


def canon_blocks(photo: bytes) -> dict[bytes, bytes]:
    """In a CR3 file CMT1, CMT2 and CMT4: TIFF structures with its main, photo and GPS tags; and "xmp"."""
    found: dict[bytes, bytes] = {}
    for kind, start, end in boxes(photo):
        if kind == b"uuid" and photo.startswith(_XMP, start):
            found.setdefault(b"xmp", photo[start + 16 : min(end, start + 17 + MAX_BLOCK)])
        for inner, at, inner_end in boxes(photo, start, end) if kind == b"moov" else ():
            if inner == b"uuid" and photo.startswith(_CANON, at):
                for block, block_at, block_end in boxes(photo, at + 16, inner_end):
                    found.setdefault(block, photo[block_at : min(block_end, block_at + MAX_BLOCK)])
    return found


def _exif_in_meta(photo: bytes, start: int, end: int) -> bytes:
    inside = {kind: (at, upto) for kind, at, upto in boxes(photo, start, end)}
    if not {b"iinf", b"iloc"} <= set(inside):
        return b""
    number = _exif_number(photo, *inside[b"iinf"])
    if number is None:
        return b""
    block = b""
    for method, at, size in _places(photo, *inside[b"iloc"], number):
        at += inside.get(b"idat", (0, 0))[0] if method == 1 else 0
        block += photo[at : at + min(size, MAX_BLOCK + 1 - len(block))]
    return block


def _exif_number(photo: bytes, start: int, end: int) -> int | None:
    """The number of the item that is EXIF."""
    start += 6 if photo[start : start + 1] == b"\0" else 8
    for kind, at, _ in boxes(photo, start, end):
        width = 2 if photo[at : at + 1] == b"\2" else 4
        if kind == b"infe" and photo[at + 6 + width : at + 10 + width] == b"Exif":
            return int.from_bytes(photo[at + 4 : at + 4 + width])
    return None


def _places(photo: bytes, start: int, end: int, wanted: int) -> Extents:
    """Where the pieces of an item are."""
    reader = _Reader(photo, start, end)
    version = reader.take(4) >> 24
    sizes = reader.take(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    for _ in range(reader.take(wide)):
        number = reader.take(wide)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        first = reader.take(base)
        extents: Extents = []
        for _ in range(reader.take(2)):
            reader.take(index if version else 0)
            extents.append((method, first + reader.take(offset), reader.take(length)))
        if number == wanted:
            return extents
    return []


class _Reader:
    """Takes numbers, one after the other; ValueError at the end."""

    def __init__(self, photo: bytes, at: int, end: int):
        self._photo, self._at, self._end = photo, at, end

    def take(self, size: int) -> int:
        self._at += size
        if self._at > self._end:
            raise ValueError("it ends early")
        return int.from_bytes(self._photo[self._at - size : self._at])
