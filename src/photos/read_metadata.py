"""What a photo file says besides its picture, read by Pillow; and the photo without it, bit by bit the same.

EXIF: CIPA DC-008-2019; IPTC: IIM 4.2.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from numbers import Real
from pathlib import Path

from PIL import Image, IptcImagePlugin

from src.files import shown_name
from src.landmarks.tags import clean
from src.photos.decode import FORMATS, check_size
from src.photos.errors import MetadataError
from src.photos.files import read_photo_file
from src.photos.xmp import ESTIMATE, KEYS, Packet, degrees, remove

# EXIF tags; the first two lead to blocks of further ones.
_GPS, _PHOTO, _ORIENTATION, _TAKEN, _DESCRIPTION = 0x8825, 0x8769, 0x0112, 0x9003, 0x010E
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _METHOD = 1, 2, 3, 4, 27  # in the GPS block
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # the next marker that is not part of coded pixels
_JPEG_PICTURE = (b"JFIF\0", b"ICC_PROFILE\0", b"Adobe\0")
_PNG_PICTURE = set(b"tRNS gAMA cHRM sRGB iCCP cICP mDCV cLLI sBIT bKGD pHYs acTL fcTL fdAT".split())
_WEBP_PICTURE = set(b"VP8X,VP8 ,VP8L,ALPH,ANIM,ANMF,ICCP".split(b","))
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags in VP8X


def strip_metadata(photo: bytes, name: str = "photo") -> bytes:
    """A copy of a JPEG, PNG or WebP file without any metadata; the picture keeps every bit.

    Only what is needed to show it stays: pixels, colour profile and the EXIF orientation. All else goes, even
    if unknown, and so do pictures behind the first in a JPEG, as they have coordinates of their own.

    Raises:
        MetadataError: the file is no such photo or is damaged.
    """
    name = shown_name(name)
    orientation = _exif(open_photo(photo, name)).get(_ORIENTATION, 1)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    turned = orientation in range(2, 9)
    return _assembled(_picture_parts(photo, name), exif.tobytes() if turned else b"")


def read_gps(photo: bytes | str | Path) -> tuple[float, float] | None:
    """Where a photo was taken, from its EXIF or XMP: latitude and longitude in degrees, WGS84.

    South and west are negative. None where the photo does not say so, says what was predicted here, or says
    nowhere: void values, or 0, 0 as of cameras that found no satellite.

    Raises:
        MetadataError: the file cannot be read or is no photo.
    """
    image = _opened(photo)
    gps, packet = _exif(image).get_ifd(_GPS), _packet_or_none(image)
    spots = []
    if not _estimated(gps.get(_METHOD)):
        spots.append((_degrees(gps, _LATITUDE_REF, "NS"), _degrees(gps, _LONGITUDE_REF, "EW")))
    if packet is not None and not any(map(_estimated, packet.values("exif:GPSProcessingMethod"))):
        spots.append((degrees(packet, "exif:GPSLatitude"), degrees(packet, "exif:GPSLongitude")))
    return next((spot for spot in spots if _on_earth(*spot)), None)


def read_time(photo: bytes | str | Path) -> datetime | None:
    """When a photo was taken by the camera's clock (EXIF DateTimeOriginal), without a time zone.

    None where the photo does not say so.

    Raises:
        MetadataError: the file cannot be read or is no photo.
    """
    text = _exif(_opened(photo)).get_ifd(_PHOTO).get(_TAKEN)
    try:
        return datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _opened(photo: bytes | str | Path) -> Image.Image:
    if isinstance(photo, bytes):
        return open_photo(photo, "photo")
    return open_photo(read_photo_file(photo), Path(photo).name)


def open_photo(data: bytes, name: str) -> Image.Image:
    """The photo with its metadata read and, mostly, its pixels not."""
    name = shown_name(name)
    check_size(len(data), name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "GIF", "HEIF"))
            if image.format == "PNG":
                image.load()  # its metadata may stand behind the pixels
        return image
    except KeyError as error:  # Pillow knows no HEIF
        raise MetadataError(f"{name} cannot be read here: install pillow-heif, or use {FORMATS}.") from error
    except Exception as error:  # decoders raise nearly anything at broken files
        raise MetadataError(f"{name} is damaged or no photo; use {FORMATS}.") from error


def _exif(image: Image.Image) -> Image.Exif:
    """The photo's EXIF; empty where there is none or it is broken."""
    try:
        exif = image.getexif()
        for block in (_GPS, _PHOTO):
            exif.get_ifd(block)
        return exif
    except Exception:  # broken EXIF fails in many ways
        return Image.Exif()


def embedded(image: Image.Image) -> bytes | None:
    """The photo's XMP packet."""
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    return packet.rstrip(b"\0") if packet else None


def _packet_or_none(image: Image.Image) -> Packet | None:
    """What the photo's XMP says but for what was written here; None where there is none or it is broken."""
    packet = embedded(image)
    try:
        return Packet(remove(packet, "photo"), "photo") if packet else None
    except MetadataError:
        return None


def said_by(image: Image.Image) -> dict[str, list[str]]:
    """What the photo itself says, by XMP property: from its XMP, EXIF and IPTC."""
    packet, exif = _packet_or_none(image), _exif(image)
    said = {key: packet.values(key) if packet else [] for key in KEYS}
    for key, number in (
        ("dc:subject", 25),
        ("dc:description", 120),
        ("photoshop:City", 90),
        ("photoshop:Country", 101),
    ):
        said[key] += _iptc(image, number)
    said["dc:description"].append(clean(str(exif.get(_DESCRIPTION, ""))))
    gps = exif.get_ifd(_GPS)
    if not _estimated(gps.get(_METHOD)) and any(
        map(_says_something, (gps.get(_LATITUDE), gps.get(_LONGITUDE)))
    ):
        said["exif:GPSLatitude"].append("in the EXIF")
    return said


