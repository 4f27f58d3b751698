"""Tags in files: XMP sidecars beside photos, copies of photos with tags inside, and the way back.

A photo's own file is only ever read. Copies are written by exiv2 (GPL), which is loaded only then; sidecars
need nothing but Python and Pillow.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from src.files import exists, explained, shown_name, sync_folder, write
from src.landmarks.tags import Tags
from src.photos.containers import MAX_BLOCK
from src.photos.decode import OpenedPhoto, open_photo
from src.photos.errors import MetadataError
from src.photos.files import read_photo_file
from src.photos.read_metadata import said_by
from src.photos.strip import picture_parts
from src.photos.xmp import ADDED, CREATED, ESTIMATE, NAMESPACES
from src.photos.xmp_edit import EMPTY, Packet, add, new_ones, remove

# Photos that may share a sidecar IMG_1.xmp with others of their name, raw ones among them.
_PHOTO_SUFFIX = re.compile(
    r"\.(jpe?g?|jfif|png|webp|gif|bmp|hei[cf]|hif|avif|tiff?|psd|dng|cr[23w]|nef|nrw|arw|sr[2fw]|orf|raf|rw2|pef|x3f|3fr|iiq|raw)",
    re.IGNORECASE,
)
_SEAL = "landmarkTagger:Seal"  # SHA-256 of the copy with zeros in this place
_UNSEALED = "0" * 64
_EXIV2 = threading.Lock()  # its XMP part keeps global tables that are not safe in threads


def write_sidecar(photo: str | Path, path: Path, tags: Tags) -> None:
    """Write tags into a photo's sidecar, in the place of those that were written before.

    Args:
        photo: the photo.
        path: its sidecar as `find_sidecar` gives it, which is added to or made.
        tags: what to say.

    Raises:
        FileError: the photo or the sidecar cannot be read, or the sidecar cannot be written.
        PhotoError: the photo is none.
        MetadataError: the sidecar is no XMP in UTF-8, or more of it than is read.
    """
    photo = Path(photo)
    data = read_photo_file(photo)
    old = read_photo_file(path) if exists(path) else None
    new = sidecar(data, tags, old, name=photo.name, old_name=path.name)
    if new != old:
        write(path, new, replace=old is not None)


def find_sidecar(photo: str | Path) -> Path:
    """The photo's sidecar: IMG_1.jpg.xmp, an existing IMG_1.xmp, or the first if neither is there yet.

    IMG_1.xmp is taken only where it is the photo's: it names the photo's extension
    (photoshop:SidecarForExtension), or names none and no other photo is called IMG_1.

    Raises:
        FileError, MetadataError: an IMG_1.xmp cannot be read.
    """
    photo = Path(photo)
    own, shared = _sidecar_names(photo)
    for path in filter(exists, own):
        return path
    for path in filter(exists, shared):
        if _belongs(path, photo):
            return path
    return own[0]


def undo_sidecar(path: Path) -> bool:
    """Remove from a sidecar what `write_sidecar` added.

    One that nobody changed since gets its former bytes back, or goes if it was not there before.

    Returns:
        Whether there was anything to remove.

    Raises:
        FileError, MetadataError: it cannot be read or written.
    """
    if not exists(path):
        return False
    data = read_photo_file(path)
    if NAMESPACES["landmarkTagger"].encode() not in data:
        return False
    rest = remove(data, path.name)
    if Packet(data, path.name).values(CREATED) and Packet(rest, path.name).empty:
        with explained(path, "deleted"):
            path.unlink()
            sync_folder(path)
    elif rest != data:
        write(path, rest, replace=True)
    return rest != data


def write_copy(photo: str | Path, copy: str | Path, tags: Tags, *, replace: bool = False) -> None:
    """Write a copy of a photo with tags inside, as `embed` makes it.

    Args:
        photo: the photo.
        copy: the file to write; it must not exist yet, unless it is to be replaced.
        tags: what to say.
        replace: put it in the place of an older copy, which stays until the new one is whole.

    Raises:
        PhotoError, MetadataError: the photo takes no tags, or what is to be replaced is no unchanged copy.
        FileError: the photo cannot be read, or the copy exists or cannot be written.
    """
    photo, copy = Path(photo), Path(copy)
    data = embed(read_photo_file(photo), tags, name=photo.name)
    if replace:
        _check_own_copy(copy)
    write(copy, data, replace=replace)


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
    packet = open_photo(data, name).xmp
    seal = next(iter(Packet(packet, name).values(_SEAL)), None) if packet else None
    if seal is None:
        raise MetadataError(f"{name} is no copy that was written here; it stays as it is.")
    if seal != _seal_of(data, packet.replace(seal.encode(), _UNSEALED.encode()), name):
        raise MetadataError(
            f"{name} was changed since it was written; delete it yourself if it is not needed."
        )


def _sidecar_names(photo: Path) -> tuple[list[Path], list[Path]]:
    """What the photo's own sidecar and one shared by all photos of its name may be called."""
    own, shared = ([photo.with_name(base + s) for s in (".xmp", ".XMP")] for base in (photo.name, photo.stem))
    return own, shared


