"""An XMP packet with the place of each of its elements in the bytes, so that it can be edited as text."""

from __future__ import annotations

import re

from src.files import shown_name
from src.photos.xmp import NAMESPACES, in_utf8, no_xmp, parse, uri

_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=<>/]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")


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
    """The properties of an XMP packet; `data` is the packet in UTF-8.

    Raises MetadataError for bytes that are not XMP.
    """

    def __init__(self, data: bytes, name: str):
        self.data, self.name = in_utf8(data), shown_name(name)
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
        return not any(d.children or properties_of(d) for d in self.descriptions)

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


def properties_of(description: Element) -> dict[tuple[str, str], str]:
    """The attributes that are properties: those with a namespace other than RDF's and XML's own."""
    foreign = (NAMESPACES["rdf"], "http://www.w3.org/XML/1998/namespace")
    return {k: v for k, v in description.attributes.items() if " " in k[0] and not k[0].startswith(foreign)}


def _split(name: str) -> tuple[str, str]:
    """What `uri` gives, and the name as it stands in the file, of the parser's "namespace name prefix"."""
    parts = name.split(" ")
    return " ".join(parts[:2]), ":".join(reversed(parts[1:])) or name