def _iptc(image: Image.Image, number: int) -> list[str]:
    """The texts of an entry of IPTC's record 2."""
    try:
        found = (IptcImagePlugin.getiptcinfo(image) or {}).get((2, number), [])
    except Exception:  # broken IPTC fails in as many ways as EXIF
        return []
    return [clean(_decoded(text)) for text in (found if isinstance(found, list) else [found])]


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:  # from before the character set could be given
        return text.decode("latin-1")


def _estimated(method) -> bool:
    """Whether a GPS processing method is ours; EXIF puts eight bytes with the character set before it."""
    text = method.decode("latin-1") if isinstance(method, bytes) else str(method)
    return ESTIMATE in text


def _numbers(values) -> list[float]:
    values = values if isinstance(values, tuple) else (values,)
    return [float(value) for value in values if isinstance(value, Real)]


def _says_something(values) -> bool:
    """Whether an EXIF coordinate is more than void (0/0) or zeros."""
    return any(number and math.isfinite(number) for number in _numbers(values))


def _degrees(gps: Mapping[int, object], tag: int, letters: str) -> float | None:
    """A coordinate from the EXIF tag of its direction and the next: degrees, minutes and seconds."""
    letter = str(gps.get(tag, "")).strip("\0 ").upper()[:1]
    numbers = _numbers(gps.get(tag + 1))
    if not numbers or not letter or letter not in letters:
        return None
    degrees = sum(number / scale for number, scale in zip(numbers, (1, 60, 3600), strict=False))
    return -degrees if letter == letters[1] else degrees


def _on_earth(latitude: float | None, longitude: float | None) -> bool:
    if latitude is None or longitude is None or latitude == longitude == 0:
        return False
    return abs(latitude) <= 90 and abs(longitude) <= 180  # False for NaN, too


def picture(photo: bytes, name: str) -> list[bytes]:
    """What makes the picture; VP8X only says what else is in a WebP file, and simple files have none."""
    return [part for part in _picture_parts(photo, name) if not part.startswith(b"VP8X")]


def _picture_parts(photo: bytes, name: str) -> list[bytes]:
    """The file's first bytes and what makes the picture, in order: JPEG segments, PNG or WebP chunks."""
    try:
        if photo[:2] == b"\xff\xd8":
            return [photo[:2], *_jpeg_parts(photo)]
        if photo[:4] == b"\x89PNG":
            return [photo[:8], *_png_parts(photo)]
        if photo[8:12] == b"WEBP":
            return [photo[:4], *_webp_parts(photo)]
    except (AttributeError, IndexError) as error:
        raise MetadataError(f"{name} is damaged or incomplete; save or send it again.") from error
    raise MetadataError(f"{name} cannot be copied bit by bit; save it as JPEG, PNG or WebP first.")


def _jpeg_parts(photo: bytes) -> Iterator[bytes]:
    """Segments up to the end of the first picture (ITU-T T.81, B.1.1), scans with their pixels."""
    at = 2
    while photo[at + 1] != 0xD9:
        if photo[at + 1] == 0xFF:  # fill byte
            at += 1
            continue
        marker, end = photo[at + 1], at + 2 + int.from_bytes(photo[at + 2 : at + 4])
        if marker == 0xDA:
            end = _AFTER_SCAN.search(photo, end).start()
        if photo[at] != 0xFF or end < at + 4:
            raise IndexError
        application = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not application or photo.startswith(_JPEG_PICTURE, at + 4):
            yield photo[at:end]
        at = end
    yield b"\xff\xd9"


def _png_parts(photo: bytes) -> Iterator[bytes]:
    """Chunks (W3C PNG, 5.3): the critical ones and those that say how to show them."""
    at, kind = 8, b""
    while kind != b"IEND":
        kind, end = photo[at + 4 : at + 8], at + 12 + int.from_bytes(photo[at : at + 4])
        if end > len(photo):
            raise IndexError
        if kind[:1].isupper() or kind in _PNG_PICTURE:
            yield photo[at:end]
        at = end


def _webp_parts(photo: bytes) -> Iterator[bytes]:
    """Chunks (RFC 9649)."""
    at, file_end = 12, 8 + int.from_bytes(photo[4:8], "little")
    while at < file_end:
        size = int.from_bytes(photo[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if end > len(photo):
            raise IndexError
        if photo[at : at + 4] in _WEBP_PICTURE:
            yield photo[at:end]
        at = end


def _assembled(parts: list[bytes], exif: bytes) -> bytes:
    """A photo file of these parts and, unless empty, an EXIF block with its head "Exif"."""
    head, first, *rest = parts
    if head == b"\xff\xd8":
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif
        return b"".join([head, segment if exif else b"", first, *rest])
    exif = exif.removeprefix(b"Exif\0\0")
    if head != b"RIFF":
        chunk = len(exif).to_bytes(4) + b"eXIf" + exif + zlib.crc32(b"eXIf" + exif).to_bytes(4)
        return b"".join([head, first, chunk if exif else b"", *rest])
    if first.startswith(b"VP8X"):
        flags = first[8] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if exif else 0)
        first = first[:8] + bytes([flags]) + first[9:]
    chunk = b"EXIF" + len(exif).to_bytes(4, "little") + exif + b"\0" * (len(exif) % 2)
    body = b"".join([b"WEBP", first, *rest, chunk if exif else b""])
    return head + len(body).to_bytes(4, "little") + body
