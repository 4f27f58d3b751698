"""The upload area of the page, and photos put together from the messages that its script sends.

A Jupyter server cuts the connection at a message over 10 MB unless its settings say otherwise, so the script
sends a photo in parts, each in a binary message that is answered once it was dealt with. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from src.files import shown_name
from src.photos.decode import MAX_BYTES
from src.photos.formats import FORMATS, SUFFIXES

# Read at import: in a standalone folder the modules are gone once they are imported.
SCRIPT = Path(__file__).with_name("app.js").read_text("utf-8")

_MARKUP = f"""
<div class="lt-drop">
  <svg viewBox="0 0 48 48" width="56" height="56" fill="none" stroke="currentColor" stroke-width="2.5"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><rect x="5" y="9" width="38" height="30"
    rx="4"/><circle cx="15" cy="18" r="3.5"/><path d="M5 33l11-9 8 7 8-9 11 11"/></svg>
  <p class="lt-invitation">Drop photos here</p>
  <label class="lt-choose">Choose photos
    <input type="file" multiple accept="image/*,{",".join(SUFFIXES)}" aria-describedby="lt-formats"></label>
  <p class="lt-hint" id="lt-formats">{FORMATS}, up to {MAX_BYTES // 2**20} MB each; several at once are
    fine.</p>
  <p class="lt-hint">Photos stay in the memory of this server until you clear them or the session ends; none
    is stored.</p>
</div>
<p class="lt-sending" role="status"></p>
<div class="lt-alert lt-ended" role="alert" hidden><p>The server ended this session because it was not used
  for a while, and has forgotten its photos.</p><button type="button">Reload the page</button></div>
"""


@dataclass(frozen=True)
class Upload:
    """One photo of the visitor's, `number` (from 1) `of` those that were chosen together."""

    name: str
    data: bytes
    size: int  # bytes of the file; more than those of `data` where it was too large to send
    number: int
    of: int


class UploadArea(anywidget.AnyWidget):
    """Where photos are chosen or dropped; also the script of the page, and its line to Python.

    Args:
        receive: called with each photo that is complete.
        failed: called with the error where a message or what is done with it fails.
    """

    _esm = SCRIPT
    markup = traitlets.Unicode(_MARKUP).tag(sync=True)
    limit = traitlets.Int(MAX_BYTES).tag(sync=True)  # bytes; of a larger photo the script sends the size only

    def __init__(self, receive: Callable[[Upload], None], failed: Callable[[Exception], None]) -> None:
        self._receive, self._failed = receive, failed
        self._inbox = Inbox()
        super().__init__()
        self.on_msg(self._on_sent)

    def _on_sent(self, _area: UploadArea, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Deal with one message of the script, which waits for the answer."""
        try:
            upload = self._inbox.add(content, b"".join(buffers))
            if upload:
                self._receive(upload)
        except Exception as error:  # a visitor gets a sentence, never a traceback
            self._failed(error)
        finally:
            self.send({"kind": "received"})


class Inbox:
    """Puts together the photos that come in parts."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, about: Mapping[str, Any], data: bytes) -> Upload | None:
        """The photo that is complete with this message, if any.

        Args:
            about: ``name`` and ``size`` of the file; ``part`` (from 1) of ``parts``; ``photo`` (from 1)
                ``of`` those that were chosen together.
            data: the part.

        Raises:
            KeyError, TypeError, ValueError: the page's script sends no such message.
        """
        part, parts, size, photo, of = (int(about[key]) for key in ("part", "parts", "size", "photo", "of"))
        name = shown_name(str(about["name"]))
        if part == 1:  # what there is of an earlier photo was broken off
            self._parts, self._size = [], 0
        self._size += len(data)
        if self._size <= MAX_BYTES:  # the rest is only counted
            self._parts.append(data)
        if part < parts:
            return None
        upload = Upload(name, b"".join(self._parts), max(size, self._size), photo, of)
        self._parts, self._size = [], 0
        return upload
