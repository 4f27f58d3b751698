"""A position into an EXIF block, of which nothing else moves or changes; TIFF 6.0, CIPA DC-008-2019.

Cameras write places of their own into the block, in a MakerNote that only they can read: whoever writes the
block anew breaks it. So what is new is put behind the block, and all that changes within it is one pointer.
"""

from __future__ import annotations

import struct

from src.landmarks.tags import Tags
from src.photos.containers import EXIF_HEAD, without_marks
from src.photos.tiff import ORDERS
from src.photos.xmp import ESTIMATE, minutes

_EMPTY = b"MM\0*\0\0\0\x08\0\0\0\0\0\0"  # one directory without entries
_GPS_POINTER, _LAST_GPS_TAG = 0x8825, 31
_BYTE, _ASCII, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 4, 5, 7


def with_position(block: bytes, tags: Tags) -> bytes:
    """The block with the coordinates of tags, marked as an estimate.

    Args:
        block: a TIFF structure, with "Exif" before it or not; empty for a new one.
        tags: with coordinates.

    Raises:
        ValueError: the block is too broken to add to.
    """
    bare = without_marks(block, EXIF_HEAD)
    return block[: len(block) - len(bare)] + _with_gps(bare or _EMPTY, tags)


def _with_gps(block: bytes, tags: Tags) -> bytes:
    order = ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        raise ValueError("no TIFF structure")
    at = struct.unpack_from(order + "L", block, 4)[0]
    entries, following = _directory(block, order, at)
    pointers = [number for number, entry in enumerate(entries) if _tag(order, entry) == _GPS_POINTER]
    old: list[bytes] = []
    if pointers:
        place = struct.unpack_from(order + "L", entries[pointers[0]], 8)[0]
        old = [entry for entry in _directory(block, order, place)[0] if _tag(order, entry) <= _LAST_GPS_TAG]
    block += b"\0" * (len(block) % 2)  # what a directory names begins at an even place
    pointer = struct.pack(order + "HHLL", _GPS_POINTER, _LONG, 1, len(block))
    gps = _gps_directory(order, len(block), old, tags)
    if pointers:
        there = at + 2 + 12 * pointers[0]
        return b"".join([block[:there], pointer, block[there + 12 :], gps])
    before = [entry for entry in entries if _tag(order, entry) < _GPS_POINTER]
    main = [struct.pack(order + "H", len(entries) + 1), *before, pointer, *entries[len(before) :], following]
    head = block[:4] + struct.pack(order + "L", len(block) + len(gps))
    return b"".join([head, block[8:], gps, *main])


def _directory(block: bytes, order: str, at: int) -> tuple[list[bytes], bytes]:
    """The entries of 12 bytes of the directory at a place, and the place of the one that follows it."""
    if not 8 <= at <= len(block) - 6:
        raise ValueError("a directory outside")
    end = at + 2 + 12 * struct.unpack_from(order + "H", block, at)[0]
    if end + 4 > len(block):
        raise ValueError("a directory that is cut")
    return [block[place : place + 12] for place in range(at + 2, end, 12)], block[end : end + 4]


def _tag(order: str, entry: bytes) -> int:
    return struct.unpack_from(order + "H", entry)[0]


def _gps_directory(order: str, at: int, old: list[bytes], tags: Tags) -> bytes:
    """A directory for this place with the values behind it; old entries stay but for those that are new."""
    new = _gps_values(order, tags)
    kept = {_tag(order, entry): entry for entry in old if _tag(order, entry) not in new}
    numbers = sorted({*kept, *new})
    behind, values = at + 2 + 12 * len(numbers) + 4, b""
    rows = []
    for number in numbers:
        if number in kept:
            rows.append(kept[number])
            continue
        kind, count, value = new[number]
        row = struct.pack(order + "HHL", number, kind, count)
        if len(value) <= 4:
            rows.append(row + value.ljust(4, b"\0"))
        else:
            rows.append(row + struct.pack(order + "L", behind + len(values)))
            values += value + b"\0" * (len(value) % 2)
    return b"".join([struct.pack(order + "H", len(rows)), *rows, b"\0" * 4, values])


def _gps_values(order: str, tags: Tags) -> dict[int, tuple[int, int, bytes]]:
    """By tag: type, how many, and their bytes."""
    if tags.latitude is None or tags.longitude is None:
        raise ValueError("no coordinates")
    method = b"ASCII\0\0\0" + ESTIMATE.encode()
    values = {
        0: (_BYTE, 4, bytes([2, 3, 0, 0])),  # the version
        18: (_ASCII, 7, b"WGS-84\0"),
        27: (_UNDEFINED, len(method), method),
    }
    axes = ((1, tags.latitude, b"NS"), (3, tags.longitude, b"EW"))
    for number, degrees, letters in axes:
        whole, parts, scale = minutes(degrees, tags.radius_m)
        values[number] = (_ASCII, 2, letters[degrees < 0 :][:1] + b"\0")
        values[number + 1] = (_RATIONAL, 3, struct.pack(order + "6L", whole, 1, parts, scale, 0, 1))
    if tags.radius_m is not None:
        values[31] = (_RATIONAL, 1, struct.pack(order + "2L", max(1, round(tags.radius_m)), 1))
    return values