def _belongs(sidecar: Path, photo: Path) -> bool:
    """Whether IMG_1.xmp is the sidecar of this IMG_1.* and not of another."""
    extensions = Packet(read_photo_file(sidecar), sidecar.name).values("photoshop:SidecarForExtension")
    if extensions:
        return f".{extensions[0]}".casefold() == photo.suffix.casefold()
    with explained(photo.parent, "read"):
        return not any(
            other.stem == photo.stem and other.name != photo.name and _PHOTO_SUFFIX.fullmatch(other.suffix)
            for other in photo.parent.iterdir()
        )


def sidecar(
    photo: bytes, tags: Tags, old: bytes | None = None, *, name: str = "photo", old_name: str = "sidecar"
) -> bytes:
    """A sidecar with these tags for a photo file.

    What the photo holds already (coordinates, a description, a place) is not said again by us. Its keywords
    are repeated: some programs read no others where there is a sidecar (PhotoPrism, for one).

    Args:
        photo: the whole photo file.
        tags: what to say.
        old: the sidecar so far, all of which stays but for what was written here before.
        name: the photo's name, used in messages only.
        old_name: the sidecar's name, likewise.

    Raises:
        PhotoError: the photo is none.
        MetadataError: `old` is no XMP in UTF-8, or more of it than is read.
    """
    known = said_by(open_photo(photo, name))
    if old is None:
        return add(EMPTY, tags, known, old_name, {CREATED: "True"})
    created = {CREATED: "True"} if Packet(old, old_name).values(CREATED) else {}
    return add(remove(old, old_name), tags, known, old_name, created)


def embed(photo: bytes, tags: Tags, name: str = "photo") -> bytes:
    """A copy of a JPEG, PNG or WebP file with tags as XMP, EXIF coordinates and, in a JPEG, IPTC keywords.

    The picture is not encoded anew; that every bit of it came through is checked. A seal in the copy tells
    later whether it was changed.

    Raises:
        PhotoError: the file is no photo.
        MetadataError: it is of another format, its metadata is too broken or large, or exiv2 is missing.
    """
    name = shown_name(name)
    opened = open_photo(photo, name)
    pixels = picture_parts(photo, opened)
    if max(len(opened.exif_block), len(opened.iptc)) > MAX_BLOCK:
        raise MetadataError(f"{name} holds too much metadata to be rewritten; write a sidecar instead.")
    packet = add(_embedded_by_others(opened, name), tags, said_by(opened), name, {_SEAL: _UNSEALED})
    added = Packet(packet, name).values(ADDED)
    copy = _rewrite(photo, packet, name, tags, added)
    copy = _rewrite(copy, packet.replace(_UNSEALED.encode(), _seal_of(copy, packet, name).encode()), name)
    reopened = open_photo(copy, name)
    if picture_parts(copy, reopened) != pixels or reopened.orientation != opened.orientation:
        raise MetadataError(f"{name} cannot take tags without harm to the picture; write a sidecar instead.")
    return copy


def _embedded_by_others(photo: OpenedPhoto, name: str) -> bytes:
    """The photo's XMP packet, or a new one, without what was written here."""
    try:
        return remove(photo.xmp or EMPTY, name)
    except MetadataError as error:
        raise MetadataError(f"{name} holds XMP that cannot be read; write a sidecar instead.") from error


