"""Tags into an XMP packet, and out again.

What a person wrote stays: tags are added to lists; a place, a description and coordinates are written where
there are none. What was added is listed in the packet itself, in a namespace of our own, so that it can be
taken out without a catalog. A packet is edited as text, at the byte offsets that the XML parser reports: what
was there keeps its bytes, which no library that reads and rewrites XMP promises.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from src.landmarks.tags import Tags, clean
from src.photos.captions import CAPTION, says_something
from src.photos.categories import KEY as CATEGORIES
from src.photos.categories import without_categories
from src.photos.errors import MetadataError
from src.photos.packet import Element, Packet, properties_of
from src.photos.properties import LISTS, lists, new_ones, texts
from src.photos.splice import Edit, spliced
from src.photos.xmp import ADDED, CAPTIONS, COPIES, FORMER, NAMESPACES, in_utf8, uri, with_copies

EMPTY = f"""<?xpacket begin="\N{BYTE ORDER MARK}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()

MAX_FORMER = 2**21  # bytes of a sidecar that is put back

_COPIES = {uri(copy) for copies in COPIES.values() for copy in copies}
_ATTRIBUTE = re.compile(rb"""(?<!\s)\s+([^\s=]+)\s*=\s*(?:"[^"]*"|'[^']*')""")


def add(old: bytes, tags: Tags, known: Mapping[str, list[str]], name: str, marks: Mapping[str, str]) -> bytes:
    """The packet with tags and marks added; `known` is what the photo itself says of each property.

    What is there and empty is taken for not there.
    """
    packet = Packet(old, name)
    cuts, lines, added = [], [], []
    said = {key: [*known.get(key, ()), *packet.values(key)] for key in LISTS}
    for key, (kind, wanted, others) in lists(tags, said).items():
        element, there = packet.find(key), [value for value in packet.values(key) if value]
        items = new_ones(wanted if there else [*known.get(key, ()), *others, *wanted], there)
        container = element.children[0] if element is not None and element.children else None
        if container and (there or not container.children):
            cuts += _appended(packet, container, items)
        elif there:  # a list written as a single value: not ours to rebuild
            continue
        elif items:
            cuts += _empty_ones(packet, key)
            lines += list_lines(key, kind, items)
            added.append(key)
        added += [f"{key}={item}" for item in items]

    def taken(key: str) -> bool:
        full = packet.find(key) is not None and not _empty_ones(packet, key)
        places = (key, *CAPTIONS) if key == CAPTION else (key,)
        said = any(says_something(place, value) for place in places for value in packet.values(place))
        return full or said or any(known.get(key, ()))

    single = texts(tags, taken)
    for key, text in single.items():
        cuts += _empty_ones(packet, key)
        if key == CAPTION:
            lines += list_lines(key, "Alt", [text])
            added.append(key)
        else:
            lines.append(text_line(key, text))
    added += [f"{key}={text}" for key, text in single.items()]
    added += [f"{key}={text}" for key, text in marks.items() if not _ours(uri(key))]

    marks = {
        "landmarkTagger:Landmark": clean(tags.landmark),
        "landmarkTagger:Model": clean(tags.model),
        "landmarkTagger:Probability": f"{tags.probability:.4f}",
        "landmarkTagger:Notice": clean(tags.notice),
        **marks,
    }
    lines += [text_line(key, text) for key, text in marks.items()] + list_lines(ADDED, "Bag", added)
    return spliced(packet.data, [*cuts, _inserted_block(packet, lines)])


def add_to_sidecar(
    old: bytes,
    tags: Tags,
    known: Mapping[str, list[str]],
    name: str,
    marks: Mapping[str, str],
    begun: bytes = EMPTY,
) -> bytes:
    """The same for a whole sidecar: `former` of the result is `old`, byte for byte.

    An empty one begins with `begun`.

    Where that takes more than to remove what was added, the former bytes themselves are among the marks.

    Raises:
        MetadataError: `old` is no XMP, or too large to be kept.
    """
    packet = old if in_utf8(old) else begun
    new = add(packet, tags, known, name, marks)
    rest = remove(new, name)
    if rest == old:
        return new
    kept = f"{digest(rest)}:{base64.b64encode(zlib.compress(old)).decode()}"
    new = add(packet, tags, known, name, {**marks, FORMER: kept})
    if former(new, name) != old:  # what could not be taken back is not written
        raise MetadataError(f"{name} has a form that cannot be added to; move it away and try again.")
    return new


