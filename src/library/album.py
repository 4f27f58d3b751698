"""An album: a folder with a folder for each landmark, and in it links to the photos that show it.

The album's own list says which links were made here, so a later run takes away those that hold no more, and
nothing else. It is written before links are made, so a kill leaves none that is not in it. A folder with such
a list is not looked through for photos, so an album may lie among them.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from src.files import FileError, exists, explained, read, safe_name, write
from src.library.catalog import Catalog
from src.library.choose import can_be_made, nearest_folder
from src.library.decisions import Verdicts
from src.library.write_back import Step
from src.photos.files import ALBUM_LIST

Links = dict[str, str]  # name in the album, "Taj Mahal/IMG_1.jpg" -> where the link leads


class AlbumError(ValueError):
    """A folder can be no album; the message is one sentence that says what to do instead."""


def check_album(album: Path, photos: Path) -> None:
    """Raise AlbumError where a folder can be no album of the photos in another; nothing is changed.

    So that links and photos never mix, an album begins as a new or empty folder.
    """
    if photos.resolve().is_relative_to(album.resolve()):
        raise AlbumError(f"{album} holds the photos themselves; give a new folder for the album.")
    if exists(album) and not album.is_dir():
        raise AlbumError(f"{album} is no folder; give a new one for the album.")
    if not can_be_made(album):
        raise AlbumError(f"{album} cannot be written; give a folder on a disk that can be.")
    with explained(album, "read"):
        if album.is_dir() and not exists(album / ALBUM_LIST) and any(album.iterdir()):
            raise AlbumError(f"{album} is no album, and not empty; give a new folder for the album.")
    _read_links(album)
    try:
        with TemporaryDirectory(dir=nearest_folder(album), prefix=".") as trial:
            Path(trial, "link").symlink_to("photo")
    except OSError as error:  # memory cards know no links, and Windows lets not everyone make them
        raise AlbumError(
            f"{album} is where no links can be made; give a folder on another disk, "
            "or on Windows turn on its developer mode."
        ) from error


def update_album(catalog: Catalog, album: Path, verdicts: Verdicts) -> Iterator[Step]:
    """Link the photos of this run whose tags may be written, and remove former links that hold no more.

    Links are relative, so photos and album can be moved together.

    Args:
        catalog: with the records.
        album: a folder that `check_album` lets pass.
        verdicts: what a person decided.

    Raises:
        FileError: the album or its list cannot be written.
    """
    with explained(album, "made"):
        album.mkdir(parents=True, exist_ok=True)
    album = album.resolve()
    former, links, used = _read_links(album), Links(), set[str]()
    for photo, content, landmark, _ in catalog.tags_to_write():
        verdict = verdicts.judge(photo, content, landmark)
        if verdict == "approved":
            name = _unused(safe_name(landmark), Path(photo), album, former, used)
            links[name] = _way(album / name, photo)
        else:
            yield Step(photo, verdict)
    left = Links()  # what should go and did not, for the next run
    for name, target in former.items():
        if links.get(name) != target:
            step = _tried(_remove, album / name, target)
            if step.error:
                left[name] = target
                links.pop(name, None)
            if step.what:
                yield step
    write(album / ALBUM_LIST, json.dumps(links | left, indent=0).encode(), replace=True)
    for name, target in links.items():
        yield _tried(_link, album / name, target)


def _read_links(album: Path) -> Links:
    """The links that were made in an album."""
    path = album / ALBUM_LIST
    data = read(path) if exists(path) else b"{}"
    try:
        links = json.loads(data)
        parts = [PurePath(name).parts for name in links if isinstance(links[name], str)]
        if len(parts) == len(links) and all(len(steps) == 2 and ".." not in steps for steps in parts):
            return links
    except (TypeError, ValueError):
        pass
    raise AlbumError(f"{album} has a damaged {ALBUM_LIST}; give a new folder for the album.")


def _unused(folder: str, photo: Path, album: Path, former: Links, used: set[str]) -> str:
    """A name for a photo, with a number where another has it (some systems mix up A and a), or a stranger."""
    for number in count(1):
        file = photo.name if number == 1 else f"{photo.stem} ({number}){photo.suffix}"
        name = f"{folder}/{file}"
        free = not os.path.lexists(album / name)  # or hidden from us, which is said when it is linked
        if name.casefold() not in used and (free or _is_link(album / name, former.get(name, ""))):
            break
    used.add(name.casefold())
    return name


def _way(link: Path, photo: str) -> str:
    """Where a link has to lead."""
    try:
        return os.path.relpath(photo, link.parent)
    except ValueError:  # on another drive of Windows
        return photo


def _is_link(path: Path, target: str) -> bool:
    """Whether a link is there that was made here, and not in a folder that is a link itself."""
    return not path.parent.is_symlink() and path.is_symlink() and os.fspath(path.readlink()) == target


def _tried(act: Callable[[Path, str], str], path: Path, target: str) -> Step:
    try:
        with explained(path, "made or removed"):
            return Step(os.fspath(path), act(path, target))
    except FileError as error:  # one link must not end the others
        return Step(os.fspath(path), "failed", str(error))


def _remove(path: Path, target: str) -> str:
    """Says removed, or nothing where the link is gone or another file has its name."""
    if not _is_link(path, target):
        return ""
    path.unlink()
    with suppress(OSError):  # something else is in there
        path.parent.rmdir()
    return "removed"


def _link(path: Path, target: str) -> str:
    if _is_link(path, target):
        return "unchanged"
    if path.parent.is_symlink():
        raise FileExistsError(errno.EEXIST, "exists")
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)
    return "linked"
