"""Files for the browser to save: sent in binary messages, and all photos of the page as a zip."""

from __future__ import annotations

import io
import mimetypes
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath

import ipywidgets as widgets

from src.app.card import PhotoCard
from src.library.records import write_csv

PART = 2 * 2**20  # bytes of a file in one message


def send_file(widget: widgets.Widget, name: str, pieces: Iterable[bytes]) -> None:
    """Send a file to the script of `widget`, in parts, so that it is never held whole here.

    Where `pieces` fails, what was sent is followed by no last part; part 1 of the next file makes up for it.
    """
    kind, rest, part = media_type(name), bytearray(), 1
    for piece in pieces:
        rest += piece
        while len(rest) > PART:
            _send(widget, name, kind, part, bytes(rest[:PART]), last=False)
            del rest[:PART]
            part += 1
    _send(widget, name, kind, part, bytes(rest), last=True)


def media_type(name: str) -> str:
    """The MIME type of a download by its name."""
    ours = {".xmp": "application/rdf+xml", ".npz": "application/octet-stream"}
    return ours.get(PurePath(name).suffix) or mimetypes.guess_type(name)[0] or "image/jpeg"


def zipped(cards: Iterable[PhotoCard]) -> Iterator[bytes]:
    """A zip of all photos with their tags and a table of the answers, piece by piece."""
    spool, used, records = _Spool(), set[str](), []
    with zipfile.ZipFile(spool, "w") as archive:  # stored: photos are compressed already
        for card in cards:
            photo = _unused(card.report.name, used)
            for name, data in card.files(photo):
                archive.writestr(name if name == photo else _unused(name, used), data)
                yield spool.take()
            records.append(replace(card.record, path=photo))
        table = io.StringIO()
        write_csv(table, records)
        archive.writestr(_unused("tags.csv", used), table.getvalue())
    yield spool.take()


def _send(widget: widgets.Widget, name: str, kind: str, part: int, data: bytes, *, last: bool) -> None:
    about = {"kind": "file", "name": name, "type": kind, "part": part, "last": last}
    widget.send(about, buffers=[data])


class _Spool(io.RawIOBase):
    """A file that can only be written, and gives up what it holds: a zip that nobody has to hold whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def _unused(name: str, used: set[str]) -> str:
    """The name, with a number where another file has it already (some systems mix up A and a)."""
    path, number, free = PurePath(name), 1, name
    while free.casefold() in used:
        number += 1
        free = f"{path.stem} ({number}){path.suffix}"
    used.add(free.casefold())
    return free
