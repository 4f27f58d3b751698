"""Tags of many photos written to sidecars or copies, and taken back.

The order makes a kill at any moment harmless. First the catalog saves what is about to be written and where,
then the file gets its place in one step (`write_tags`), then the catalog saves that it is done. So the
catalog knows every file that may be ours, and --undo finds them all; the other order would lose the one that
was written just before a kill. A write that was planned and not done is simply done again: a sidecar takes
the same tags twice with the same bytes, and a copy that did get its place bears our seal, by which
`undo_copy` tells it from any other file. Undoing goes the other way round, first the file, then the
catalog, for the same reason.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from src.files import explained, shown_name, sweep
from src.inference.report import content_of, failure
from src.landmarks.tags import Tags
from src.library.catalog import Catalog
from src.library.decisions import Verdicts
from src.library.writes import Write
from src.photos.errors import UNUSABLE, MetadataError
from src.photos.files import read_photo_file
from src.photos.sidecar_names import Listing, Naming, find_sidecar, listed_once
from src.photos.write_tags import undo_copy, undo_sidecar, write_copy, write_sidecar


@dataclass(frozen=True)
class Step:
    """What became of one photo, or of what was written for it.

    It was written, unchanged, rejected, not reviewed, taken back, undone, gone or failed (why).
    """

    photo: str
    what: str
    error: str = ""


@dataclass(frozen=True)
class Writing:
    """How tags are written.

    Attributes:
        root: the library's folder, absolute.
        to: where the copies go, in folders as in the library; None for sidecars.
        naming: what sidecars are called.
        drop_c2pa: leave Content Credentials out of copies.
        listing: what lies beside the photos, for this run.
    """

    root: Path
    to: Path | None = None
    naming: Naming = "auto"
    drop_c2pa: bool = False
    listing: Listing = field(default_factory=listed_once)


def write_all(catalog: Catalog, how: Writing, verdicts: Verdicts) -> Iterator[Step]:
    """Write the tags of this run's records, one after the other; what fails does not stop the rest.

    First what was written before, in the same way, is taken back from photos that get no tags now, as they
    were rejected or show no landmark any more. What is not reviewed stays as it is.

    Args:
        catalog: with the records.
        how: where and how they are written.
        verdicts: what a person decided.
    """
    former = catalog.writes.of_records(os.fspath(how.to) if how.to else None)
    wrong = [
        write
        for write, content, landmark in former
        if not landmark or verdicts.judge(write.photo, content, landmark) == "rejected"
    ]
    for write in wrong:
        yield _taken_back(catalog, write, "taken back")
    for photo, content, landmark, tags in catalog.tags_to_write():
        verdict = verdicts.judge(photo, content, landmark)
        yield _tried(catalog, how, photo, content, tags) if verdict == "approved" else Step(photo, verdict)


def undo_all(catalog: Catalog, folder: Path) -> Iterator[Step]:
    """Take back all that was written for photos below a folder (absolute), one after the other."""
    for write in catalog.writes.below(os.fspath(folder)):
        yield _taken_back(catalog, write, "undone")


def _taken_back(catalog: Catalog, write: Write, done: str) -> Step:
    try:
        step = Step(write.photo, done if _undo(catalog, write) else "gone")
        catalog.writes.forget(write)
    except sqlite3.Error:  # of the catalog
        raise
    except Exception as error:  # one photo must never end a run of a million
        catalog.writes.save(write)  # as it was
        step = Step(write.photo, "failed", failure(write.photo, error, done))
    return step


def _tried(catalog: Catalog, how: Writing, photo: str, content: str, tags: Tags) -> Step:
    try:
        return Step(photo, "written" if _write(catalog, how, photo, content, tags) else "unchanged")
    except sqlite3.Error:  # of the catalog
        raise
    except Exception as error:  # as above
        return Step(photo, "failed", failure(photo, error, "tagged"))


def _write(catalog: Catalog, how: Writing, photo: str, content: str, tags: Tags) -> bool:
    """Write one photo's tags; False where they are there already.

    A photo that has changed since, as it got stars or a title, is written anew: its copy has to follow it,
    and so has what a sidecar took over from it. One that changed after the model saw it gets no tags of
    another picture: programs rename photos and put others in their places meanwhile.
    """
    to = how.to
    if to is None:
        target = find_sidecar(photo, how.naming, how.listing)
    else:
        target = to / Path(photo).relative_to(how.root)
    before = catalog.writes.find(photo, os.fspath(target))
    there = _exists(target)
    if before and before.done and (before.tags, before.content) == (tags, content) and there:
        return False
    if to and there and not before:
        raise MetadataError(f"{target} is there already; move it away, or copy to another folder.")
    root = None if to is None else os.fspath(to)
    planned = Write(photo, os.fspath(target), root, tags, done=False, content=content)
    data = read_photo_file(photo)
    if content_of(data) != content:
        catalog.look_again(photo)
        raise MetadataError(f"{shown_name(photo)} was changed after it was looked at; start again.")
    if before and not before.done:  # it may be whole and in its place, and yet have left a part behind
        sweep(Path(os.path.realpath(target)))
    catalog.writes.save(planned)
    try:
        if to is None:
            write_sidecar(photo, target, tags, data=data)
        else:
            write_copy(photo, target, tags, replace=there, drop_c2pa=how.drop_c2pa, data=data)
    except UNUSABLE:  # nothing was written
        if before:
            catalog.writes.save(before)
        else:
            catalog.writes.forget(planned)
        raise
    catalog.writes.save(replace(planned, done=True))
    return True


def _undo(catalog: Catalog, write: Write) -> bool:
    """Take back one write; False where nothing of it is there any more."""
    target = Path(write.target)
    base = Path(write.root) if write.root else target.parent
    with explained(base, "read"):
        base.stat()  # a disk may not be connected: then nothing is known, and nothing forgotten
    if not write.done:
        sweep(Path(os.path.realpath(target)))
    catalog.writes.save(replace(write, done=False))
    there = _exists(target)
    if there and write.root:
        undo_copy(target)
    elif there:
        there = undo_sidecar(target)
    if write.root:
        _remove_empty(target.parent, base)
    return there


def _remove_empty(folder: Path, base: Path) -> None:
    """Remove a folder and those above it, below `base`, as long as they are empty."""
    with suppress(OSError):
        while folder != base:
            folder.rmdir()
            folder = folder.parent


def _exists(path: Path) -> bool:
    """Whether something is there, be it a broken link; FileError where that cannot be known."""
    with explained(path, "read"):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True
