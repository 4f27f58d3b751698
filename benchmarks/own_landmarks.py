"""How well landmarks of a person's own are told apart after a few photos, and what the others lose by it.

Needs an export of a network that was trained without some of the data set's landmarks, as ``accuracy.py
left_out`` makes it: these are the new places. Prints the constants of `src.inference.own`, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from report import write_section
from sklearn.linear_model import LogisticRegression
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, list_photos, list_pictures, load_pictures
from src.data.unknown import find_unknown, sources_of, split_unknown
from src.inference import own as owning
from src.inference.own import Example, Own, Taught
from src.inference.predictor import Predictor
from src.inference.teaching import see
from src.landmarks.answer import Answer
from src.landmarks.evidence import Taken
from src.landmarks.table import Landmark

PLACES, DRAWS, EXAMPLES = (2, 12), 10, (1, 3, 5, 10)
# built-in answers lost, unknown photos answered: what may be, with a single example and with more
LOST, MORE = (0.002, 0.002), (0.0025, 0.004)
VALID = 0.1  # of the training photos, as in the recipe
FEW, ALL = 20, 1000  # photos of each new place in a library, at most
TABLE = (
    "| places | examples | right | wrong | answered before | told apart | built-in | no landmark |",
    "| --- " * 8 + "|",
)
MANY = 1000  # own landmarks whose cost is measured


@dataclass(frozen=True, eq=False)
class Photos:
    """Answers for photos, and the class that each shows; empty where it shows none."""

    answers: list[Answer]
    labels: np.ndarray

    def of(self, rows: np.ndarray) -> Photos:
        """Those of a mask."""
        return Photos(
            [answer for answer, row in zip(self.answers, rows, strict=True) if row], self.labels[rows]
        )


@dataclass(frozen=True, eq=False)
class Draw:
    """Places that were taught, and the photos of them that were not."""

    own: Own
    names: list[str]
    rest: Photos
    several: bool  # examples of each


def look(predictor: Predictor, paths: Sequence[Path], labels: Sequence[str] | None = None) -> Photos:
    """Ask the network about photos, two at a time."""

    def answer(path: Path) -> Answer:
        return predictor.predict([read_picture(path, predictor.short_side)])[0]

    with ThreadPoolExecutor(2) as pool:
        answers = list(tqdm(pool.map(answer, paths), total=len(paths), unit="photo"))
    return Photos(answers, np.array(labels if labels is not None else [""] * len(paths)))


def look_closely(predictor: Predictor, paths: Sequence[Path]) -> list[Example]:
    """Photos as examples."""
    with ThreadPoolExecutor(2) as pool:
        examples = pool.map(lambda path: see(path.read_bytes(), path.name, predictor).example, paths)
        return list(tqdm(examples, total=len(paths), unit="example"))


def labelled(root: Path, split: str, names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The photos of some classes, and their classes."""
    pairs = [(path, name) for name in names for path in list_photos(root / split / name)]
    return [path for path, _ in pairs], [name for _, name in pairs]


def homes(folders: Sequence[Path], learn: Sequence[Path]) -> list[list[Path]]:
    """Photos of no landmark, those of one kind and source together: own places may look like these."""
    groups: dict[tuple, list[Path]] = {}
    for folder in folders:
        photos = [photo for photo in learn if folder in photo.parents]
        for photo, source in zip(photos, sources_of(folder, photos), strict=True):
            groups.setdefault((photo.parent, source), []).append(photo)
    return [photos for photos in groups.values() if len(photos) >= max(EXAMPLES)]


def draw(
    predictor: Predictor,
    new: Photos,
    examples: Sequence[Example],
    others: Sequence[Sequence[Example]],
    count: int,
    seed: int,
    places: int,
) -> Draw:
    """Teach some of the new places, and as many that look like ordinary photos, with a few photos each."""
    chance = np.random.default_rng(seed)
    names = sorted(chance.permutation(sorted(set(new.labels)))[:places].tolist())
    rest, taught = np.isin(new.labels, names), {}
    for name in names:
        rows = chance.permutation(np.flatnonzero(new.labels == name))[:count]
        rest[rows] = False
        taught[name] = Taught(Landmark(name, name), tuple(examples[row] for row in rows))
    for number in chance.permutation(len(others))[:places]:
        name, rows = f"home {number}", chance.permutation(len(others[number]))[:count]
        taught[name] = Taught(Landmark(name, name), tuple(others[number][row] for row in rows))
    return Draw(Own.beside(predictor, taught), list(taught), new.of(rest), count > 1)


