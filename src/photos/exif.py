"""The few EXIF tags that are read, straight from their block and within limits; CIPA DC-008-2019.

Pillow reads all tags of a block, of any size, and reports what is broken as warnings on the terminal.
"""

from __future__ import annotations

import math
import struct

from src.photos.containers import EXIF_HEAD, without_marks
from src.photos.tiff import ALL_ORDERS

ORIENTATION, DESCRIPTION, MAKE, MODEL = 0x0112, 0x010E, 0x010F, 0x0110
SERIAL = 0xA431  # of the camera's body
COMMENT = 0x9286  # the user's
TAKEN, DIGITIZED = 0x9003, 0x9004  # by the camera's clock
OFFSET, OFFSET_TAKEN, OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012  # its zone
FRACTION_TAKEN, FRACTION_DIGITIZED = 0x9291, 0x9292  # digits behind the second
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, METHOD = 1, 2, 3, 4, 27  # in the GPS block
GPS_TIME, GPS_DATE = 7, 29  # in UTC

_PHOTO, _GPS = 0x8769, 0x8825  # tags that say where blocks of further ones are
_WANTED = {
    "": (ORIENTATION, DESCRIPTION, MAKE, MODEL, _PHOTO, _GPS),
    "photo": (
        *(SERIAL, COMMENT, TAKEN, DIGITIZED, OFFSET, OFFSET_TAKEN, OFFSET_DIGITIZED),
        *(FRACTION_TAKEN, FRACTION_DIGITIZED),
    ),
    "gps": (LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, METHOD, GPS_TIME, GPS_DATE),
}
_FORMATS = dict(enumerate(("B", "s", "H", "L", "LL", "b", "s", "h", "l", "ll", "f", "d"), 1))
_MAX_TEXT, _MAX_NUMBERS = 2**16, 8

Value = bytes | tuple[float, ...]  # texts as they stand in the file; numbers, of which 1/0 and 0/0 are NaN
Tags = dict[int, Value]


class Exif:
    """What a photo's EXIF block says; a broken one says nothing, or what could be read.

    Attributes:
        main, photo, gps: tags and values of the three blocks.

    Args:
        block: a TIFF structure.
        photo, gps: structures of their own, where these two are not within the first.
    """

    def __init__(self, block: bytes, photo: bytes = b"", gps: bytes = b""):
        block = without_marks(block, EXIF_HEAD)
        self.main = _first_tags(block, _WANTED[""])
        self.photo = _first_tags(photo, _WANTED["photo"])
        self.gps = _first_tags(gps, _WANTED["gps"])
        if order := ALL_ORDERS.get(block[:4]):
            for tag, name, tags in ((_PHOTO, "photo", self.photo), (_GPS, "gps", self.gps)):
                tags.update(_tags(block, order, int(number(self.main.get(tag)) or 0), _WANTED[name]))

    @property
    def orientation(self) -> int:
        """How to turn the stored picture upright, from 1 (it is) to 8; 0 where that is not said."""
        value = number(self.main.get(ORIENTATION)) or 0
        return int(value) if value in range(1, 9) else 0


def number(value: Value | None) -> float | None:
    """The first number of a value, if it has any that is finite."""
    return value[0] if isinstance(value, tuple) and value and math.isfinite(value[0]) else None


def text(value: Value | None) -> str:
    """A text up to its end; empty for numbers."""
    return decoded(value.partition(b"\0")[0]).strip() if isinstance(value, bytes) else ""


def decoded(text: bytes) -> str:
    """A text of no known character set: in UTF-8, or as old programs wrote it, those of Windows in cp1252."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return text.decode(encoding)
        except UnicodeDecodeError:  # five bytes are nothing in cp1252
            pass
    return text.decode("latin-1")


def comment(value: Value | None) -> str:
    """A user's comment, whose first eight bytes name its character set; empty for one not known here."""
    if not isinstance(value, bytes):
        return ""
    charset, rest = value[:8], value[8:]
    if charset == b"UNICODE\0":  # UTF-16 in the block's order, or in another
        order = "be" if rest[::2].count(0) > rest[1::2].count(0) else "le"
        return rest.decode(f"utf-16-{order}", "replace").lstrip("\ufeff").partition("\0")[0].strip()
    return text(rest) if charset in (b"ASCII\0\0\0", bytes(8)) else ""


def _first_tags(block: bytes, wanted: tuple[int, ...]) -> Tags:
    """The wanted tags of a structure's first directory."""
    order = ALL_ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    return _tags(block, order, struct.unpack_from(order + "L", block, 4)[0], wanted)


def _tags(block: bytes, order: str, at: int, wanted: tuple[int, ...]) -> Tags:
    """The wanted tags of the directory at a place in the block; at most 65,535 entries of 12 bytes."""
    tags: Tags = {}
    if not 8 <= at <= len(block) - 2:
        return tags
    count = min(struct.unpack_from(order + "H", block, at)[0], (len(block) - at - 2) // 12)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(order + "HHL", block, entry)
        if tag in wanted and tag not in tags and kind in _FORMATS:
            value = _value(block, order, kind, length, entry + 8)
            if value is not None:
                tags[tag] = value
    return tags


def _value(block: bytes, order: str, kind: int, length: int, at: int) -> Value | None:
    """What an entry holds: up to four bytes in itself, more at the place that it gives."""
    form = _FORMATS[kind]
    size = struct.calcsize(order + form) * length
    if size > 4:
        at = struct.unpack_from(order + "L", block, at)[0]
    if at + size > len(block):
        return None
    if form == "s":
        return block[at : at + min(length, _MAX_TEXT)]
    numbers = struct.unpack_from(order + form * min(length, _MAX_NUMBERS), block, at)
    if len(form) == 1:
        return tuple(map(float, numbers))
    return tuple(
        above / below if below else float("nan")
        for above, below in zip(numbers[::2], numbers[1::2], strict=True)
    )
