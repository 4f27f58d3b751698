"""Tags into an XMP packet, and out again.

What a person wrote stays: tags are added to lists; a place, a description and coordinates are written where
there are none. What was added is listed in the packet itself, in a namespace of our own, so that it can be
taken out without a catalog. A packet is edited as text, at the byte offsets that the XML parser reports: what
was there keeps its bytes, which no library that reads and rewrites XMP promises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from xml.sax.saxutils import escape, quoteattr

from src.files import shown_name
from src.landmarks.tags import Tags, clean
from src.photos.errors import MetadataError
from src.photos.xmp import ADDED, ESTIMATE, NAMESPACES, coordinate, no_xmp, parse, uri

EMPTY = f"""<?xpacket begin="\N{BYTE ORDER MARK}" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
""".encode()

_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=]+)\s*=\s*(?:"[^"]*"|'[^']*')""")


class Element:
    """An XML element and where its bytes are: start ‹tag› inner … close ‹/tag› end; close = end in ‹tag/›."""

    def __init__(self, name: str, attributes: dict[str, str], start: int, inner: int):
        self.name, self.tag = _split(name)
        self.attributes = {_split(key): value for key, value in attributes.items()}
        self.start, self.inner = start, inner
        self.close = self.end = inner
        self.children: list[Element] = []
        self.text = ""


class Packet:
    """The properties of an XMP packet.

    Raises MetadataError for bytes that are not XMP in UTF-8.
    """

    def __init__(self, data: bytes, name: str):
        self.data, self.name = data, shown_name(name)
        found = [element for element in self._parse() if element.name == uri("rdf:RDF")]
        if not found:
            raise no_xmp(name)
        self.rdf = found[0]
        self.descriptions = [e for e in self.rdf.children if e.name == uri("rdf:Description")]

    def find(self, key: str) -> Element | None:
        """The element of a property such as "dc:subject"."""
        elements = (e for description in self.descriptions for e in description.children)
        return next((e for e in elements if e.name == uri(key)), None)

    def values(self, key: str) -> list[str]:
        """What a property says: the entries of a list, one value, or nothing."""
        name, values = uri(key), []
        for description in self.descriptions:
            values += [value for (known, _), value in description.attributes.items() if known == name]
            for element in description.children:
                if element.name == name:
                    entries = [e for container in element.children[:1] for e in container.children]
                    values += [e.text for e in entries] if element.children else [element.text]
        return [value.strip() for value in values]

    @property
    def about(self) -> str:
        """What the packet says it is about; the same in every description (XMP Part 1, 7.4)."""
        names = (uri("rdf:about"), "about")  # old programs leave out the namespace
        found = (v for d in self.descriptions for (k, _), v in d.attributes.items() if k in names)
        return next(found, "")

    @property
    def empty(self) -> bool:
        """Whether nothing is said at all."""
        return not any(d.children or _properties(d) for d in self.descriptions)

    def _parse(self) -> list[Element]:
        """All elements, in the order of their start."""
        elements: list[Element] = []
        stack: list[Element] = []

        def start(name: str, attributes: dict[str, str], at: int) -> None:
            tag = _START_TAG.match(self.data, at)
            if tag is None:
                raise ValueError("a start tag that is none")
            element = Element(name, attributes, at, tag.end())
            if stack:
                stack[-1].children.append(element)
            stack.append(element)
            elements.append(element)

        def end(_name: str, at: int) -> None:
            element = stack.pop()
            if not self.data.endswith(b"/>", element.start, element.inner):
                element.close = at
                element.end = self.data.index(b">", at) + 1

        def text(value: str) -> None:
            stack[-1].text += value

        parse(self.data, self.name, start, end, text, prefixes=True)
        return elements


