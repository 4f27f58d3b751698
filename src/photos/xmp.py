"""XMP read: the properties that are of use here, within limits and without an object per element.

XMP: ISO 16684-1 and Adobe's "XMP Specification Part 2" (2016).
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from xml.parsers import expat

from src.files import shown_name
from src.photos.containers import MAX_BLOCK, without_marks
from src.photos.errors import MetadataError

ESTIMATE = "landmark-tagger prediction"  # as GPS processing method: these coordinates were not measured

NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "landmarkTagger": "urn:x-landmark-tagger:1.0/",
}

KEYS = (
    *("dc:subject", "digiKam:TagsList", "lr:hierarchicalSubject", "dc:description"),
    *("photoshop:City", "photoshop:Country", "exif:GPSLatitude", "exif:GPSLongitude"),
    *("dc:title", "dc:creator", "dc:rights", "photoshop:State", "photoshop:Headline"),
)
CAPTIONS = (  # where other programs look for one if there is no dc:description
    "exif:UserComment",
    "http://ns.adobe.com/tiff/1.0/:ImageDescription",
    "http://ns.acdsee.com/iptc/1.0/:notes",
)
_KEYWORD_COPIES = (
    "http://ns.microsoft.com/photo/1.0/:LastKeywordXMP",
    "http://ns.iview-multimedia.com/mediapro/1.0/:CatalogSets",
)
COPIES = {  # of a property that is written here: where digiKam, for one, writes it again
    "dc:description": CAPTIONS,
    **dict.fromkeys(("dc:subject", "digiKam:TagsList", "lr:hierarchicalSubject"), _KEYWORD_COPIES),
}
ADDED = "landmarkTagger:Added"  # "dc:subject=India" for a value, "dc:subject" for a list that was not there
CREATED = "landmarkTagger:CreatedSidecar"  # "True", or SHA-256 of what it began with
FORMER = "landmarkTagger:Former"  # what stood in a sidecar whose bytes cannot be had back otherwise

MAX_XMP = MAX_BLOCK  # bytes of a packet
MAX_ELEMENTS = 20_000  # and attributes; a sidecar that is written here has some 60
MAX_DEPTH = 50  # elements in each other; a list in a structure in a list takes 11

_COORDINATE = re.compile(r"([-+]?[\d.]+)(?:,([\d.]+))?(?:,([\d.]+))?\s*([NSEW]?)")
_ENCODINGS = (  # the longer marks first, as one begins like another
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK_TWICE = codecs.BOM_UTF8.decode("latin-1").encode()  # by programs that took UTF-8 for Latin-1
_DECLARED = re.compile(r"""^(\s*<\?xml[^>]*?)(?<!\s)\s+encoding\s*=\s*["'][^"'>]*["']""")
_RDF, _DESCRIPTION = (f"{NAMESPACES['rdf']} {name}" for name in ("RDF", "Description"))


def in_utf8(packet: bytes) -> bytes:
    """The packet in UTF-8, by its byte order mark, without zeros behind it or a mark that was encoded twice.

    One in UTF-8 alone keeps every byte.
    """
    for mark, encoding in _ENCODINGS:
        if packet.startswith(mark):
            packet = packet[len(mark) :]
            packet += b"\0" * (-len(packet) % len(mark))  # the last zeros may have been cut off
            text = packet.decode(encoding, "replace").rstrip("\0")
            return _DECLARED.sub(r"\1", text).encode()
    return without_marks(packet, _MARK_TWICE).rstrip(b"\0")


def read_properties(packet: bytes, keys: Collection[str]) -> dict[str, list[str]]:
    """What a packet says of some properties, each such as "dc:subject", but for what was added here.

    Returns:
        By key the entries of a list, one value, or nothing.

    Raises:
        MetadataError: the bytes are no XMP, or more of it than is read.
    """
    reader = _Reader({uri(key): key for key in (*keys, ADDED)})
    parse(in_utf8(packet), "The photo", reader.start, reader.end, reader.text, prefixes=False)
    if not reader.found:
        raise no_xmp("The photo")
    added = with_copies(reader.values[ADDED])
    return {key: [value for value in reader.values[key] if f"{key}={value}" not in added] for key in keys}


def with_copies(added: Iterable[str]) -> set[str]:
    """What was added, each "dc:subject=India", and the same where other programs copy it to."""
    entries = set(added)
    for key, equals, value in [entry.partition("=") for entry in entries]:
        entries.update(f"{copy}={value}" for copy in COPIES.get(key, ()) if equals)
    return entries


class _Reader:
    """Collects the values of properties: attributes of a description, texts, or the entries of a list.

    Levels below rdf:RDF are 1 for a description, 2 for a property, 3 for a list and 4 for an entry.
    """

    def __init__(self, keys: dict[str, str]):
        self.keys, self.found = keys, False
        self.values: dict[str, list[str]] = {key: [] for key in keys.values()}
        self._level, self._inside, self._lists = 0, False, 0
        self._description = False
        self._key: str | None = None  # the property that is being read, if it is one of those wanted
        self._value: list[str] | None = None  # pieces of the value that is being read

    def start(self, name: str, attributes: dict[str, str], _at: int) -> None:
        if not self.found:
            self.found = self._inside = name == _RDF
        elif self._inside:
            self._level += 1
            self._enter(name, attributes)

    def end(self, _name: str, _at: int) -> None:
        if not self._inside:
            return
        if self._key and self._value is not None and self._level in (2, 4):
            self.values[self._key].append("".join(self._value).strip())
            self._value = None
        if self._level == 2:
            self._key = None
        self._inside = self._level > 0
        self._level -= 1

    def text(self, value: str) -> None:
        if self._key and self._value is not None and self._level in (2, 4):
            self._value.append(value)

    def _enter(self, name: str, attributes: dict[str, str]) -> None:
        if self._level == 1:
            self._description = name == _DESCRIPTION
            for attribute, value in attributes.items() if self._description else ():
                if key := self.keys.get(attribute):
                    self.values[key].append(value.strip())
        elif self._level == 2 and self._description:
            self._key, self._value, self._lists = self.keys.get(name), [], 0
        elif self._level == 3:
            self._value = None  # white space before a list is no value
            self._lists += 1
        elif self._level == 4 and self._lists == 1:
            self._value = []


def parse(
    packet: bytes,
    name: str,
    start: Callable[[str, dict[str, str], int], None],
    end: Callable[[str, int], None],
    text: Callable[[str], None],
    *,
    prefixes: bool,
) -> None:
    """Call `start`, `end` and `text` for the elements of a packet, the former two with places in its bytes.

    Args:
        packet: XMP in UTF-8.
        name: of its file, for messages.
        start: gets "namespace name", attributes and where the element's bytes start.
        end: gets the name again and where its end tag starts.
        text: gets pieces of text.
        prefixes: let names be "namespace name prefix".

    Raises:
        MetadataError: it is not XML in UTF-8, has a document type, or is larger than `MAX_XMP`,
            `MAX_ELEMENTS` or `MAX_DEPTH`.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.namespace_prefixes, parser.buffer_text = prefixes, True
    count = depth = 0

    def started(element: str, attributes: dict[str, str]) -> None:
        nonlocal count, depth
        count, depth = count + 1 + len(attributes), depth + 1
        if count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise _too_much(name)
        start(element, attributes, parser.CurrentByteIndex)

    def ended(element: str) -> None:
        nonlocal depth
        depth -= 1
        end(element, parser.CurrentByteIndex)

    def declared(_version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "UTF-8").upper() not in ("UTF-8", "US-ASCII"):
            raise ValueError("not UTF-8")

    def document_type(*_: object) -> None:  # its entities may hide or multiply text
        raise ValueError("XMP has no document type")

    parser.StartElementHandler, parser.EndElementHandler = started, ended
    parser.CharacterDataHandler = text
    parser.XmlDeclHandler, parser.StartDoctypeDeclHandler = declared, document_type
    if len(packet) > MAX_XMP:
        raise _too_much(name)
    try:
        packet.decode()
        parser.Parse(packet, True)
    except MetadataError:
        raise
    except (expat.ExpatError, ValueError) as error:
        raise MetadataError(
            f"{shown_name(name)} is not XMP that can be read (XML in UTF-8); repair it or move it away."
        ) from error