def former(data: bytes, name: str) -> bytes:
    """A sidecar as it was before `add_to_sidecar`, or less what was added if it was changed since."""
    rest, packet = remove(data, name), Packet(data, name)
    if rest == packet.data:
        return data
    for mark in packet.values(FORMER):
        digest_then, _, packed = mark.partition(":")
        try:
            if digest_then == digest(rest):
                return zlib.decompressobj().decompress(base64.b64decode(packed), MAX_FORMER)
        except (ValueError, zlib.error):  # changed by hand
            pass
    return rest


def digest(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def remove(data: bytes, name: str) -> bytes:
    """The packet less all that `add` added, also after another program wrote it in its own way or again."""
    before = Packet(data, name)
    added = before.values(ADDED)
    packet = _without_categories(before, added)
    lists = {uri(entry) for entry in added if "=" not in entry}
    split = [entry.partition("=") for entry in with_copies(added) if "=" in entry]
    values = {(uri(key), value) for key, _, value in split}
    if packet is not before:
        values.add((uri(CATEGORIES), ""))
    cuts = []
    for description in packet.descriptions:
        said = properties_of(description)
        attributes = {tag for (key, tag), value in said.items() if _ours(key) or (key, value) in values}
        found = [_found(element, lists, values) for element in description.children]
        nothing = not attributes and not any(found)
        everything = len(attributes) == len(said) and found == [[element] for element in description.children]
        if everything and not nothing:
            cuts.append(_cut(packet, description))
        else:
            cuts += _attributes_cut(packet, description, attributes)
            cuts += [_cut(packet, element) for elements in found for element in elements]
    return _collapsed(packet, cuts)


def _without_categories(packet: Packet, added: Collection[str]) -> Packet:
    """The packet whose categories are less what was added; they are empty where nothing else is in them."""
    entries = [entry.partition("=") for entry in added if "=" in entry]
    ours = [value for key, _, value in entries if key in LISTS]
    if not ours or not any(packet.values(CATEGORIES)):
        return packet
    others = [v for key in LISTS for v in packet.values(key) if (key, "=", v) not in entries]
    edits: list[Edit] = []
    for description in packet.descriptions:
        said = {tag: value for (key, tag), value in description.attributes.items() if key == uri(CATEGORIES)}
        for found in _ATTRIBUTE.finditer(packet.data, description.start, description.inner) if said else ():
            text = said.get(found[1].decode(), "")
            if (left := without_categories(text, ours, others)) != text:
                edits.append((found.end(1), found.end(), f"={quoteattr(left)}".encode()))
        for element in description.children:
            text = element.text if element.name == uri(CATEGORIES) and not element.children else ""
            if (left := without_categories(text, ours, others)) != text:
                edits.append((element.inner, element.close, escape(left).encode()))
    return Packet(spliced(packet.data, edits), packet.name) if edits else packet


def only(data: bytes, name: str, wanted: Callable[[str], bool]) -> bytes:
    """The packet less all properties but those that are wanted, each by its name as `uri` gives it."""
    packet = Packet(data, name)
    others = (element for element in packet.rdf.children if element.name != uri("rdf:Description"))
    cuts = [_cut(packet, element) for element in others]
    for description in packet.descriptions:
        said = properties_of(description)
        cuts += _attributes_cut(packet, description, {tag for key, tag in said if not wanted(key)})
        cuts += [_cut(packet, element) for element in description.children if not wanted(element.name)]
    return _collapsed(packet, cuts)


def without_empty(data: bytes, keys: Iterable[str], name: str) -> bytes:
    """The packet less those of these properties that say nothing."""
    packet = Packet(data, name)
    return _collapsed(packet, [cut for key in keys for cut in _empty_ones(packet, key)])


def with_entries(data: bytes, key: str, items: Iterable[str], name: str) -> bytes:
    """The packet with entries added to a list that says something; as it is where there is none."""
    packet = Packet(data, name)
    element, there = packet.find(key), packet.values(key)
    if element is None or not element.children or not any(there):
        return packet.data
    return spliced(packet.data, _appended(packet, element.children[0], new_ones(items, there)))


def with_description(data: bytes, lines: list[str], name: str) -> bytes:
    """The packet with a description of these lines behind the last one."""
    packet = Packet(data, name)
    return spliced(packet.data, [_inserted_block(packet, lines)])


def _found(element: Element, lists: set[str], values: set[tuple[str, str]]) -> list[Element]:
    """What is ours in a property: its element, some of its entries, or nothing."""
    if _ours(element.name):
        return [element]
    if not element.children:
        return [element] if (element.name, element.text.strip()) in values else []
    entries = element.children[0].children
    found = [entry for entry in entries if (element.name, entry.text.strip()) in values]
    whole = element.name in lists or (found and element.name in _COPIES)
    return [element] if whole and len(found) == len(entries) else found


def _empty_ones(packet: Packet, key: str) -> list[Edit]:
    """The cuts that take out a property of which there is nothing but empty elements or attributes."""
    cuts, name = [], uri(key)
    for description in packet.descriptions:
        tags = {
            tag
            for (known, tag), value in description.attributes.items()
            if known == name and not says_something(key, value)
        }
        cuts += _attributes_cut(packet, description, tags)
        for element in description.children:
            if element.name == name:
                if not _blank(key, element):
                    return []
                cuts.append(_cut(packet, element))
    return cuts


def _attributes_cut(packet: Packet, description: Element, tags: Collection[str]) -> list[Edit]:
    """The cuts that take attributes out of a description's start tag, each by its name in the file."""
    found = _ATTRIBUTE.finditer(packet.data, description.start, description.inner) if tags else ()
    return [(tag.start(), tag.end(), b"") for tag in found if tag[1].decode() in tags]


def _blank(key: str, element: Element) -> bool:
    """Whether an element of a property says nothing and has no attribute but its language."""
    language = "http://www.w3.org/XML/1998/namespace lang"
    said = says_something(key, element.text) or any(name != language for name, _ in element.attributes)
    return not said and all(_blank(key, child) for child in element.children)


def list_lines(key: str, kind: str, items: list[str]) -> list[str]:
    """The lines of a property that is a list, none for an empty one; kind: "Bag", "Seq" or "Alt"."""
    if not items:
        return []
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    entries = [f"  <rdf:li{language}>{escape(item)}</rdf:li>" for item in items]
    return [f"<{key}>", f" <rdf:{kind}>", *entries, f" </rdf:{kind}>", f"</{key}>"]


def text_line(key: str, text: str) -> str:
    """The line of a property that is a text."""
    return f"<{key}>{escape(text)}</{key}>"


def _inserted_block(packet: Packet, lines: list[str]) -> Edit:
    """A description of our own behind the last one."""
    names = "".join(f'\n    xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    head = f"  <rdf:Description rdf:about={quoteattr(packet.about)}{names}>"
    text = "\n".join(["", head, *(f"   {line}" for line in lines), "  </rdf:Description>"])
    return _inside(packet, packet.rdf, text)


def _appended(packet: Packet, container: Element, items: list[str]) -> list[Edit]:
    """Entries behind the last one of a list, indented like it."""
    prefix = container.tag.rpartition(":")[0]
    tag = f"{prefix}:li" if prefix else "li"
    last = container.children[-1:]
    indent = packet.data[_indent(packet.data, last[0].start) : last[0].start].decode() if last else ""
    text = "".join(f"{indent}<{tag}>{escape(item)}</{tag}>" for item in items)
    return [_inside(packet, container, text)] if items else []


def _inside(packet: Packet, element: Element, text: str) -> Edit:
    """Text behind an element's last child, or at its very start; ‹tag/› becomes ‹tag›text‹/tag›."""
    if packet.data.endswith(b"/>", element.start, element.inner):
        return element.inner - 2, element.inner, f">{text}</{element.tag}>".encode()
    at = element.children[-1].end if element.children else element.inner
    return at, at, text.encode()


def _cut(packet: Packet, element: Element) -> Edit:
    """The element with the white space before it."""
    return _indent(packet.data, element.start), element.end, b""


def _collapsed(packet: Packet, cuts: list[Edit]) -> bytes:
    """The packet less the cuts; where they leave ‹tag›‹/tag›, it had been ‹tag/›."""
    elements = {(e.inner, e.close): e for d in [packet.rdf, *packet.descriptions] for e in _lists_in(d)}
    runs: list[Edit] = []
    for start, end, _ in sorted(cuts):
        if runs and runs[-1][1] == start:
            start = runs.pop()[0]
        runs.append((start, end, b""))
    for number, (start, end, _) in enumerate(runs):
        if element := elements.get((start, end)):
            runs[number] = (start - 1, element.end, b"/>")
    return spliced(packet.data, runs)


def _lists_in(element: Element) -> Iterator[Element]:
    """The element itself and the lists of its properties."""
    yield element
    for child in element.children:
        yield from child.children[:1]


def _indent(data: bytes, at: int) -> int:
    """Where the white space before `at` begins."""
    while at and data[at - 1] in b" \t\r\n":
        at -= 1
    return at


def _ours(name: str) -> bool:
    return name.startswith(NAMESPACES["landmarkTagger"])
