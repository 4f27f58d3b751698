"""Landmarks of a person's own: which file has them, and what they learn from the review.

A photo that a person confirmed or corrected becomes an example of the landmark that it shows, so that others
like it are named as well. Nothing is trained, and no photo is read again but the new examples themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from src.files import exists, explained, printable, shown_name
from src.inference.answers import Answering
from src.inference.own import Example, Own, Taught, some_of
from src.inference.own_file import MOST_EXAMPLES, MOST_LANDMARKS, NAME, OwnError, changing, load_own, save_own
from src.inference.report import content_of
from src.inference.teaching import see
from src.landmarks.evidence import Taken, middle_of, out_of_sight
from src.landmarks.table import Landmark
from src.landmarks.tags import Tags
from src.library.catalog import Catalog
from src.library.decisions import Names, Sight
from src.library.read_ahead import in_threads
from src.library.records import Record
from src.library.results import print_list
from src.library.takeout import LocalFiles, Takeout
from src.photos.files import read_photo_file
from src.progress import Tally


@dataclass(frozen=True)
class Learned:
    """What became of the own landmarks.

    Attributes:
        taught: all of them, by their names.
        came, went: how many examples are new, and no more, by the landmark's name.
        lost: how many photos are neither there nor in the catalog, and taught nothing.
        moved: names of landmarks whose position was given up, as a photo was taken out of sight of it.
    """

    taught: dict[str, Taught]
    came: Counter[str]
    went: Counter[str]
    lost: int
    moved: tuple[str, ...]


@dataclass(frozen=True)
class _Look:
    """A photo as an example, None where nothing is left of it; and where it was taken."""

    example: Example | None
    taken: Taken


def find_own(out: Path, model: Path) -> Path | None:
    """The file that is used where none was named: beside the table, or else beside the model."""
    places = (out.with_name(NAME), model.with_name(NAME))
    return next((path for path in places if exists(path)), None)


def learn(path: Path, catalog: Catalog, model: str, names: Names, predictor: Answering) -> Learned:
    """Make the file of own landmarks as the catalog's decisions say.

    An approved photo with a name is an example of that landmark and of no other. One that was rejected is
    none of the landmark that was found on it, or of any where none was. Other examples stay.

    Args:
        path: the file; it is made where it is missing, and other runs wait for this one.
        catalog: with the decisions.
        model: the predictor's name in the catalog.
        names: gets to know all own landmarks.
        predictor: one with a `Space`.

    Raises:
        OwnError: the file cannot be used, or would hold too many landmarks.
        FileError: it cannot be read or written.
    """
    with explained(path, "written"), changing(path):
        before = load_own(path, predictor.space_id) if exists(path) else {}
        for one in before.values():
            names.add(one.landmark)
        plan, landmarks = _plan(before, list(catalog.sights(model)), names)
        seen = _look_at(plan, before, predictor)
        taught = {}
        for name, examples in plan.items():
            looks = [
                _Look(one, Taken()) if isinstance(one, Example) else seen[one.decision.content]
                for one in examples
            ]
            if kept := tuple(look.example for look in looks if look.example):
                landmark = before[name].landmark if name in before else landmarks[name]
                if landmark not in predictor.landmarks:
                    landmark = _placed(landmark, [look.taken for look in looks], new=name not in before)
                taught[name] = Taught(landmark, kept)
        if len(taught) > MOST_LANDMARKS:
            raise OwnError(f"{path.name} takes {MOST_LANDMARKS:,} landmarks; give another --own.")
        if taught != before:
            save_own(path, taught, predictor.space_id)
    lost = sum(look.example is None for look in seen.values())
    placed = [name for name in taught if name in before and before[name].landmark.latitude is not None]
    moved = tuple(name for name in placed if taught[name].landmark.latitude is None)
    return Learned(taught, _more(taught, before), _more(before, taught), lost, moved)


def _more(taught: Mapping[str, Taught], others: Mapping[str, Taught]) -> Counter[str]:
    """How many examples each landmark has that it has not among the others."""
    counts = Counter[str]()
    for name, one in taught.items():
        known = {example.content for example in others[name].examples} if name in others else set()
        counts[name] = sum(example.content not in known for example in one.examples)
    return +counts


def _plan(
    taught: Mapping[str, Taught], sights: Sequence[Sight], names: Names
) -> tuple[dict[str, list[Example | Sight]], dict[str, Landmark]]:
    """What each landmark is to have as examples, the newest last; and all that a person named."""
    shown: dict[str, Landmark] = {}  # by content
    refused: dict[str, str] = {}
    for sight in sights:
        decision = sight.decision
        if decision.approved and decision.correct:
            shown[decision.content] = landmark = names.find(decision.correct)
            names.add(landmark)  # so that other spellings find it
        elif not decision.approved:
            refused[decision.content] = names.find(decision.landmark).name if decision.landmark else ""
    plan: dict[str, list[Example | Sight]] = {}
    for name, one in taught.items():
        plan[name] = [
            example
            for example in one.examples
            if example.content not in shown and refused.get(example.content) not in ("", name)
        ]
    for sight in sights:
        if sight.decision.content in shown:
            plan.setdefault(shown[sight.decision.content].name, []).append(sight)
    limited = {name: examples[-MOST_EXAMPLES:] for name, examples in plan.items()}
    return limited, {landmark.name: landmark for landmark in shown.values()}


def _look_at(
    plan: Mapping[str, list[Example | Sight]], taught: Mapping[str, Taught], predictor: Answering
) -> dict[str, _Look]:
    """What is to be had of the photos that were decided on, by content; examples of before stay the same."""
    known = {example.content: example for one in taught.values() for example in one.examples}
    takeout = Takeout(LocalFiles())

    def look(sight: Sight) -> _Look:
        if example := known.get(sight.decision.content):
            return _Look(example, sight.taken)
        return _look(sight, predictor, takeout)

    sights = [one for examples in plan.values() for one in examples if isinstance(one, Sight)]
    looks = {}
    with Tally(len(sights)) as tally:
        for sight, found in in_threads(look, sights):
            looks[sight.decision.content] = found
            tally.add()
    return looks


def _look(sight: Sight, predictor: Answering, takeout: Takeout) -> _Look:
    """A photo as an example: from its file, where that is still the same, or else as the catalog knows it."""
    content = sight.decision.content
    for path in sight.paths:
        with suppress(Exception):  # whatever it is, there is what the catalog knows
            data = read_photo_file(path)
            if content_of(data) == content:
                seen = see(data, shown_name(path), predictor)
                taken = seen.report.taken
                example = replace(seen.example, path=str(Path(path).absolute()))  # for `src.teach --renew`
                return _Look(example, takeout.read(path) if taken.latitude is None else taken)
    if sight.features:
        return _Look(Example(content, shown_name(sight.paths[0]), sight.features), sight.taken)
    return _Look(None, sight.taken)


def _placed(landmark: Landmark, seen: Sequence[Taken], *, new: bool) -> Landmark:
    """The landmark with a place, if it is a new one: the median of where its photos were taken.

    What was photographed so far apart that one place would rule out the other, as a boat or a dog, has none.
    """
    middle = middle_of(seen) if new else None
    if middle:
        landmark = replace(landmark, latitude=middle[0], longitude=middle[1])
    if any(out_of_sight(taken, landmark) for taken in seen):
        return replace(landmark, latitude=None, longitude=None)
    return landmark


def watched(
    before: Iterable[tuple[Record, Tags | None, str]],
    after: Iterable[tuple[Record, Tags | None, str]],
    changes: Counter[tuple[str, str]],
) -> Iterator[tuple[Record, Tags | None, str]]:
    """The later records; of photos that are named otherwise the former and the new name are counted."""
    for (old, _, _), entry in zip(before, after, strict=True):
        if old.landmark != entry[0].landmark:
            changes[old.landmark, entry[0].landmark] += 1
        yield entry


def print_learned(learned: Learned, path: Path, own: Own | None) -> None:
    """Say what was learned, and which examples look unlike the others."""
    lines = []
    for name in dict.fromkeys([*learned.came, *learned.went]):
        more, fewer = learned.came[name], learned.went[name]
        steps = [f"{more:,} new" if more else "", f"{fewer:,} no more" if fewer else ""]
        left = len(learned.taught[name].examples) if name in learned.taught else 0
        steps.append(f"{left:,} in all" if left else "none left, so it is forgotten")
        if own and left:
            misfits = own.fit(name).misfits
            steps.append(f"unlike the others: {some_of(misfits)}" if misfits else "")
        lines.append((name, ", ".join(filter(None, steps))))
    print_list(f"Learned from the review: photos of your own landmarks in {path}", lines)
    if not lines:
        print(f"\nNothing new to learn for {path}: confirm or correct photos in the review (--review) first.")
    for name in learned.moved:
        print(printable(f"{name} has no position any more: a photo of it was taken out of sight of it."))
    if learned.lost:
        print(f"Of {learned.lost:,} photos nothing is left to learn from; put them back where they were.")


def print_changes(changes: Counter[tuple[str, str]]) -> None:
    """Say which photos are named otherwise than before."""
    lines = [
        (after or "without a landmark", f"{count:,} ({f'were {before}' if before else 'had none'})")
        for (before, after), count in changes.most_common()
    ]
    print_list(f"Named otherwise now, by what was learned: {changes.total():,} photos", lines)
    if not lines:
        print("\nNo other photo is named otherwise now.")
