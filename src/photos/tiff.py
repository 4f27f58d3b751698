"""TIFF files: what shows the first picture, what they say of themselves, and which are a camera's raw files.

Pillow reads every value of a directory, and libtiff follows the directories, wherever they lead. So they get
one that is put together here: of the first picture alone, with what is needed to show it, and within limits.

TIFF 6.0 (1992) and its Supplements 1 and 2; raw pictures: TIFF/EP (ISO 12234-2) and DNG 1.7.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from src.photos.containers import MAX_BLOCK, MAX_PARTS, Contents, iptc_in_resources
from src.photos.errors import PhotoError

ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
RAW_ORDERS = {b"IIRO": "<", b"IIRS": "<", b"MMOR": ">", b"IIU\0": "<"}  # of Olympus and Panasonic
ALL_ORDERS = ORDERS | RAW_ORDERS

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # bytes, by type

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES = 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_LENGTH, _SUBDIRECTORIES, _SAMPLE_FORMAT = 322, 323, 330, 339
_XMP, _IPTC, _PHOTOSHOP, _DNG_VERSION = 700, 33723, 34377, 50706
_PROFILE = 34675
# Size and layout, colours, strips, tiles, the tables of JPEG; no orientation, as Pillow would turn by it.
_PICTURE = (
    *(256, 257, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, 273, _SAMPLES, 278, 279, _PLANES, 317, 320),
    *(_TILE_WIDTH, _TILE_LENGTH, 324, 325, 332, 338, _SAMPLE_FORMAT, 347, 529, 530, 532, _PROFILE),
)

# Of these, what may have several values: bits, strips and tiles, colours, and so on.
_LISTS = (_BITS, 273, 279, 320, 324, 325, 338, _SAMPLE_FORMAT, 347, 529, 530, 532, _PROFILE)

# What is decoded; of what else libtiff knows, photos are not made: faxes, scientific data, old JPEG.
_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
_COMPRESSIONS = (_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE)
_COLOURS = (0, 1, 2, 3, 5)  # gray, RGB, palette, CMYK; YCbCr in a JPEG only
_YCBCR, _SENSOR, _LINEAR_SENSOR = 6, 32803, 34892
_MAX_TILE = 4096  # pixels a side
_MAX_PROFILE = 4 * 2**20  # bytes; those of printers have 2 MB
_MAX_DIRECTORIES, _MAX_ENTRIES = 20, 1000

Directory = dict[int, tuple[int, int, int]]  # tag -> type, count, and where the value is


def is_raw(photo: bytes) -> bool:
    """Whether a file that starts as a TIFF holds what a sensor saw, beside previews."""
    if photo[8:11] == b"CR\2":
        return True
    for directory in _directories(photo):
        if _DNG_VERSION in directory or _number(photo, directory, _PHOTOMETRIC) in (_SENSOR, _LINEAR_SENSOR):
            return True
    return False


def take_apart_tiff(photo: bytes, name: str) -> Contents:
    """The parts of a TIFF file; its picture is a TIFF file with one directory.

    Raises:
        PhotoError: it is of a kind that is not decoded.
        ValueError: it is damaged.
    """
    directory = next(_directories(photo), None)
    if directory is None:
        raise ValueError("no directory")
    if not _is_decoded(photo, directory):
        raise PhotoError(f"{name} is a kind of TIFF that cannot be read here; save it as JPEG.")
    return Contents(_with_one_directory(photo, directory), photo, *metadata_of(photo, directory))


def metadata_of(photo: bytes, directory: Directory | None = None) -> tuple[bytes, bytes]:
    """XMP and IPTC of a TIFF structure, empty where there is none, from its first directory."""
    if directory is None:
        directory = next(_directories(photo), {})
    xmp, iptc, resources = (_bytes(photo, directory, tag) for tag in (_XMP, _IPTC, _PHOTOSHOP))
    return xmp, iptc or iptc_in_resources(resources)


def bytes_a_pixel(photo: bytes) -> float:
    """What a pixel takes when it is unpacked, by the first directory: 6 for one of 16-bit RGB."""
    directory = next(_directories(photo), {})
    samples = _number(photo, directory, _SAMPLES) or 1
    return samples * (_number(photo, directory, _BITS) or 1) / 8


def _is_decoded(photo: bytes, directory: Directory) -> bool:
    """Whether a picture is coded in a way that photos are."""
    read = {tag: _number(photo, directory, tag) for tag in _PICTURE}
    compression, colours, bits = read[_COMPRESSION] or _NONE, read[_PHOTOMETRIC] or 0, read[_BITS] or 1
    return (
        compression in _COMPRESSIONS
        and (colours in _COLOURS or (colours == _YCBCR and compression == _JPEG))
        and bits in (1, 2, 4, 8, 16)
        and (read[_SAMPLES] or 1) <= 6
        and read[_SAMPLE_FORMAT] in (None, 1)  # whole numbers from 0
        and not (bits == 16 and read[_PLANES] == 2)  # Pillow mixes up the bytes
        and max(read[_TILE_WIDTH] or 0, read[_TILE_LENGTH] or 0) <= _MAX_TILE
    )


def _with_one_directory(photo: bytes, directory: Directory) -> bytes:
    """The file with a directory of the picture's tags alone at its end; nothing else is moved.

    Raises:
        ValueError: a value is too large, or ends behind the file.
    """
    order = ORDERS[photo[:4]]
    entries = b""
    kept = sorted(tag for tag in directory if tag in _PICTURE)
    for tag in kept:
        kind, count, at = directory[tag]
        if tag not in _LISTS:
            count = min(count, 1)  # Pillow would warn of more on the terminal
        size = _SIZES[kind] * count
        if (tag != _PROFILE and count > MAX_PARTS) or size > _MAX_PROFILE or at + size > len(photo):
            raise ValueError("a value is too large")
        value = photo[at : at + size].ljust(4, b"\0") if size <= 4 else struct.pack(order + "L", at)
        entries += struct.pack(order + "HHL", tag, kind, count) + value
    padding = len(photo) % 2
    head = photo[:4] + struct.pack(order + "L", len(photo) + padding)
    no_further = b"\0" * 4
    entries = struct.pack(order + "H", len(kept)) + entries + no_further
    return b"".join([head, memoryview(photo)[8:], b"\0" * padding, entries])


def _directories(photo: bytes) -> Iterator[Directory]:
    """The directories in their order, each followed by those within it; at most `_MAX_DIRECTORIES`."""
    order = ALL_ORDERS.get(photo[:4])
    if order is None or len(photo) < 8:
        return
    waiting, seen = [struct.unpack_from(order + "L", photo, 4)[0]], set[int]()
    while waiting and len(seen) < _MAX_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or not 8 <= at <= len(photo) - 2:
            continue
        seen.add(at)
        directory, after = _directory(photo, order, at)
        yield directory
        waiting[:0] = [*_numbers(photo, order, directory, _SUBDIRECTORIES), *after]


def _directory(photo: bytes, order: str, at: int) -> tuple[Directory, tuple[int, ...]]:
    """A directory, and where the next one is, if it is said."""
    count = struct.unpack_from(order + "H", photo, at)[0]
    end = at + 2 + 12 * count
    directory: Directory = {}
    for entry in range(at + 2, min(end, at + 12 * _MAX_ENTRIES, len(photo) - 11), 12):
        tag, kind, number = struct.unpack_from(order + "HHL", photo, entry)
        if kind in _SIZES and tag not in directory:
            value = entry + 8
            if _SIZES[kind] * number > 4:
                value = struct.unpack_from(order + "L", photo, value)[0]
            directory[tag] = kind, number, value
    return directory, struct.unpack_from(order + "L", photo, end) if end + 4 <= len(photo) else ()


def _numbers(photo: bytes, order: str, directory: Directory, tag: int) -> tuple[int, ...]:
    """The first whole numbers of a value; none where it has no such, or ends behind the file."""
    kind, count, at = directory.get(tag, (0, 0, 0))
    form = {1: "B", 3: "H", 4: "L", 13: "L"}.get(kind)
    count = min(count, _MAX_DIRECTORIES)
    if form is None or at + _SIZES[kind] * count > len(photo):
        return ()
    return struct.unpack_from(order + form * count, photo, at)


def _number(photo: bytes, directory: Directory, tag: int) -> int | None:
    """The first number of a value."""
    return next(iter(_numbers(photo, ALL_ORDERS[photo[:4]], directory, tag)), None)


def _bytes(photo: bytes, directory: Directory, tag: int) -> bytes:
    """A value as it stands in the file; of a larger one, a byte more than `MAX_BLOCK`."""
    kind, count, at = directory.get(tag, (0, 0, 0))
    size = min(_SIZES.get(kind, 0) * count, MAX_BLOCK + 1)
    return photo[at : at + size]
