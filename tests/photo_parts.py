"""What the tests of copies build: JPEGs with further pictures, MakerNotes and Content Credentials."""

import struct

from conftest import encode, quarters
from PIL import Image

from src.photos.containers import jpeg_segments


def segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def behind_start(photo: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments in front of all others."""
    return photo[:2] + b"".join(segments) + photo[2:]


def mpf(order: str, sizes: list[int], places: list[int]) -> bytes:
    """The segment that says where pictures are (CIPA DC-007-2009, 5.2)."""
    pictures = b"".join(
        struct.pack(order + "LLLHH", 0x30000 if number == 0 else 0, size, place, 0, 0)
        for number, (size, place) in enumerate(zip(sizes, places, strict=True))
    )
    rows = (
        struct.pack(order + "HHL4s", 0xB000, 7, 4, b"0100"),
        struct.pack(order + "HHLL", 0xB001, 4, 1, len(sizes)),
        struct.pack(order + "HHLL", 0xB002, 7, len(pictures), 8 + 2 + 36 + 4),
    )
    head = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "LH", 8, 3) + b"".join(rows) + b"\0" * 4
    return segment(0xE2, b"MPF\0" + head + directory + pictures)


def several_pictures(order: str, first: list[bytes], last: list[bytes], more: list[bytes]) -> bytes:
    """A JPEG with segments, one of MPF, further segments, and pictures behind it."""
    plain = encode(quarters(96, 64), quality=90)
    length = len(mpf(order, [0] * (1 + len(more)), [0] * (1 + len(more))))
    head = 2 + sum(map(len, first)) + 8  # where the places are counted from
    at = len(plain) + sum(map(len, [*first, *last])) + length
    sizes, places = [at], [0]
    for picture in more:
        sizes.append(len(picture))
        places.append(at - head)
        at += len(picture)
    return behind_start(plain, *first, mpf(order, sizes, places), *last) + b"".join(more)


def xmp_segment(packet: bytes) -> bytes:
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def extended_xmp(packet: bytes) -> bytes:
    """A segment of Extended XMP (XMP Part 3, 1.1.3.1), as of depth maps."""
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"0123456789ABCDEF" * 2
    return segment(0xE1, head + struct.pack(">LL", len(packet), 0) + packet)


def photoshop(*resources: tuple[int, bytes]) -> bytes:
    """Photoshop's segment with image resources."""
    texts = (
        b"8BIM" + struct.pack(">HHL", number, 0, len(data)) + data + b"\0" * (len(data) % 2)
        for number, data in resources
    )
    return segment(0xED, b"Photoshop 3.0\0" + b"".join(texts))


def iptc(*words: bytes, charset: bytes = b"\x1b%G") -> bytes:
    """An IPTC block with keywords."""
    sets = [(1, 90, charset)] if charset else []
    sets += [(2, 25, word) for word in words]
    return b"".join(
        b"\x1c" + bytes([record, number]) + struct.pack(">H", len(data)) + data
        for record, number, data in sets
    )


def in_iptc(charset: bytes, **texts: bytes) -> bytes:
    """A block with these, by number ("n25")."""
    sets = b"".join(
        b"\x1c\2" + bytes([int(number[1:]), 0, len(text)]) + text for number, text in texts.items()
    )
    return photoshop((0x0404, iptc(charset=charset) + sets))


def c2pa(text: bytes) -> list[bytes]:
    """Content Credentials of a JPEG in two segments (C2PA 2.1, A.3.1)."""
    box = struct.pack(">L4s", 8 + 40 + len(text), b"jumb")
    described = struct.pack(">L4s", 40, b"jumd") + b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\x03c2pa\0"
    data = described.ljust(40, b"\0") + text
    return [
        segment(0xEB, b"JP" + struct.pack(">HL", 7, number) + box + part)
        for number, part in enumerate((data[:60], data[60:]), 1)
    ]


def tiff(order: str, maker: bytes = b"", *, thumbnail: bytes = b"", gps: bytes | None = None) -> bytes:
    """EXIF of a camera: a MakerNote with places of its own, a thumbnail, perhaps a GPS block of entries."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = 2 + (gps is not None)
    photo_at = 8 + 2 + 12 * entries + 4
    maker_at = photo_at + 2 + 12 + 4
    gps_at = maker_at + len(maker)
    next_at = gps_at + (len(gps) if gps else 0)
    rows = struct.pack(order + "HHLHH", 0x0112, 3, 1, 6, 0) + struct.pack(
        order + "HHLL", 0x8769, 4, 1, photo_at
    )
    if gps is not None:
        rows += struct.pack(order + "HHLL", 0x8825, 4, 1, gps_at)
    main = (
        struct.pack(order + "LH", 8, entries) + rows + struct.pack(order + "L", next_at if thumbnail else 0)
    )
    photo = struct.pack(order + "HHHLLL", 1, 0x927C, 7, len(maker), maker_at, 0)
    small = b""
    if thumbnail:
        small = struct.pack(order + "H", 2)
        small += struct.pack(order + "HHLL", 0x0201, 4, 1, next_at + 2 + 24 + 4)
        small += struct.pack(order + "HHLL", 0x0202, 4, 1, len(thumbnail)) + b"\0" * 4 + thumbnail
    return head + main + photo + maker + (gps or b"") + small


def with_exif_block(block: bytes) -> bytes:
    return behind_start(encode(quarters(96, 64), quality=90), segment(0xE1, b"Exif\0\0" + block))


def thumbnail() -> bytes:
    return encode(Image.new("RGB", (16, 12), "red"))


def segments_of(photo: bytes) -> list[bytes]:
    """All segments of the first picture."""
    return [photo[start:end] for _, start, end in jpeg_segments(photo)]


def maker_note(photo: bytes) -> tuple[int, bytes] | None:
    """Where in its EXIF the MakerNote of a JPEG is, and its bytes."""
    at = photo.find(b"Exif\0\0")
    if at < 0:
        return None
    block = photo[at + 6 : at - 2 + int.from_bytes(photo[at - 2 : at])]
    order = "<" if block.startswith(b"II") else ">"
    place = struct.unpack_from(order + "L", block, 4)[0]
    for wanted in (0x8769, 0x927C):
        for number in range(struct.unpack_from(order + "H", block, place)[0]):
            tag, _, size, value = struct.unpack_from(order + "HHLL", block, place + 2 + 12 * number)
            if tag == wanted:
                break
        else:
            return None
        place = value
    return place, block[place : place + size]
