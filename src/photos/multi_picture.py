"""Where the further pictures of a JPEG begin: CIPA DC-007-2009, "Multi-Picture Format".

Phones put a gain map (Ultra HDR), a depth map or a second view behind the first picture, and say in a segment
where. They count from that segment, so what is inserted before or behind it makes the places wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from src.photos.containers import END_OF_IMAGE, START_OF_SCAN, jpeg_segments
from src.photos.tiff import ORDERS

_APP2, _HEAD = 0xE2, b"MPF\0"
_ENTRIES = 0xB002  # tag of the list of pictures, of 16 bytes each: kind, size, place, two others
_MAX_PICTURES = 1000


def with_places(copy: bytes, photo: bytes) -> bytes:
    """The copy of a JPEG with its pictures' places corrected.

    Args:
        copy: the photo with other segments than before in front of its pixels; all else is as it was.
        photo: what it was made of.
    """
    grown, pixels = len(copy) - len(photo), _pixels(photo)
    new = bytearray(copy)
    for old_head, head in zip(_heads(photo), _heads(copy), strict=True):
        for order, at in _pictures(copy, head):
            size, place = struct.unpack_from(order + "LL", copy, at + 4)
            if place == 0 and size:  # the first picture, which counts with its segments
                size += grown
            elif old_head + place >= pixels:
                place += old_head + grown - head
            if 0 <= size < 2**32 and 0 <= place < 2**32:
                struct.pack_into(order + "LL", new, at + 4, size, place)
    return bytes(new)


def _heads(photo: bytes) -> list[int]:
    """Where the places are counted from in each segment that says some."""
    return [
        start + 4 + len(_HEAD)
        for marker, start, _ in segments_before_pixels(photo)
        if marker == _APP2 and photo.startswith(_HEAD, start + 4)
    ]


def _pixels(photo: bytes) -> int:
    return max((end for _, _, end in segments_before_pixels(photo)), default=2)


def segments_before_pixels(photo: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of a JPEG's segments in front of its first scan."""
    for segment in jpeg_segments(photo):
        if segment[0] in (START_OF_SCAN, END_OF_IMAGE):
            return
        yield segment


def _pictures(photo: bytes, head: int) -> Iterator[tuple[str, int]]:
    """Byte order and place of each picture's entry; none where the segment is broken."""
    end = head - 6 + int.from_bytes(photo[head - 6 : head - 4])
    block = photo[head:end]
    order = ORDERS.get(block[:4])
    if order is None or len(block) < 10:
        return
    at = struct.unpack_from(order + "L", block, 4)[0]
    if at > len(block) - 2:
        return
    count = min(struct.unpack_from(order + "H", block, at)[0], (len(block) - at - 2) // 12)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, _, size, first = struct.unpack_from(order + "HHLL", block, entry)
        if tag == _ENTRIES:
            last = min(first + min(size, 16 * _MAX_PICTURES), len(block)) - 15
            yield from ((order, head + place) for place in range(first, last, 16))
            return