def no_xmp(name: str) -> MetadataError:
    """What is wrong with XML that is no XMP."""
    return MetadataError(f"{shown_name(name)} holds no XMP; move it away and try again.")


def _too_much(name: str) -> MetadataError:
    return MetadataError(
        f"{shown_name(name)} holds more XMP than is read here ({MAX_XMP / 2**20:.0f} MB, {MAX_ELEMENTS:,} "
        f"elements and attributes, {MAX_DEPTH} in each other); make it smaller or move it away."
    )


def uri(key: str) -> str:
    """A name such as "dc:subject" as the parser has it: namespace, space, name."""
    prefix, _, name = key.rpartition(":")  # a namespace may stand in the place of its prefix
    return f"{NAMESPACES.get(prefix, prefix)} {name}"


def minutes(degrees: float, radius_m: float | None) -> tuple[int, int, int]:
    """Whole degrees, parts of a minute, and how many parts a minute has: 1, 10, 100, 1,000 or 10,000.

    A part is the longest of these that is no longer than the radius of what is there (a minute of latitude
    is 1,852 m), as more digits would promise what nobody measured.
    """
    digits = 4 if radius_m is None else math.ceil(math.log10(1852 / max(1.0, radius_m)))
    scale = 10 ** max(0, min(4, digits))
    whole, parts = divmod(round(abs(degrees) * 60 * scale), 60 * scale)
    return whole, parts, scale


def coordinate(degrees: float, letters: str, radius_m: float | None = None) -> str:
    """Degrees, minutes as exact as the radius allows, and direction: "27,10.5N" (XMP Part 2)."""
    whole, parts, scale = minutes(degrees, radius_m)
    digits = max(1, len(str(scale)) - 1)  # the format wants a decimal
    return f"{whole},{parts / scale:.{digits}f}{letters[degrees < 0]}"


def degrees(values: Sequence[str]) -> float | None:
    """Degrees from the first of "27,10.506N", "27,10,30N" or, as some programs write, "27.1751"."""
    match = _COORDINATE.fullmatch(values[0]) if values else None
    if match is None:
        return None
    try:
        degrees, minutes, seconds = (float(part or 0) for part in match.groups()[:3])
    except ValueError:  # "1.2.3"
        return None
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if match[4] in ("S", "W") else 1)
