"""Teach landmarks of a person's own: their photos become examples in the file of own landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

from src.files import exists, printable, read, shown_name, write
from src.inference.answers import Answering
from src.inference.own import Example, Fit, Own, OwnError, Taught, called
from src.inference.own_file import (
    LONGEST,
    MOST_EXAMPLES,
    changing,
    check_space,
    load_any,
    load_own,
    save_own,
)
from src.inference.report import failure
from src.inference.teaching import see
from src.landmarks.evidence import Taken, middle_of, out_of_sight
from src.landmarks.table import Landmark
from src.landmarks.tags import clean
from src.library.decisions import Names
from src.library.read_ahead import in_threads
from src.photos.files import find_photos, read_photo_file
from src.progress import Tally

Known = Literal["", "add", "replace"]  # what to do with a landmark that was taught before


class UnreadableError(OwnError):
    """None of the photos can be read."""


@dataclass(frozen=True)
class Facts:
    """What a person says of a landmark; empty or None where nothing is said.

    Attributes:
        position: latitude and longitude, degrees (WGS84).
    """

    position: tuple[float, float] | None = None
    tags: tuple[str, ...] = ()
    city: str = ""
    country: str = ""


@dataclass(frozen=True)
class Learned:
    """What became of a lesson.

    Attributes:
        taught: the landmark with all its examples.
        fit: how well it is known now.
        built_in: whether the export knows it without them.
        placed: how many photos its position was taken from.
        far: names of photos that were taken where it cannot be seen from.
        copies: how many photos were passed over, as there are others of the same content.
        elsewhere: own landmarks that were taught with one of these photos, too.
        unreadable: a sentence on each photo that cannot be read.
    """

    taught: Taught
    fit: Fit
    built_in: bool
    placed: int
    far: tuple[str, ...]
    copies: int
    elsewhere: tuple[str, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class Renewed:
    """What became of the landmarks of another export.

    Attributes:
        whole: names of those that are as they were.
        less: of those that have lost photos which are no longer where they were.
        gone: of those that have lost all; they are only in the file `kept`.
        kept: what was in the file before; None where nothing was lost.
    """

    whole: tuple[str, ...]
    less: tuple[str, ...]
    gone: tuple[str, ...]
    kept: Path | None


@dataclass(frozen=True)
class _Looked:
    example: Example
    taken: Taken


def teach(
    into: Path, name: str, photos: Sequence[Path], facts: Facts, known: Known, predictor: Answering
) -> Learned:
    """Teach one landmark, and put it into the file.

    Args:
        into: the file; it is begun if need be.
        name: of the landmark. That of a built-in one teaches this one better.
        photos: files, and folders of photos.
        facts: of the landmark. Without a position, a new one is put in the middle of its photos' own.
        known: what to do where the file has the landmark already.
        predictor: looks at the photos.

    Raises:
        OwnError: it cannot be taught like this; nothing was changed.
        FileError: the file cannot be read or written; nothing was changed.
    """
    check_space(predictor.space_id)
    name = _checked(name, facts)
    files, unreadable = _files(photos)
    with changing(into):
        taught = load_own(into, predictor.space_id) if exists(into) else {}
        built_in = _find(name, predictor.landmarks)
        before = _before(built_in.name if built_in else name, taught, known)
        if before and known == "replace":
            del taught[before.landmark.name]
            before = None
        landmark = _described(before, built_in, name, facts)
        kept = before.examples if before else ()
        if len(files) > MOST_EXAMPLES:  # else `save_own` says so, once copies count once
            raise OwnError(
                f"These are {len(files):,} photos: give {landmark.name} at most {MOST_EXAMPLES}, the most "
                "different ones."
            )
        looked, failed = _look_at(files, predictor)
        unreadable += failed
        if not looked:
            raise UnreadableError(f"Nothing can be learned from these photos: {unreadable[0]}")
        landmark, placed = _placed(landmark, [] if built_in else [one.taken for one in looked])
        examples = {one.content: one for one in (*kept, *(one.example for one in looked))}
        others = {name: one for name, one in taught.items() if name != landmark.name}
        taught = {**taught, landmark.name: Taught(landmark, tuple(examples.values()))}
        save_own(into, taught, predictor.space_id)
    own = Own.beside(predictor, taught)
    return Learned(
        taught[landmark.name],
        own.fit(landmark.name),
        built_in is not None,
        placed,
        _too_far(looked, built_in or landmark),
        len(kept) + len(looked) - len(examples),
        tuple(name for name, one in others.items() if any(e.content in examples for e in one.examples)),
        tuple(unreadable),
    )


def _too_far(looked: Sequence[_Looked], landmark: Landmark) -> tuple[str, ...]:
    names = called([one.example for one in looked])
    pairs = zip(looked, names, strict=True)
    return tuple(name for one, name in pairs if out_of_sight(one.taken, landmark))


def forget(into: Path, name: str) -> Taught:
    """Take a landmark out of the file, and return what it was; raises OwnError and FileError."""
    _check_there(into)
    with changing(into):
        export, taught = load_any(into)
        landmark = _find(name, [one.landmark for one in taught.values()])
        if landmark is None:
            raise OwnError(
                f"{into.name} has no landmark {printable(name[:LONGEST])}: see what it has with --list."
            )
        forgotten = taught.pop(landmark.name)
        save_own(into, taught, export)
    return forgotten


def own_landmarks(into: Path) -> list[Taught]:
    """What the file has, by name, whichever export made it; raises OwnError and FileError."""
    _check_there(into)
    return sorted(load_any(into)[1].values(), key=lambda one: one.landmark.name.casefold())


def renew(into: Path, predictor: Answering) -> Renewed:
    """Look again at the photos of the file, for the export in use; where one is missing, keep the old file.

    Raises:
        OwnError: there is nothing that can be done; nothing was changed.
        FileError: the file cannot be read or written.
    """
    check_space(predictor.space_id)
    _check_there(into)
    with changing(into):
        export, taught = load_any(into)
        if export == predictor.space_id:
            return Renewed(tuple(taught), (), (), None)
        paths = dict.fromkeys(e.path for one in taught.values() for e in one.examples if is_there(e))
        looked, _ = _look_at(list(paths), predictor)
        anew = {one.example.content: one.example for one in looked}
        renewed, less = {}, []
        for name, one in taught.items():
            if found := tuple(anew[e.content] for e in one.examples if e.content in anew):
                renewed[name] = replace(one, examples=found)
            if 0 < len(found) < len(one.examples):
                less.append(name)
        gone = tuple(name for name in taught if name not in renewed)
        if taught and not renewed:
            raise OwnError(
                f"None of the photos that {into.name} was made from is where it was: teach its landmarks "
                "again, into another file."
            )
        kept = _not_there(into) if less or gone else None
        if kept:
            write(kept, read(into), replace=False)
        save_own(into, renewed, predictor.space_id)
    whole = tuple(name for name in renewed if name not in less)
    return Renewed(whole, tuple(less), gone, kept)


def _not_there(into: Path) -> Path:
    """Where the file of before can be kept: none that was kept earlier is replaced."""
    paths = (into.with_name(f"{into.stem}.before{n or ''}{into.suffix}") for n in count())
    return next(path for path in paths if not exists(path))


def is_there(example: Example) -> bool:
    """Whether there is a file where the photo was; what it holds is not looked at."""
    try:
        return bool(example.path) and Path(example.path).is_file()
    except OSError:  # a name that is too long, or a folder closed to us
        return False


def _check_there(into: Path) -> None:
    if not exists(into):
        raise OwnError(f"{into} is not there: teach it a landmark first, or name another file with --into.")


def _checked(name: str, facts: Facts) -> str:
    """The name on one line; raises OwnError where it, or what else is said, is none."""
    name = clean(name)
    if not name:
        raise OwnError("The name is empty: give the landmark one.")
    for text in (name, facts.city, facts.country, *facts.tags):
        if len(text) > LONGEST:
            raise OwnError(f"{printable(text[:40])}… is too long: take at most {LONGEST} letters.")
    return name


def _find(name: str, landmarks: Sequence[Landmark]) -> Landmark | None:
    """The one of this name, in small or capital letters and in any language that the table has."""
    found = Names(landmarks).find(name)
    return found if found in landmarks else None


def _before(name: str, taught: dict[str, Taught], known: Known) -> Taught | None:
    """What was taught under this name, if anything; raises OwnError where it is not said what to do then."""
    landmark = _find(name, [one.landmark for one in taught.values()])
    if landmark is None:
        return None
    before = taught[landmark.name]
    if not known:
        count = len(before.examples)
        raise OwnError(
            f"{landmark.name} is there already, with {count} photo{'s' * (count > 1)}: give --add for more, "
            "or --replace to begin anew."
        )
    return before


def _described(before: Taught | None, built_in: Landmark | None, name: str, facts: Facts) -> Landmark:
    """The landmark with what is said of it now; what is not said stays."""
    if built_in:
        if facts != Facts():
            raise OwnError(f"{built_in.name} is known with its place and tags: give only its photos.")
        return Landmark(built_in.name, built_in.name)
    landmark = before.landmark if before else Landmark(name, name)
    if facts.position:
        landmark = replace(landmark, latitude=facts.position[0], longitude=facts.position[1])
    return replace(
        landmark,
        tags=facts.tags or landmark.tags,
        city=facts.city or landmark.city,
        country=facts.country or landmark.country,
    )


def _placed(landmark: Landmark, taken: Sequence[Taken]) -> tuple[Landmark, int]:
    """The landmark, if it has no position in the middle of its photos' own, and how many have one."""
    middle = middle_of(taken)
    if landmark.latitude is not None or middle is None:
        return landmark, 0
    latitude, longitude = (round(degrees, 6) for degrees in middle)
    return replace(landmark, latitude=latitude, longitude=longitude), sum(bool(one.position) for one in taken)


