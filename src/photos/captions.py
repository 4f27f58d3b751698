"""What cameras write where people write captions: it counts as nothing.

The names are those that PhotoPrism (`internal/meta/sanitize.go`, UnwantedDescriptions) and KPhotoAlbum
(`commentsToStrip`) pass over, and those of their sisters by Minolta, Nikon and LG.
"""

from __future__ import annotations

import re

from src.photos.xmp import CAPTIONS

CAPTION = "dc:description"

_CAMERAS = {
    *("olympus digital camera", "konica minolta digital camera", "minolta digital camera", "minolta dsc"),
    *("jenoptik digital camera", "nikon digital camera", "lg digital camera", "digital camera", "sony dsc"),
    *("samsung", "samsung camera pictures", "<digimax i5, samsung #1>", "scanner", "dvc 10.1 hdmi", "dcim"),
    *("exif_jpeg_picture", "default", "binary comment", "charset=ascii", "created by imlib", "iclarified"),
}
_HUAWEI = {  # its modes; in these letters only, as people may write "Mon"
    *("rhdr", "hdrpl", "oznorWO", "oznor", "frontbhdp", "fbt", "rbt", "ptr", "fbthdr", "btr", "mon", "nor"),
    *("dav", "mde", "mde_soft", "edf", "btfmdn", "btf", "btfhdr", "frem", "rpt", "burst", "sdr_HDRB"),
    *("cof", "qrf", "fshbty"),
}
_PATH = re.compile(r"dcim[\\/]\S*")  # DJI and GoPro


def says_something(key: str, text: str) -> bool:
    """Whether the value of a property says anything; no camera's words do in a caption."""
    text = " ".join(text.split())
    if key not in (CAPTION, *CAPTIONS):
        return bool(text)
    plain = text.casefold()
    return bool(text) and not (plain in _CAMERAS or text in _HUAWEI or _PATH.fullmatch(plain))
