"""What a new sidecar begins with: what people wrote into the photo, from its XMP, EXIF and IPTC.

Where digiKam reads sidecars, a photo that has one has no other XMP and IPTC for it, and no caption in its
EXIF (`MetaEngine::Private::loadSidecarData`): a title, stars, faces … that the sidecar lacks would be gone.
What programs wrote is not repeated, and dates and coordinates only where the EXIF has none: Immich believes a
sidecar before the photo, and XMP may be older than the EXIF beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from src.photos import exif
from src.photos.captions import CAPTION
from src.photos.decode import OpenedPhoto
from src.photos.errors import MetadataError
from src.photos.packet import Packet
from src.photos.read_metadata import IN_EXIF, IN_IPTC
from src.photos.times import KEYS as TIMES
from src.photos.xmp import CAPTIONS, uri
from src.photos.xmp_edit import (
    EMPTY,
    list_lines,
    only,
    remove,
    text_line,
    with_description,
    with_entries,
    without_empty,
)

_XMP = "http://ns.adobe.com/xap/1.0/"
_LISTS = {"dc:title": "Alt", "dc:description": "Alt", "dc:rights": "Alt", "dc:creator": "Seq"}
_TEXTS = ("photoshop:City", "photoshop:State", "photoshop:Country", "photoshop:Headline")
_WRITTEN = {
    *map(uri, (*_LISTS, *_TEXTS, *CAPTIONS, "dc:subject", f"{_XMP}:Rating", f"{_XMP}:Label")),
    *map(uri, ("photoshop:Credit", "photoshop:Source", "photoshop:Instructions", "photoshop:CaptionWriter")),
    *map(uri, ("photoshop:AuthorsPosition", "photoshop:TransmissionReference", "photoshop:Urgency")),
}
_WRITTEN_WHOLLY = (  # namespaces
    "http://ns.adobe.com/xap/1.0/rights/",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "http://ns.useplus.org/ldf/xmp/1.0/",
    "http://www.digikam.org/ns/1.0/",
    "http://ns.adobe.com/lightroom/1.0/",
    "http://www.metadataworkinggroup.com/schemas/",  # faces, keywords, collections
    "http://ns.microsoft.com/photo/1.",
    "http://ns.acdsee.com/iptc/1.0/",
    "http://ns.iview-multimedia.com/mediapro/1.0/",
)
_PADDING = re.compile(rb"(?<!\s)\s+(<\?xpacket end)")  # looked for once in a run of blanks, not from each one


def begin(photo: OpenedPhoto, known: Mapping[str, Sequence[str]], name: str) -> bytes:
    """A sidecar that says what people wrote into the photo; `EMPTY` where they wrote nothing.

    Args:
        photo: the photo.
        known: what it says by property, as `said_by` gives it.
        name: the photo's name, used in messages only.
    """
    timed = any(tag in photo.exif.photo for tag in (exif.TAKEN, exif.DIGITIZED))
    placed = IN_EXIF in known["exif:GPSLatitude"]
    times = set(map(uri, TIMES))

    def wanted(property_: str) -> bool:
        if property_ in times:
            return not timed
        if property_.startswith(uri("exif:GPS")):
            return not placed
        return property_ in _WRITTEN or property_.startswith(_WRITTEN_WHOLLY)

    try:
        written = only(remove(photo.xmp or EMPTY, name), name, wanted)
        packet = Packet(without_empty(written, (CAPTION, *CAPTIONS), name), name)
        begun = EMPTY if packet.empty else _PADDING.sub(rb"\n\1", _wrapped(packet))
    except MetadataError:  # broken XMP is read by nobody
        begun = EMPTY
    there, lines = Packet(begun, name), []
    for key in (*_LISTS, *_TEXTS):
        said = dict.fromkeys(value for value in known[key] if value not in ("", IN_IPTC))
        values = [] if any(there.values(key)) else list(said)
        if values and key in _LISTS:
            kind = _LISTS[key]
            lines += list_lines(key, kind, values if kind == "Seq" else values[:1])
        elif values:
            lines.append(text_line(key, values[0]))
    begun = with_entries(begun, "dc:subject", known["dc:subject"], name)  # PhotoPrism reads no others
    return with_description(begun, lines, name) if lines else begun


def _wrapped(packet: Packet) -> bytes:
    """The packet in x:xmpmeta, which need not be inside a photo; Exiv2 takes no other for a sidecar."""
    if packet.data[: packet.rdf.start].strip():
        return packet.data
    head, tail = EMPTY.index(b"<rdf:RDF"), EMPTY.index(b"</x:xmpmeta>")
    return EMPTY[:head] + packet.data.strip() + b"\n" + EMPTY[tail:]