def _files(photos: Sequence[Path]) -> tuple[list[str], list[str]]:
    """The photo files, and sentences on what cannot be looked into; raises OwnError where there are none."""
    files, unreadable = dict[str, None](), []
    for path in photos:
        if exists(path) and path.is_dir():
            for found in find_photos(path):
                if found.error:
                    unreadable.append(found.error)
                else:
                    files[found.path] = None
        elif not exists(path) or path.is_file():  # why it is not there is said when it is read
            files[str(path.absolute())] = None
        else:  # a pipe would be waited for without end
            unreadable.append(f"{shown_name(str(path))} is no ordinary file; give photos.")
    if not files:
        raise UnreadableError(unreadable[0] if unreadable else f"{photos[0]} has no photos: give some.")
    return list(files), unreadable


def _look_at(paths: Sequence[str], predictor: Answering) -> tuple[list[_Looked], list[str]]:
    """What is seen on photos, and a sentence on each that cannot be read."""
    looked, unreadable = [], []
    with Tally(len(paths)) as tally:
        for _, result in in_threads(lambda path: _look(path, predictor), paths):
            tally.add("unreadable" if isinstance(result, str) else "")
            if isinstance(result, str):
                unreadable.append(result)
            else:
                looked.append(result)
    return looked, unreadable


def _look(path: str, predictor: Answering) -> _Looked | str:
    name = Path(path).name
    try:
        seen = see(read_photo_file(path), name, predictor)
    except Exception as error:  # one photo must not end the lesson
        return failure(name, error)
    return _Looked(replace(seen.example, path=path), seen.report.taken)
