"""Tags in files: XMP sidecars beside photos, copies of photos with tags inside, and the way back.

A photo's own file is only ever read.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from src.files import exists, explained, shown_name, sync_folder, write
from src.landmarks.tags import Tags
from src.photos.begin_sidecar import begin
from src.photos.containers import MAX_BLOCK
from src.photos.decode import OpenedPhoto, open_photo
from src.photos.errors import MetadataError
from src.photos.exif_edit import with_position
from src.photos.files import read_photo_file
from src.photos.iptc_edit import with_keywords
from src.photos.packet import Packet
from src.photos.put_together import c2pa_parts, put_together
from src.photos.read_metadata import said_by
from src.photos.sidecar_names import EXTENSION, extension_to_name
from src.photos.strip import picture_parts
from src.photos.xmp import ADDED, CREATED, NAMESPACES, in_utf8
from src.photos.xmp_edit import EMPTY, add, add_to_sidecar, digest, former, remove

_SEAL = "landmarkTagger:Seal"  # SHA-256 of the copy with zeros in this place
_UNSEALED = "0" * 64


def write_sidecar(photo: str | Path, path: Path, tags: Tags, *, data: bytes | None = None) -> None:
    """Write tags into a photo's sidecar, in the place of those that were written before.

    Args:
        photo: the photo.
        path: its sidecar as `sidecar_names.find_sidecar` gives it, which is added to or made.
        tags: what to say.
        data: the photo's bytes, where they were read already.

    Raises:
        FileError: the photo or the sidecar cannot be read, or the sidecar cannot be written.
        PhotoError: the photo is none.
        MetadataError: the sidecar is no XMP, or more of it than is read.
    """
    photo = Path(photo)
    data = read_photo_file(photo) if data is None else data
    old = read_photo_file(path) if exists(path) else None
    extension = extension_to_name(path, photo)
    new = sidecar(data, tags, old, name=photo.name, old_name=path.name, extension=extension)
    if new != old:
        write(path, new, replace=old is not None)


def undo_sidecar(path: Path) -> bool:
    """Remove from a sidecar what `write_sidecar` added.

    One that nobody changed since gets its former bytes back, or goes if it was not there before. Where the
    path is a link, that is of the file that it leads to; the link itself stays.

    Returns:
        Whether there was anything to remove.

    Raises:
        FileError, MetadataError: it cannot be read or written.
    """
    if not exists(path):
        return False
    data = read_photo_file(path)
    rest = undone(data, path.name)
    if rest is None:
        real = Path(os.path.realpath(path))  # what `write` wrote
        with explained(path, "deleted"):
            real.unlink()
            sync_folder(real)
    elif rest != data:
        write(path, rest, replace=True)
    return rest != data


def undone(data: bytes, name: str) -> bytes | None:
    """A sidecar less what `sidecar` added; None where it was made here and holds nothing else.

    Raises:
        MetadataError: tags were written here into what is no XMP any more, or more of it than is read.
    """
    if NAMESPACES["landmarkTagger"].encode() not in in_utf8(data):
        return data
    rest = former(data, name)
    created = Packet(data, name).values(CREATED)
    as_begun = created and in_utf8(rest) and (Packet(rest, name).empty or created[0] == digest(rest))
    return None if as_begun else rest


def write_copy(
    photo: str | Path,
    copy: str | Path,
    tags: Tags,
    *,
    replace: bool = False,
    drop_c2pa: bool = False,
    data: bytes | None = None,
) -> None:
    """Write a copy of a photo with tags inside, as `embed` makes it, with the photo's own date.

    Args:
        photo: the photo.
        copy: the file to write; it must not exist yet, unless it is to be replaced.
        tags: what to say.
        replace: put it in the place of an older copy, which stays until the new one is whole.
        drop_c2pa: leave out Content Credentials.
        data: the photo's bytes, where they were read already.

    Raises:
        PhotoError, MetadataError: the photo takes no tags, or what is to be replaced is no unchanged copy.
        FileError: the photo cannot be read, or the copy exists or cannot be written.
    """
    photo, copy = Path(photo), Path(copy)
    data = read_photo_file(photo) if data is None else data
    tagged = embed(data, tags, name=photo.name, drop_c2pa=drop_c2pa)
    if replace:
        _check_own_copy(copy)
    write(copy, tagged, replace=replace)
    with suppress(OSError):  # many programs take a file's date for that of a photo that says none
        time = photo.stat().st_mtime_ns
        os.utime(copy, ns=(time, time))


def undo_copy(copy: str | Path) -> None:
    """Delete a copy that `write_copy` made, provided that nobody changed it since.

    Raises:
        FileError: the file cannot be read or deleted.
        PhotoError, MetadataError: it is no such copy, or was changed.
    """
    copy = Path(copy)
    _check_own_copy(copy)
    with explained(copy, "deleted"):
        copy.unlink()
        sync_folder(copy)


def _check_own_copy(copy: Path) -> None:
    """Raise MetadataError unless the file is a copy that was written here and that nobody changed."""
    name = shown_name(copy.name)
    data = read_photo_file(copy)
    opened = open_photo(data, name)
    packet = opened.xmp
    seal = next(iter(Packet(packet, name).values(_SEAL)), None) if packet else None
    if seal is None:
        raise MetadataError(f"{name} is no copy that was written here; it stays as it is.")
    unsealed = put_together(data, opened.format, xmp=packet.replace(seal.encode(), _UNSEALED.encode()))
    if seal != hashlib.sha256(unsealed).hexdigest():
        raise MetadataError(
            f"{name} was changed since it was written; delete it yourself if it is not needed."
        )


def sidecar(
    photo: bytes,
    tags: Tags,
    old: bytes | None = None,
    *,
    name: str = "photo",
    old_name: str = "sidecar",
    extension: str = "",
) -> bytes:
    """A sidecar with these tags for a photo file.

    A new or an empty one begins with what people wrote into the photo (`begin_sidecar`). One that says
    something gets nothing that the photo says itself (a description, a place) but its keywords, and those
    only where it has none: some programs read no others where there is a sidecar (PhotoPrism, for one).

    Args:
        photo: the whole photo file.
        tags: what to say.
        old: the sidecar so far, all of which stays but for what was written here before.
        name: the photo's name, used in messages only.
        old_name: the sidecar's name, likewise.
        extension: what a new sidecar says that it is for, "jpg"; empty where its name does.

    Raises:
        PhotoError: the photo is none.
        MetadataError: `old` is no XMP, or it or the sidecar would be more of it than is read.
    """
    opened = open_photo(photo, name)
    known = said_by(opened)
    named = {EXTENSION: extension} if extension else {}
    rest = None if old is None else undone(old, old_name)
    if old is not None and rest is not None and in_utf8(rest):
        marks = {CREATED: "True", **named} if Packet(old, old_name).values(CREATED) else {}
        return add_to_sidecar(rest, tags, known, old_name, marks)

    def begun(packet: bytes) -> bytes:
        if rest is not None:  # empty, and to be had back
            return add_to_sidecar(rest, tags, known, old_name, {}, packet)
        draft = add(packet, tags, known, old_name, {CREATED: _UNSEALED, **named})
        left = digest(remove(draft, old_name))
        created = "True" if packet == EMPTY else left
        return add(packet, tags, known, old_name, {CREATED: created, **named})

    for packet in (begin(opened, known, name), EMPTY):
        with suppress(MetadataError):  # with tags it would be more than is read again
            return begun(packet)
    raise MetadataError(f"{shown_name(name)} has more keywords than a sidecar takes; take some out of it.")


def embed(photo: bytes, tags: Tags, name: str = "photo", *, drop_c2pa: bool = False) -> bytes:
    """A copy of a JPEG, PNG or WebP file with tags as XMP and, where it has room, EXIF coordinates and IPTC.

    Nothing is encoded anew or moved within its block; that every bit of the picture came through is checked.
    A seal in the copy tells later whether it was changed.

    Args:
        photo: the whole photo file.
        tags: what to say.
        name: the photo's name, used in messages only.
        drop_c2pa: leave out Content Credentials, which fit no changed file.

    Raises:
        PhotoError: the file is no photo.
        MetadataError: it is of another format, has such credentials, or XMP too broken or large.
    """
    name = shown_name(name)
    opened = open_photo(photo, name)
    pixels = picture_parts(photo, opened)
    if not drop_c2pa and c2pa_parts(photo, opened.format):
        raise MetadataError(
            f"{name} holds Content Credentials (C2PA), which fit no changed file: write a sidecar instead, "
            "or leave them out (--drop-c2pa)."
        )
    packet = add(_embedded_by_others(opened, name), tags, said_by(opened), name, {_SEAL: _UNSEALED})
    added = Packet(packet, name).values(ADDED)
    words = [entry[len("dc:subject=") :] for entry in added if entry.startswith("dc:subject=")]
    located = any(entry.startswith("exif:GPSLatitude=") for entry in added)
    blocks = {
        "exif": _with_position(opened.exif_block, tags) if located else b"",
        "iptc": with_keywords(opened.iptc, words) if opened.format == "JPEG" else b"",
    }

    def sealed(seal: str) -> bytes:
        xmp = packet.replace(_UNSEALED.encode(), seal.encode())
        return put_together(photo, opened.format, xmp=xmp, **blocks, without_c2pa=drop_c2pa)

    try:
        copy = sealed(hashlib.sha256(sealed(_UNSEALED)).hexdigest())
    except ValueError as error:
        raise MetadataError(f"{name} cannot take tags inside ({error}); write a sidecar instead.") from error
    reopened = open_photo(copy, name)
    if picture_parts(copy, reopened) != pixels or reopened.orientation != opened.orientation:
        raise MetadataError(f"{name} cannot take tags without harm to the picture; write a sidecar instead.")
    return copy


def _with_position(exif: bytes, tags: Tags) -> bytes:
    """The EXIF block with coordinates; empty, which leaves the old one, where it is too broken or large."""
    try:
        return with_position(exif, tags) if len(exif) <= MAX_BLOCK else b""
    except ValueError:
        return b""


def _embedded_by_others(photo: OpenedPhoto, name: str) -> bytes:
    """The photo's XMP packet, or a new one, without what was written here."""
    try:
        return remove(photo.xmp or EMPTY, name)
    except MetadataError as error:
        raise MetadataError(f"{name} holds XMP that cannot be read; write a sidecar instead.") from error