def _rewrite(
    photo: bytes, packet: bytes, name: str, tags: Tags | None = None, added: Iterable[str] = ()
) -> bytes:
    """The photo with this XMP packet; with tags also their EXIF coordinates and IPTC keywords if `added`."""
    try:
        import exiv2
    except ImportError as error:
        raise MetadataError(f"{name} cannot get tags inside: install exiv2, or write a sidecar.") from error
    with _EXIV2, _exiv2_errors() as errors:
        try:
            image = exiv2.ImageFactory.open(photo)
            image.readMetadata()
            if tags and any(entry.startswith("exif:GPSLatitude=") for entry in added):
                _set_gps(image.exifData(), tags)
            if image.mimeType() == "image/jpeg":  # exiv2 cannot read IPTC back from PNG; WebP has none
                _add_keywords(exiv2, image.iptcData(), [e[11:] for e in added if e.startswith("dc:subject=")])
            image.setXmpPacket(packet.decode())
            image.writeXmpFromPacket(True)
            image.writeMetadata()
            result = _bytes(image.io())
        except exiv2.Exiv2Error as error:
            errors.append(error.message)
            result = b""
    if errors:  # what it could not read it would not write back
        raise MetadataError(f"{name} cannot take tags inside ({errors[0]}); write a sidecar instead.")
    return result


def _bytes(file) -> bytes:
    file.open()
    try:
        return bytes(file.mmap())
    finally:
        file.munmap()
        file.close()


class _Collector(logging.Handler):
    """Puts the messages of errors into a list, and those of warnings nowhere."""

    def __init__(self, errors: list[str]):
        super().__init__(logging.WARNING)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self._errors.append(record.getMessage())


@contextmanager
def _exiv2_errors() -> Iterator[list[str]]:
    """Collect what exiv2 reports as errors, through Python's logging, and keep it off the terminal."""
    errors: list[str] = []
    handler = _Collector(errors)
    log = logging.getLogger("exiv2")
    propagate = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield errors
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def _set_gps(exif, tags: Tags) -> None:
    if tags.latitude is None or tags.longitude is None:
        return
    texts = {"VersionID": "2 3 0 0", "MapDatum": "WGS-84", "ProcessingMethod": f"charset=Ascii {ESTIMATE}"}
    for axis, degrees, letters in (("Latitude", tags.latitude, "NS"), ("Longitude", tags.longitude, "EW")):
        minutes, seconds = divmod(round(abs(degrees) * 36_000_000), 600_000)  # 1/10,000″: 3 mm
        texts[f"{axis}Ref"] = letters[degrees < 0]
        texts[axis] = f"{minutes // 60}/1 {minutes % 60}/1 {seconds}/10000"
    if tags.radius_m is not None:
        texts["HPositioningError"] = f"{max(1, round(tags.radius_m))}/1"
    for name, text in texts.items():
        key = f"Exif.GPSInfo.GPS{name}"
        while key in exif:  # exiv2 crashes at a new value for an entry whose old one it could not read
            del exif[key]
        exif[key] = text


def _add_keywords(exiv2, iptc, words: list[str]) -> None:
    """IPTC keywords (at most 64 bytes each), unless older ones are in another character set than UTF-8."""
    if iptc.detectCharset() not in ("ASCII", "UTF-8"):
        return
    key = "Iptc.Application2.Keywords"
    there = [datum.toString() for datum in iptc if datum.key() == key]
    for word in new_ones(words, there):
        if len(word.encode()) <= 64:
            iptc.add(exiv2.IptcKey(key), exiv2.StringValue(word))
    if not iptc.empty():
        iptc["Iptc.Envelope.CharacterSet"] = "\x1b%G"  # UTF-8 (ISO 2022)


def _seal_of(copy: bytes, unsealed: bytes, name: str) -> str:
    """What the seal in a copy must be: the hash of the copy with zeros in its place, as in this packet."""
    return hashlib.sha256(_rewrite(copy, unsealed, name)).hexdigest()
