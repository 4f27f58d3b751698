"""Keywords into IPTC (IIM 4.2), and IPTC into the segment of a JPEG in which Photoshop keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from src.photos.containers import IPTC_RESOURCE, MAX_RESOURCES, PHOTOSHOP
from src.photos.properties import new_ones

_DIGEST = 0x0425  # the image resource that is the MD5 of the one with IPTC
_CHARACTER_SET, _KEYWORD, _UTF8 = (1, 90), (2, 25), b"\x1b%G"  # (ISO 2022)
_LONGEST = 64  # bytes of a keyword


def with_keywords(block: bytes, words: Iterable[str]) -> bytes:
    """The block with keywords in UTF-8; those of more than 64 bytes are left out.

    As it is where it is broken, or older texts in it are in another character set.
    """
    sets = list(data_sets(block))
    end = sets[-1][2] if sets else 0
    declared = _declared(block)
    if block[end:].strip(b"\0") or declared not in (None, _UTF8):
        return block
    try:
        texts = [(key, block[start:stop].decode()) for key, start, stop in sets if key[0] == 2]
    except UnicodeDecodeError:
        return block
    new = [w for w in new_ones(words, [t for k, t in texts if k == _KEYWORD]) if len(w.encode()) <= _LONGEST]
    head = b"" if declared is not None else _data_set(_CHARACTER_SET, _UTF8)
    at = max([stop for key, _, stop in sets if key[0] <= 2], default=0)
    added = b"".join(_data_set(_KEYWORD, word.encode()) for word in new)
    return head + block[:at] + added + block[at:end] if new else block


def in_another_character_set(block: bytes) -> bool:
    """Whether it says that its texts are in another one than UTF-8 (ISO 2022)."""
    return _declared(block) not in (None, _UTF8)


def _declared(block: bytes) -> bytes | None:
    return next((block[start:end] for key, start, end in data_sets(block) if key == _CHARACTER_SET), None)


def data_sets(block: bytes) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Record and number, start and end of what each data set holds, up to what is broken."""
    at = 0
    while block[at : at + 1] == b"\x1c" and len(block) >= at + 5:
        start, size = at + 5, int.from_bytes(block[at + 3 : at + 5])
        if start + size > len(block):  # also those of more than 32 kB, whose size stands elsewhere
            return
        yield (block[at + 1], block[at + 2]), start, start + size
        at = start + size


def _data_set(key: tuple[int, int], value: bytes) -> bytes:
    return b"\x1c" + bytes(key) + len(value).to_bytes(2) + value


def with_iptc(segment: bytes, iptc: bytes) -> bytes:
    """What Photoshop's segment holds with this IPTC block in place of its own.

    Raises:
        ValueError: it goes on in the next segment, or is broken.
    """
    resources = list(_resources(segment))
    old = next((segment[start:end] for number, start, end in resources if number == IPTC_RESOURCE), None)
    pieces, at = [], 0
    for number, start, end in resources:
        value = segment[start:end]
        if number == IPTC_RESOURCE:
            value = iptc
        elif number == _DIGEST and old is not None and value == _md5(old):
            value = _md5(iptc)
        pieces += [segment[at : start - 4], len(value).to_bytes(4), value, b"\0" * (len(value) % 2)]
        at = end + (end - start) % 2
    if old is None:
        padding = b"\0" * (len(iptc) % 2)
        pieces += [b"8BIM", IPTC_RESOURCE.to_bytes(2), b"\0\0", len(iptc).to_bytes(4), iptc, padding]
    return b"".join(pieces) if resources else segment + b"".join(pieces)


def _resources(segment: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each of Photoshop's image resources; see `containers`."""
    at = len(PHOTOSHOP)
    for _ in range(MAX_RESOURCES):
        if at >= len(segment):
            return
        number, name = int.from_bytes(segment[at + 4 : at + 6]), segment[at + 6 : at + 7]
        start = at + 10 + (len(name) + sum(name) + 1) // 2 * 2
        end = start + int.from_bytes(segment[start - 4 : start])
        if segment[at : at + 4] != b"8BIM" or not name or end > len(segment):
            break
        yield number, start, end
        at = end + (end - start) % 2
    raise ValueError("resources that are cut")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
