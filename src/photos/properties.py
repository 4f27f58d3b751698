"""What tags say in XMP: which properties, for the programs that read them.

Immich, digiKam and darktable read a tree of tags alone where there is one; Lightroom and PhotoPrism also read
plain keywords.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from src.landmarks.tags import Tags, clean
from src.photos.xmp import ESTIMATE, coordinate

_TREE, _OTHER_TREE = "digiKam:TagsList", "lr:hierarchicalSubject"
_MAX_STEPS = 20  # of a path in which a keyword is looked for: all parts of a long one would be too much
LISTS = ("dc:subject", _TREE, _OTHER_TREE)


def lists(tags: Tags, there: Mapping[str, list[str]]) -> dict[str, tuple[str, list[str], list[str]]]:
    """The properties that are lists: their kind, what to have in them, and what else in a new one.

    `there` is what photo and sidecar say of each so far. As some programs read a tree alone, every keyword
    also ends a path, and a new tree also holds the keywords and the other tree that were there before.
    """
    words = [clean(word) for word in tags.keywords]
    paths = _with_words([clean(path) for path in tags.paths], words)
    older = [*there[_TREE], *(_step(path).replace("|", "/") for path in there[_OTHER_TREE])]
    others = [p for p in _with_words([*older, *paths], there["dc:subject"]) if p and p not in paths]
    return {
        "dc:subject": ("Bag", words, []),
        _TREE: ("Seq", paths, others),
        _OTHER_TREE: ("Bag", list(map(_for_lightroom, paths)), list(map(_for_lightroom, others))),
    }


def _with_words(paths: list[str], words: Iterable[str]) -> list[str]:
    """The paths, and for each word that ends none the part of a path up to it, or the word by itself."""
    paths = list(paths)
    last_steps = {path.rpartition("/")[2].casefold() for path in paths}
    parts: dict[str, str] = {}  # by each step the first path up to it
    for path in paths:
        steps = path.split("/", _MAX_STEPS)[:_MAX_STEPS]
        for number, step in enumerate(steps, 1):
            parts.setdefault(step.casefold(), "/".join(steps[:number]))
    for word in map(_step, words):
        if word.casefold() not in last_steps:
            last_steps.add(word.casefold())
            paths.append(parts.get(word.casefold(), word))
    return paths


def _step(word: str) -> str:
    """The word as one step of a path that "/" parts."""
    return word.replace("/", "-")


def _for_lightroom(path: str) -> str:
    return path.replace("|", "-").replace("/", "|")


def texts(tags: Tags, taken: Callable[[str], bool]) -> dict[str, str]:
    """The properties of one value, without those that would stand beside what is `taken`."""
    texts: dict[str, str] = {}
    if not taken("photoshop:City") and not taken("photoshop:Country"):
        texts |= {"photoshop:City": clean(tags.city), "photoshop:Country": clean(tags.country)}
    if not taken("dc:description"):
        texts["dc:description"] = clean(". ".join(filter(None, (tags.caption, tags.notice))))
    free = not taken("exif:GPSLatitude") and not taken("exif:GPSLongitude")
    if free and tags.latitude is not None and tags.longitude is not None:
        texts["exif:GPSLatitude"] = coordinate(tags.latitude, "NS", tags.radius_m)
        texts["exif:GPSLongitude"] = coordinate(tags.longitude, "EW", tags.radius_m)
        texts["exif:GPSMapDatum"] = "WGS-84"
        texts["exif:GPSProcessingMethod"] = ESTIMATE
        if tags.radius_m is not None:
            texts["exif:GPSHPositioningError"] = f"{max(1, round(tags.radius_m))}/1"
    return {key: text for key, text in texts.items() if text}


def new_ones(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """What is wanted and not there yet; large and small letters are alike."""
    seen, new = {item.casefold() for item in there} | {""}, []
    for item in wanted:
        if item.casefold() not in seen:
            seen.add(item.casefold())
            new.append(item)
    return new
