"""HEIC files as phones write them, put together of pictures that libheif encodes: tiles, turned and cut.

ISO 14496-12, 8.11 (items), ISO 23008-12, 6.5 (properties) and 6.6.2.3 (grid).
"""

import io
import struct

from PIL import Image

from src.photos.isobmff import boxes


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box with these parts."""
    data = b"".join(parts)
    return struct.pack(">L4s", 8 + len(data), kind) + data


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version."""
    return box(kind, struct.pack(">L", version << 24 | flags), *parts)


def coded(tile: Image.Image) -> tuple[bytes, bytes]:
    """A picture as HEVC: the box with its settings, and its data."""
    file = io.BytesIO()
    tile.save(file, "HEIF", quality=95, chroma=444)
    data = file.getvalue()
    at = data.index(b"hvcC") - 4
    settings = data[at : at + int.from_bytes(data[at : at + 4])]
    return settings, next(data[start:end] for kind, start, end in boxes(data) if kind == b"mdat")


def tiled(
    picture: Image.Image, side: int, *, turns: int = 0, shown: tuple[int, int, int, int] | None = None
) -> bytes:
    """A HEIC file whose picture is a grid of square tiles; what juts out to the right and below is cut.

    Args:
        picture: the whole.
        side: of a tile, in pixels.
        turns: by how many quarters it has to be turned to the left.
        shown: the part of the picture that is to be seen, which a "clap" box says.
    """
    columns, rows = (-(-length // side) for length in picture.size)
    tiles = [
        picture.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
        for row in range(rows)
        for column in range(columns)
    ]
    settings, data = zip(*map(coded, tiles), strict=True)
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *picture.size)
    numbers = range(1, len(tiles) + 1)
    whole = len(tiles) + 1

    def size(width, height):
        return full(b"ispe", struct.pack(">LL", width, height))

    properties = [settings[0], size(side, side), size(*picture.size)]
    of_whole = [3]
    if shown:
        left, top, right, bottom = shown
        middle = (left + right - picture.width, top + bottom - picture.height)  # twice as far as it is
        fractions = (right - left, 1, bottom - top, 1, middle[0], 2, middle[1], 2)
        properties.append(box(b"clap", struct.pack(">LLLLlLlL", *fractions)))
        of_whole.append(0x80 | len(properties))
    if turns:
        properties.append(box(b"irot", bytes([turns])))
        of_whole.append(0x80 | len(properties))
    associations = [struct.pack(">HBBB", number, 2, 0x81, 2) for number in numbers]
    associations.append(struct.pack(">HB", whole, len(of_whole)) + bytes(of_whole))
    infos = [
        full(b"infe", struct.pack(">HH4sx", number, 0, b"hvc1"), version=2, flags=1) for number in numbers
    ]
    infos.append(full(b"infe", struct.pack(">HH4sx", whole, 0, b"grid"), version=2))
    kind = box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(first: int) -> bytes:
        places, at = [], first
        for number, one in zip([*numbers, whole], [*data, grid], strict=True):
            places.append(struct.pack(">HHHLL", number, 0, 1, at, len(one)))
            at += len(one)
        return full(
            b"meta",
            full(b"hdlr", struct.pack(">L4s13x", 0, b"pict")),
            full(b"pitm", struct.pack(">H", whole)),
            full(b"iloc", struct.pack(">BBH", 0x44, 0, whole), *places),
            full(b"iinf", struct.pack(">H", whole), *infos),
            full(b"iref", box(b"dimg", struct.pack(f">{len(tiles) + 2}H", whole, len(tiles), *numbers))),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", struct.pack(">L", whole), *associations)),
        )

    first = len(kind) + len(meta(0)) + 8
    return kind + meta(first) + box(b"mdat", *data, grid)