def signs(own: Own, photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    """The signs of the most similar own landmark ``(N, 7)``, and its number ``(N,)``."""
    best = [similar[0] for _, similar in own.compare(photos.answers)]
    return np.stack([one.signs for one in best]), np.array([one.number for one in best])


@dataclass
class Samples:
    """What a logistic regression is fitted on: signs, whether the own landmark is right, and weights."""

    rows: list[np.ndarray] = field(default_factory=list)
    truths: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    others: tuple[list[np.ndarray], list[np.ndarray]] = field(default_factory=lambda: ([], []))

    def add(self, one: Draw, photos: Photos, counted: np.ndarray, share: float, total: int = 0) -> None:
        """Add the photos of a mask, which together weigh ``share``.

        With a ``total``, these are those of so many photos that should stay as they are: theirs is the
        evidence that has to be exceeded.
        """
        part = photos.of(counted)
        if part.answers:
            found, numbers = signs(one.own, part)
            self.rows.append(found)
            self.truths.append(np.array(one.names)[numbers] == part.labels)
            self.weights.append(np.full(len(found), share / len(found)))
            if total:
                self.others[int(one.several)].append(
                    np.concatenate([found, np.full((total - len(found), found.shape[1]), np.nan)])
                )

    def fit(self, allowed: Sequence[float]) -> tuple[np.ndarray, tuple[float, ...]]:
        """Weights, and the evidence that no more than an allowed share of the others exceeds.

        That is by itself for places with a single example and for others.
        """
        x, weight = np.concatenate(self.rows), np.concatenate(self.weights)
        center, scale = x.mean(axis=0), x.std(axis=0)
        regression = LogisticRegression(C=10, max_iter=1000).fit(
            (x - center) / scale,
            np.concatenate(self.truths),
            sample_weight=weight * len(weight) / weight.sum(),
        )
        found = (regression.coef_[0] / scale).astype(np.float32)
        exceeded = (np.nan_to_num(np.concatenate(some) @ found, nan=-np.inf) for some in self.others)
        return found, tuple(
            float(np.quantile(evidence, 1 - share, method="higher"))
            for evidence, share in zip(exceeded, allowed, strict=True)
        )


def fit(draws: Sequence[Draw], places: Sequence[str], known: Photos, unknown: Photos) -> dict:
    """Weights and evidence needed, from those photos of the draws that show one of ``places``.

    One logistic regression is for photos of which the network names nothing: it tells own landmarks, named
    rightly, from all other photos. The other is for photos of which it names a landmark, and tells them from
    those that it names rightly. The evidence needed allows what `MORE` and `LOST` say.
    """
    silent, spoken = Samples(), Samples()
    for one in draws:
        part = one.rest.of(np.isin(one.rest.labels, places))
        silent.add(one, part, named(part.answers) == "", 1.0)
        spoken.add(one, part, named(part.answers) != "", 1.0)
        silent.add(one, unknown, named(unknown.answers) == "", 0.7, len(unknown.labels))
        silent.add(one, known, named(known.answers) == "", 0.3)
        spoken.add(one, known, named(known.answers) == known.labels, 1.0, len(known.labels))
    (quiet, more), (loud, lost) = silent.fit(MORE), spoken.fit(LOST)
    return {"WEIGHTS": np.stack([quiet, loud]), "NEEDED": (more, lost)}


def named(answers: Sequence[Answer]) -> np.ndarray:
    """The class that each answer names, empty where it names none."""
    names = [answer.guesses[0].landmark.class_name if answer.recognised else "" for answer in answers]
    return np.array(names)


def measure(
    one: Draw, places: Sequence[str], known: Photos, unknown: Photos, constants: dict, often: int = 0
) -> list[float]:
    """Shares of photos of new places, rightly and wrongly named among them; and what changed for others.

    With ``often``, all are of one library, with so many photos of each new place at most.
    """
    for name, value in constants.items():
        setattr(owning, name, value)
    part, own = one.rest.of(np.isin(one.rest.labels, places)), one.own
    if often:
        part = part.of(_at_most(often, part.labels))
        library = [*part.answers, *known.answers, *unknown.answers]
        own = own.adapted([[(str(i), answer, Taken()) for i, answer in enumerate(library)]])
    before, after = named(known.answers), named(own.judge(known.answers))
    silent, spoken = named(unknown.answers), named(own.judge(unknown.answers))
    found = [np.nan] * 4
    if part.answers:  # of few places, none may be among these
        told, numbers = named(own.judge(part.answers)), signs(own, part)[1]
        right, nearest = told == part.labels, np.array(one.names)[numbers] == part.labels
        found = [
            right.mean(),
            (~right & (told != "")).mean(),
            (named(part.answers) != "").mean(),
            nearest.mean(),
        ]
    return [
        *found,
        (after == known.labels).mean() - (before == known.labels).mean(),
        (spoken != "").mean() - (silent != "").mean(),
    ]


def _at_most(count: int, labels: np.ndarray) -> np.ndarray:
    """A mask of so many of each label, drawn by chance."""
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = [row for label in np.unique(labels) for row in order[labels[order] == label][:count]]
    return np.isin(np.arange(len(labels)), chosen)


def cost(predictor: Predictor, examples: Sequence[Example], photos: Photos) -> str:
    """Milliseconds a photo with `MANY` own landmarks."""
    taught = {
        str(n): Taught(Landmark(str(n), str(n)), tuple(np.random.default_rng(n).choice(examples, 5)))  # type: ignore[arg-type]
        for n in range(MANY)
    }
    own = Own.beside(predictor, taught)
    start = time.perf_counter()
    own.judge(photos.answers)
    return f"{1000 * (time.perf_counter() - start) / len(photos.answers):.2f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("benchmarks/own_landmarks.py", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument("--unknown", type=Path, action="append", help="photos of no landmark (see README)")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"), help="of accuracy.py left_out")
    options = parser.parse_args()
    root = find_data_set(options.data)
    folders = find_unknown(options.unknown, root)
    unknown = split_unknown(folders)
    predictor = Predictor.load(options.runs / "left_out" / "export.pt")
    names = [name for name in list_pictures(root / "train")[2] if name not in predictor.class_names]
    valid = load_pictures(options.runs / "left_out_data", valid_fraction=VALID).valid.dataset
    classes = predictor.class_names
    to_choose = (
        look(predictor, valid.paths, [classes[label] for label in valid.labels]),
        look(predictor, unknown.choose),
    )
    to_judge = look(predictor, *labelled(root, "test", classes)), look(predictor, unknown.judge)
    train, test = (labelled(root, split, names) for split in ("train", "test"))
    paths, labels = [*train[0], *test[0]], [*train[1], *test[1]]
    new = look(predictor, paths, labels)
    examples = look_closely(predictor, paths)
    others = [look_closely(predictor, group) for group in homes(folders, unknown.learn)]
    draws = {
        (places, count): [
            draw(predictor, new, examples, others, count, seed, places) for seed in range(DRAWS)
        ]
        for places in PLACES
        for count in EXAMPLES
    }
    everything = [one for some in draws.values() for one in some]
    halves = names[::2], names[1::2]
    constants = [fit(everything, half, *to_choose) for half in halves]
    lines = []
    for often, heading in (
        (0, "Photo by photo"),
        (FEW, f"In a library with {FEW} photos of each place"),
        (ALL, "In a library with all photos, some 100 of each place"),
    ):
        lines += [f"\n**{heading}:**\n", *TABLE]
        for (places, count), some in draws.items():
            found = [
                measure(one, halves[1 - half], *to_judge, constants[half], often)
                for half in (0, 1)
                for one in some
            ]
            lines.append(row(places, count, found))
    lines.append(f"\n{MANY:,} own landmarks take {cost(predictor, examples, to_judge[0])} ms a photo more.")
    write_section("Own landmarks", main_about(len(names)), "\n".join(lines))
    print("All new places:", fit(everything, names, *to_choose))


