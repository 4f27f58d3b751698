"""How well photos of places that nobody has named are grouped: `python -m src.tag --suggest`.

Needs an export of a network that was trained without some of the data set's landmarks, as ``accuracy.py
left_out`` makes it: these are the places.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from own_landmarks import Photos, labelled, look
from report import write_section

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.folders import find_data_set, list_pictures
from src.data.unknown import find_unknown, split_unknown
from src.inference.predictor import Predictor
from src.inference.report import PhotoReport
from src.inference.space import Space
from src.landmarks.answer import Answer
from src.library.suggest import find_groups

LIBRARIES = 24
PLACES = (1, 2, 4, 8)  # in a library
PHOTOS = (10, 61)  # of a place, at least and less than
OTHERS = (480, 980)  # photos of no landmark beside them


@dataclass
class Found:
    """What was found in some libraries; a group is of the place that most of its photos show."""

    places: int = 0
    grouped: int = 0  # of these, with a group
    covered: list[float] = field(default_factory=list)  # of the photos of each of these, the share in groups
    pure: int = 0  # photos of the place of their group
    photos: int = 0  # in groups
    groups: int = 0
    nowhere: int = 0  # groups that are mostly of no place

    def add(self, groups: Sequence[Sequence[str]], sizes: Counter) -> None:
        """Count the groups of one library: the labels of their photos, and how many of each there are."""
        inside: Counter = Counter()
        for labels in groups:
            place, count = Counter(labels).most_common(1)[0]
            self.groups += 1
            self.photos += len(labels)
            self.nowhere += not place
            self.pure += count if place else 0
            inside[place] += count
        places = [place for place in sizes if place]
        shares = [inside[place] / sizes[place] for place in places if inside[place]]
        self.places += len(places)
        self.grouped += len(shares)
        self.covered += shares

    def row(self) -> str:
        """The columns of the table."""
        found, covered = self.grouped / self.places, np.mean(self.covered)
        return (
            f"{self.places} | {self.grouped} ({found:.0%}) | {covered:.0%} | "
            f"{self.pure / self.photos:.1%} | {self.nowhere} of {self.groups}"
        )


def library(
    places: Photos, others: Photos, chance: np.random.Generator, count: int, rest: int
) -> list[tuple[str, Answer]]:
    """Photos of a made-up library of which the network names nothing, each with its place."""
    rows: list[tuple[str, Answer]] = []
    for place in chance.permutation(sorted(set(places.labels)))[:count]:
        of_place = chance.permutation(np.flatnonzero(places.labels == place))
        rows += [(str(place), places.answers[i]) for i in of_place[: chance.integers(*PHOTOS)]]
    rows += [("", others.answers[i]) for i in chance.permutation(len(others.answers))[:rest]]
    return [(label, answer) for label, answer in rows if not answer.recognised]


def measure(space: Space, places: Photos, others: Photos) -> Found:
    """What is found in `LIBRARIES` made-up libraries."""
    found, chance = Found(), np.random.default_rng(0)
    for number in range(LIBRARIES):
        count, rest = PLACES[number % len(PLACES)], OTHERS[number % 3 == 0]
        rows = library(places, others, chance, count, rest)
        reports = [PhotoReport(str(i), str(i), answer=answer) for i, (_, answer) in enumerate(rows)]
        groups = [[rows[int(path)][0] for path in group.paths] for group in find_groups(reports, space)]
        found.add(groups, Counter(label for label, _ in rows))
    return found


def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    predictor = Predictor.load(options.runs / "left_out" / "export.pt")
    root = find_data_set(None)
    unknown = split_unknown(find_unknown(None, root))
    names = [name for name in list_pictures(root / "train")[2] if name not in predictor.class_names]
    train, test = (labelled(root, split, names) for split in ("train", "test"))
    new = look(predictor, [*train[0], *test[0]], [*train[1], *test[1]])
    others = look(predictor, [*unknown.choose, *unknown.judge])
    lines = [
        "| landmarks | places | with a group | of their photos in it | of a group's photos right "
        "| groups of no place |",
        "| --- " * 6 + "|",
    ]
    for what, half in (("to choose", names[::2]), ("to judge", names[1::2])):
        part = new.of(np.isin(new.labels, half))
        lines.append(f"| {what} | {measure(predictor.space(), part, others).row()} |")
    write_section("Unnamed places", ABOUT, "\n".join(lines))


ABOUT = f"""
    Stand-ins for places that nobody has named are 20 landmarks that the network was trained without: half of
    them to choose the numbers of `src.library.suggest`, half to judge. {LIBRARIES} made-up libraries have 1
    to 8 places each, with {PHOTOS[0]} to {PHOTOS[1] - 1} photos, and {OTHERS[0]} or {OTHERS[1]} photos of no
    landmark, of sources that the network did not train with. What the network names is left out first. These
    are published photos, without times and positions, which help."""


if __name__ == "__main__":
    main()