def add(old: bytes, tags: Tags, known: Mapping[str, list[str]], name: str, marks: Mapping[str, str]) -> bytes:
    """The packet with tags and marks added; `known` is what the photo itself says of each property."""
    packet = Packet(old, name)
    cuts, lines, added = [], [], []
    for key, (kind, wanted) in _lists(tags).items():
        element, there = packet.find(key), packet.values(key)
        if element is None and not there:
            items = new_ones([*known.get(key, ()), *wanted], there)
            lines += _list_lines(key, kind, items)
            added += [key] if items else []
        elif element is not None and element.children:
            items = new_ones(wanted, there)
            cuts += _appended(packet, element.children[0], items)
        else:  # a list written as a single value: not ours to rebuild
            continue
        added += [f"{key}={item}" for item in items]

    def taken(key: str) -> bool:
        return any(packet.values(key)) or packet.find(key) is not None or any(known.get(key, ()))

    texts = _texts(tags, taken)
    lines += [_text_line(key, text) for key, text in texts.items() if key != "dc:description"]
    if "dc:description" in texts:
        lines += _list_lines("dc:description", "Alt", [texts["dc:description"]])
        added.append("dc:description")
    added += [f"{key}={text}" for key, text in texts.items()]

    marks = {
        "landmarkTagger:Landmark": clean(tags.landmark),
        "landmarkTagger:Model": clean(tags.model),
        "landmarkTagger:Probability": f"{tags.probability:.4f}",
        "landmarkTagger:Notice": clean(tags.notice),
        **marks,
    }
    lines += [_text_line(key, text) for key, text in marks.items()] + _list_lines(ADDED, "Bag", added)
    new = _spliced(old, [*cuts, _inserted_block(packet, lines)])
    if remove(new, name) != old:  # what could not be taken back is not written
        raise MetadataError(f"{name} has a form that cannot be added to; move it away and try again.")
    return new


def remove(data: bytes, name: str) -> bytes:
    """The packet less all that `add` added, also after another program wrote it in its own way."""
    packet = Packet(data, name)
    added = packet.values(ADDED)
    lists = {uri(entry) for entry in added if "=" not in entry}
    split = [entry.partition("=") for entry in added if "=" in entry]
    values = {(uri(key), value) for key, _, value in split}
    cuts = []
    for description in packet.descriptions:
        said = _properties(description)
        attributes = {tag for (key, tag), value in said.items() if _ours(key) or (key, value) in values}
        found = [_found(element, lists, values) for element in description.children]
        nothing = not attributes and not any(found)
        everything = len(attributes) == len(said) and found == [[element] for element in description.children]
        if everything and not nothing:
            cuts.append(_cut(packet, description))
        else:
            tags = _ATTRIBUTE.finditer(data, description.start, description.inner)
            cuts += [(tag.start(), tag.end(), b"") for tag in tags if tag[1].decode() in attributes]
            cuts += [_cut(packet, element) for elements in found for element in elements]
    return _collapsed(packet, cuts)


def _found(element: Element, lists: set[str], values: set[tuple[str, str]]) -> list[Element]:
    """What is ours in a property: its element, some of its entries, or nothing."""
    if _ours(element.name):
        return [element]
    if not element.children:
        return [element] if (element.name, element.text.strip()) in values else []
    entries = element.children[0].children
    found = [entry for entry in entries if (element.name, entry.text.strip()) in values]
    return [element] if element.name in lists and len(found) == len(entries) else found


def _lists(tags: Tags) -> dict[str, tuple[str, list[str]]]:
    """The properties that are lists: their kind and what to have in them."""
    paths = [clean(path) for path in tags.paths]
    return {
        "dc:subject": ("Bag", [clean(word) for word in tags.keywords]),
        "digiKam:TagsList": ("Seq", paths),
        "lr:hierarchicalSubject": ("Bag", [path.replace("/", "|") for path in paths]),
    }


def _texts(tags: Tags, taken: Callable[[str], bool]) -> dict[str, str]:
    """The properties of one value, without those that would stand beside what is `taken`."""
    texts: dict[str, str] = {}
    if not taken("photoshop:City") and not taken("photoshop:Country"):
        texts |= {"photoshop:City": clean(tags.city), "photoshop:Country": clean(tags.country)}
    if not taken("dc:description"):
        texts["dc:description"] = clean(". ".join(filter(None, (tags.caption, tags.notice))))
    free = not taken("exif:GPSLatitude") and not taken("exif:GPSLongitude")
    if free and tags.latitude is not None and tags.longitude is not None:
        texts["exif:GPSLatitude"] = coordinate(tags.latitude, "NS")
        texts["exif:GPSLongitude"] = coordinate(tags.longitude, "EW")
        texts["exif:GPSMapDatum"] = "WGS-84"
        texts["exif:GPSProcessingMethod"] = ESTIMATE
        if tags.radius_m is not None:
            texts["exif:GPSHPositioningError"] = f"{max(1, round(tags.radius_m))}/1"
    return {key: text for key, text in texts.items() if text}


