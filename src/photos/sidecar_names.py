"""Which sidecar is a photo's: IMG_1.jpg.xmp, as darktable and digiKam call it, or IMG_1.xmp as Adobe does.

IMG_1.xmp may be that of any IMG_1: of a raw photo beside its JPEG, or of another picture. A film beside a
photo is that of a Live Photo, which Apple's Photos exports with one IMG_1.xmp for both; programs that show
them as one (PhotoPrism, Immich) take it for the photo's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Literal, get_args

from src.files import exists, explained
from src.photos.files import read_photo_file
from src.photos.packet import Packet
from src.photos.xmp import in_utf8

Naming = Literal["auto", "ext", "stem"]
NAMINGS: tuple[Naming, ...] = get_args(Naming)
EXTENSION = "photoshop:SidecarForExtension"

_RAW = re.compile(r"\.(dng|cr[23w]|nef|nrw|arw|sr[2fw]|orf|raf|rw2|pef|x3f|3fr|iiq|raw)", re.IGNORECASE)
_PHOTO = re.compile(
    rf"\.(jpe?g?|jfif|png|webp|gif|hei[cf]|hif|avif|tiff?|psd|bmp|jxl)|{_RAW.pattern}", re.IGNORECASE
)


Listing = Callable[[Path], Mapping[str, Sequence[str]]]  # of a folder, as `photos_in` gives it


def photos_in(folder: Path) -> Mapping[str, Sequence[str]]:
    """The photos in a folder, by their names: for each IMG_1 the endings, as ".jpg"; FileError if closed."""
    suffixes = defaultdict[str, list[str]](list)
    with explained(folder, "read"):
        for path in folder.iterdir():
            if _PHOTO.fullmatch(path.suffix):
                suffixes[path.stem].append(path.suffix)
    return suffixes


def listed_once() -> Listing:
    """`photos_in` for one run, which lists a folder once, as a list of 100,000 files takes its time.

    Sidecars are not in it, so what the run writes makes it no older. Any number of threads may use it.
    """
    listed, lock = lru_cache(maxsize=8)(photos_in), Lock()  # more than one, as folders below come in between

    def listing(folder: Path) -> Mapping[str, Sequence[str]]:
        with lock:  # or all threads that ask for a folder at first would list it
            return listed(folder)

    return listing


def find_sidecar(photo: str | Path, naming: Naming = "auto", listing: Listing = photos_in) -> Path:
    """The photo's sidecar, whether it is there yet or not.

    Args:
        photo: the photo.
        naming: "ext" for IMG_1.jpg.xmp; "stem" for IMG_1.xmp where it is this photo's, else the former;
            "auto" for the former, unless only an IMG_1.xmp is there and it is this photo's alone.
        listing: gives the photos beside it; `listed_once` where many are asked for.

    Raises:
        FileError, MetadataError: an IMG_1.xmp cannot be read.
    """
    photo = Path(photo)
    own, shared = _names(photo)
    if naming == "stem" or (naming == "auto" and not exists(own) and exists(shared)):
        return shared if _belongs(shared, photo, listing, adobe=naming == "stem") else own
    return own


def extension_to_name(sidecar: Path, photo: Path) -> str:
    """What a new sidecar should say that it is for: "jpg", where its own name does not."""
    return photo.suffix[1:] if sidecar.stem == photo.stem else ""


def _names(photo: Path) -> tuple[Path, Path]:
    """IMG_1.jpg.xmp and IMG_1.xmp, in capitals where only such a one is there."""

    def spelled(base: str) -> Path:
        small, large = (photo.with_name(base + suffix) for suffix in (".xmp", ".XMP"))
        return large if not exists(small) and exists(large) else small

    return spelled(photo.name), spelled(photo.stem)


def _belongs(sidecar: Path, photo: Path, listing: Listing, *, adobe: bool) -> bool:
    """Whether IMG_1.xmp is the sidecar of this IMG_1.* by what it says, else as there is no other.

    For Adobe's programs a JPEG beside a raw photo is none. What is called like the sidecar of IMG_1.CR2 is no
    other's, so not that of IMG_1.CR2.jpg, as converters call what they make of it.
    """
    data = in_utf8(read_photo_file(sidecar)) if exists(sidecar) else b""
    if data and (extensions := Packet(data, sidecar.name).values(EXTENSION)):
        named = f".{extensions[0]}"
        alike = named.casefold() == photo.suffix.casefold()
        return named == photo.suffix or (alike and not any(_spelled_otherwise(photo, listing)))
    photos, inner = listing(photo.parent), Path(photo.stem)
    if inner.suffix in photos.get(inner.stem, ()):
        return False
    rivals = _RAW if adobe and _RAW.fullmatch(photo.suffix) else _PHOTO
    suffixes = photos.get(photo.stem, ())
    return not any(rivals.fullmatch(suffix) for suffix in suffixes if suffix != photo.suffix)


def _spelled_otherwise(photo: Path, listing: Listing) -> Iterator[str]:
    """The endings of IMG_1.JPG and the like, where systems tell these from IMG_1.jpg."""
    for suffix in listing(photo.parent).get(photo.stem, ()):
        if suffix != photo.suffix and suffix.casefold() == photo.suffix.casefold():
            yield suffix