def row(places: int, count: int, found: Sequence[Sequence[float]]) -> str:
    """Mean and spread over the draws."""
    mean, spread = np.nanmean(found, axis=0), np.nanstd(found, axis=0)
    cells = [
        f"{m:+.1%}" if column > 3 else f"{m:.1%} ± {s:.1%}"
        for column, (m, s) in enumerate(zip(mean, spread, strict=True))
    ]
    return f"| {places} | {count} | {' | '.join(cells)} |"


def main_about(places: int) -> str:
    """What the section says of its figures."""
    return f"""
        Of {places} landmarks that the network was trained without, two or twelve are taught with a
        few photos each; their other photos are the new ones. As many places are taught with photos of no
        landmark, those of one kind and source together, as a house or a garden of one's own looks. Weights
        and the evidence needed are fitted on half of the landmarks, validation photos and unknown photos of
        other sources; the figures are of the other half, the test photos and the unknown photos kept for
        figures: mean ± standard deviation of {DRAWS} draws on both halves. *Right* and *wrong* are named
        so; *answered before* were given a built-in landmark, always wrongly; *told apart* is whether the
        most similar own landmark is the right one, whatever is said. The last two are how many points more
        photos of built-in landmarks are named rightly, and more photos of no landmark are named at all.
        In a library, which is all these photos together, those that surely show a place are examples, too;
        how sure they must be, and how many count, was settled with a look at both halves."""


if __name__ == "__main__":
    main()
