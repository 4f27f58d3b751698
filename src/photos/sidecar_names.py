"""Which sidecar is a photo's: IMG_1.jpg.xmp, as darktable and digiKam call it, or IMG_1.xmp as Adobe does.

IMG_1.xmp may be that of any IMG_1: of a raw photo beside its JPEG, or of another picture. A film beside a
photo is that of a Live Photo, which Apple's Photos exports with one IMG_1.xmp for both; programs that show
them as one (PhotoPrism, Immich) take it for the photo's.
"""

from __future__ import annotations

import re
from pathlib import Path
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


def find_sidecar(photo: str | Path, naming: Naming = "auto") -> Path:
    """The photo's sidecar, whether it is there yet or not.

    Args:
        photo: the photo.
        naming: "ext" for IMG_1.jpg.xmp; "stem" for IMG_1.xmp where it is this photo's, else the former;
            "auto" for the former, unless only an IMG_1.xmp is there and it is this photo's alone.

    Raises:
        FileError, MetadataError: an IMG_1.xmp cannot be read.
    """
    photo = Path(photo)
    own, shared = _names(photo)
    if naming == "stem":
        return shared if _belongs(shared, photo, adobe=True) else own
    if naming == "auto" and not exists(own) and exists(shared) and _belongs(shared, photo, adobe=False):
        return shared
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


def _belongs(sidecar: Path, photo: Path, *, adobe: bool) -> bool:
    """Whether IMG_1.xmp is the sidecar of this IMG_1.* by what it says, else as there is no other.

    For Adobe's programs a JPEG beside a raw photo is none.
    """
    data = in_utf8(read_photo_file(sidecar)) if exists(sidecar) else b""
    if data and (extensions := Packet(data, sidecar.name).values(EXTENSION)):
        return f".{extensions[0]}".casefold() == photo.suffix.casefold()
    with explained(photo.parent, "read"):
        others = [o for o in photo.parent.iterdir() if o.stem == photo.stem and o.name != photo.name]
    rivals = _RAW if adobe and _RAW.fullmatch(photo.suffix) else _PHOTO
    return not any(rivals.fullmatch(other.suffix) for other in others)