def new_ones(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """What is wanted and not there yet; large and small letters are alike."""
    seen, new = {item.casefold() for item in there} | {""}, []
    for item in wanted:
        if item.casefold() not in seen:
            seen.add(item.casefold())
            new.append(item)
    return new


def _list_lines(key: str, kind: str, items: list[str]) -> list[str]:
    if not items:
        return []
    language = ' xml:lang="x-default"' if kind == "Alt" else ""
    entries = [f"  <rdf:li{language}>{escape(item)}</rdf:li>" for item in items]
    return [f"<{key}>", f" <rdf:{kind}>", *entries, f" </rdf:{kind}>", f"</{key}>"]


def _text_line(key: str, text: str) -> str:
    return f"<{key}>{escape(text)}</{key}>"


def _inserted_block(packet: Packet, lines: list[str]) -> tuple[int, int, bytes]:
    """A description of our own behind the last one."""
    names = "".join(f'\n    xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    head = f"  <rdf:Description rdf:about={quoteattr(packet.about)}{names}>"
    text = "\n".join(["", head, *(f"   {line}" for line in lines), "  </rdf:Description>"])
    return _inside(packet, packet.rdf, text)


def _appended(packet: Packet, container: Element, items: list[str]) -> list[tuple[int, int, bytes]]:
    """Entries behind the last one of a list, indented like it."""
    prefix = container.tag.rpartition(":")[0]
    tag = f"{prefix}:li" if prefix else "li"
    last = container.children[-1:]
    indent = packet.data[_indent(packet.data, last[0].start) : last[0].start].decode() if last else ""
    text = "".join(f"{indent}<{tag}>{escape(item)}</{tag}>" for item in items)
    return [_inside(packet, container, text)] if items else []


def _inside(packet: Packet, element: Element, text: str) -> tuple[int, int, bytes]:
    """Text behind an element's last child, or at its very start; ‹tag/› becomes ‹tag›text‹/tag›."""
    if packet.data.endswith(b"/>", element.start, element.inner):
        return element.inner - 2, element.inner, f">{text}</{element.tag}>".encode()
    at = element.children[-1].end if element.children else element.inner
    return at, at, text.encode()


def _cut(packet: Packet, element: Element) -> tuple[int, int, bytes]:
    """The element with the white space before it."""
    return _indent(packet.data, element.start), element.end, b""


def _collapsed(packet: Packet, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """The packet less the cuts; where they leave ‹tag›‹/tag›, it had been ‹tag/›."""
    elements = {(e.inner, e.close): e for d in [packet.rdf, *packet.descriptions] for e in _lists_in(d)}
    runs: list[tuple[int, int, bytes]] = []
    for start, end, _ in sorted(cuts):
        if runs and runs[-1][1] == start:
            start = runs.pop()[0]
        runs.append((start, end, b""))
    for number, (start, end, _) in enumerate(runs):
        if element := elements.get((start, end)):
            runs[number] = (start - 1, element.end, b"/>")
    return _spliced(packet.data, runs)


def _lists_in(element: Element) -> Iterator[Element]:
    """The element itself and the lists of its properties."""
    yield element
    for child in element.children:
        yield from child.children[:1]


def _spliced(data: bytes, cuts: Iterable[tuple[int, int, bytes]]) -> bytes:
    """The bytes with each [start, end) replaced."""
    pieces, at = [], 0
    for start, end, new in sorted(cuts):
        pieces += [data[at:start], new]
        at = end
    return b"".join([*pieces, data[at:]])


def _indent(data: bytes, at: int) -> int:
    """Where the white space before `at` begins."""
    while at and data[at - 1] in b" \t\r\n":
        at -= 1
    return at


def _split(name: str) -> tuple[str, str]:
    """What `uri` gives, and the name as it stands in the file, of the parser's "namespace name prefix"."""
    parts = name.split(" ")
    return " ".join(parts[:2]), ":".join(reversed(parts[1:])) or name


def _ours(name: str) -> bool:
    return name.startswith(NAMESPACES["landmarkTagger"])


def _properties(description: Element) -> dict[tuple[str, str], str]:
    """The attributes that are properties: those with a namespace other than RDF's and XML's own."""
    foreign = (NAMESPACES["rdf"], "http://www.w3.org/XML/1998/namespace")
    return {k: v for k, v in description.attributes.items() if " " in k[0] and not k[0].startswith(foreign)}
