"""A library that lies elsewhere than when tags were written: at another path, or on another machine.

The catalog knows written files by their paths. Where the folders of photos are gone, and below the one that
is asked for now stands one of these photos with the very same bytes, all others are looked for likewise. The
former places are kept: a disk may only be away, and this be a copy of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from src.inference.report import content_of
from src.library.catalog import Catalog
from src.library.writes import Write
from src.photos.errors import UNUSABLE
from src.photos.files import read_photo_file
from src.photos.xmp import NAMESPACES, in_utf8


@dataclass(frozen=True)
class _Way:
    """From where files were to where they are."""

    old: Path
    new: Path

    def follow(self, path: str) -> str:
        """Where a file is now; empty where that was elsewhere, or it is not there."""
        if not Path(path).is_relative_to(self.old):
            return ""
        found = self.new / Path(path).relative_to(self.old)
        return os.fspath(found) if os.path.lexists(found) else ""


def follow_moved(catalog: Catalog, folder: Path) -> int:
    """Let the catalog know where files that were written are now, if their library was moved to a folder.

    Args:
        catalog: knows where they were.
        folder: the library, absolute, or one that is part of it or holds it.

    Returns:
        Of how many files.
    """
    there, known = lru_cache(maxsize=None)(os.path.isdir), catalog.writes.keys()
    gone = [key for key in known if not there(Path(key[0]).parent)]
    ways: list[_Way] = []
    followed: dict[tuple[str, str], Write] = {}
    tried = set[Path]()
    for photo, target in gone:
        write, parent = catalog.writes.find(photo, target), Path(photo).parent
        if write and parent not in tried and not any(way.follow(photo) for way in ways):
            ways += filter(None, [_way(write, folder)])
            tried.add(parent)
        moved = next(filter(None, (write and _followed(write, way) for way in ways)), None)
        if moved:
            followed[moved.photo, moved.target] = moved
    new = [write for key, write in followed.items() if key not in set(known)]
    catalog.writes.save(*new)
    return len(new)


def _way(write: Write, folder: Path) -> _Way | None:
    """The way from a photo that is gone to the same one below a folder, by the longest end of its path."""
    parts = Path(write.photo).parts
    for number in range(1, len(parts)):
        found = folder.joinpath(*parts[number:])
        if found.is_file() and _same(found, write):
            old, new = Path(*parts[:number]), folder
            while old.name and old.name == new.name:  # the folder may be a part of what was moved
                old, new = old.parent, new.parent
            return _Way(old, new)
    return None


def _same(path: Path, write: Write) -> bool:
    try:
        return content_of(read_photo_file(path)) == write.content
    except UNUSABLE:
        return False


def _followed(write: Write, way: _Way) -> Write | None:
    """What was written, as it is now; None where photo or file are not there, or it has no tags of ours."""
    photo = way.follow(write.photo)
    target, root = way.follow(write.target), write.root and way.follow(write.root)
    if write.root and not (target and root):  # copies may have stayed where they were
        target, root = write.target if os.path.lexists(write.target) else "", write.root
    if not photo or not target or (root is None and not _has_tags(target)):
        return None
    return replace(write, photo=photo, target=target, root=root)


def _has_tags(sidecar: str) -> bool:
    try:
        return NAMESPACES["landmarkTagger"].encode() in in_utf8(read_photo_file(sidecar))
    except UNUSABLE:
        return False
