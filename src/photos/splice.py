"""Bytes with others in the place of some."""

from __future__ import annotations

from collections.abc import Iterable

Edit = tuple[int, int, bytes]  # what is put in the place of [start, end)


def spliced(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The bytes after the edits, which do not overlap; those of one place in their order."""
    pieces, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        pieces += [data[at:start], new]
        at = end
    return b"".join([*pieces, data[at:]])
