"""Which score tells landmark photos from unknown ones best, on sources that it was not fitted with?

``python benchmarks/unknown_scores.py --unknown ordinary [--export E]`` asks an export for the features of all
photos once, fits every score with the training photos and with the unknown photos of one half of the
sources, chooses thresholds on validation photos, and judges on the test photos and the other half of the
sources, over five divisions of the sources. The folder needs a table ``SOURCES.csv`` with the columns
``file`` and ``source``. It prints a table and puts it into ``benchmarks/RESULTS.md``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from report import write_section
from scipy import special
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, stratified_split
from src.evaluate import labelled
from src.evaluation.calibration import GATE_POWER, fit_gate
from src.inference.predictor import Predictor, to_tensor

EXPORT = Path(__file__).resolve().parents[1] / "checkpoints" / "transfer_exported.pt"
COVERAGES = (0.965, 0.92, 0.9)  # of the validation photos
SEEDS = range(5)
NEIGHBOURS = 3
OTHER_LANDMARKS = "other_landmark"  # the kind that is counted by itself

Score = Callable[[np.ndarray], np.ndarray]  # from rows to the higher the surer


class Photos:
    """Features and logits of photos, and what each of them is."""

    def __init__(self, predictor: Predictor, root: Path, unknown: Path) -> None:
        known = predictor.class_names
        train, train_labels = labelled(root / "train", known, known_only=True)
        test, test_labels = labelled(root / "test", known, known_only=True)
        with open(unknown / "SOURCES.csv", newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        others = [unknown / row["file"] for row in table]
        self.labels = np.array([*train_labels, *test_labels, *[-1] * len(others)])
        trained = predictor.info["trained"]
        learn, valid = stratified_split(train_labels, trained["valid_fraction"], trained["split_seed"])
        self.learn, self.valid = np.array(learn), np.array(valid)
        self.test = len(train) + np.arange(len(test))
        self.others = len(train) + len(test) + np.arange(len(others))
        self.sources = [row["source"] for row in table]
        self.is_landmark = np.array([path.parent.name == OTHER_LANDMARKS for path in others])
        self.logits, self.features = _asked(predictor, [*train, *test, *others])
        probabilities = special.softmax(self.logits / predictor.model.temperature, axis=1)
        self.predicted, self.probability = probabilities.argmax(axis=1), probabilities.max(axis=1)

    def divided(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of unknown photos to learn from and to judge on, about half each; no source in both."""
        sizes = Counter(self.sources)
        halves: list[list[str]] = [[], []]
        for source in np.random.default_rng(seed).permutation(sorted(sizes)):
            smaller = min(halves, key=lambda half: sum(sizes[one] for one in half))
            smaller.append(str(source))
        mine = np.isin(self.sources, halves[0])
        return self.others[mine], self.others[~mine]


@torch.inference_mode()
def _asked(predictor: Predictor, paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    logits, features = [], []
    for path in tqdm(paths, unit="photo"):
        picture = to_tensor(read_picture(path, predictor.short_side))[None]
        one, two, _ = predictor.model.look(predictor.model.preprocess(picture))
        logits.append(one[0].numpy())
        features.append(two[0].numpy())
    return np.array(logits), np.array(features)


def scores(photos: Photos, predictor: Predictor, learnt: np.ndarray) -> dict[str, Score]:
    """Every score by its name, fitted with the training photos and these unknown ones."""
    shipped = predictor.model.gate
    refitted = fit_gate(photos.features[photos.learn], photos.features[learnt])
    unit = photos.features / np.linalg.norm(photos.features, axis=1, keepdims=True)

    def gated(gate: torch.nn.Module, power: float) -> Score:
        with torch.inference_mode():
            shown = gate(torch.from_numpy(photos.features)).sigmoid()[:, 0].numpy()
        return lambda rows: shown[rows] ** power * photos.probability[rows]

    def nearer(rows: np.ndarray) -> np.ndarray:
        """Mean cosine to the nearest photos of the answered landmark, less that to unknown ones."""
        own = unit[rows] @ unit[photos.learn].T
        own[photos.labels[photos.learn][None] != photos.predicted[rows][:, None]] = -1
        unknown = unit[rows] @ unit[learnt].T
        return _mean_of_largest(own) - _mean_of_largest(unknown)

    return {
        "largest probability p": lambda rows: photos.probability[rows],
        "as shipped: its gate^0.5 × p": gated(shipped, GATE_POWER),
        "refitted gate^0.5 × p": gated(refitted, GATE_POWER),
        "refitted gate × p": gated(refitted, 1.0),
        "nearest neighbours": nearer,
        "log odds of p + 20 × nearest neighbours": lambda rows: (
            special.logit(photos.probability[rows].clip(1e-9, 1 - 1e-9)) + 20 * nearer(rows)
        ),
    }


def _mean_of_largest(similarities: np.ndarray) -> np.ndarray:
    return np.sort(similarities, axis=1)[:, -NEIGHBOURS:].mean(axis=1)


def judged(photos: Photos, score: Score, judge: np.ndarray) -> list[dict[str, float]]:
    """A row for each coverage: what is answered, and how much of that rightly."""
    valid, test, unknown = score(photos.valid), score(photos.test), score(judge)
    other = photos.is_landmark[judge - photos.others[0]]
    right = photos.predicted[photos.test] == photos.labels[photos.test]
    rows = []
    for coverage in COVERAGES:
        threshold = np.quantile(valid, 1 - coverage)
        answered = test >= threshold
        rows.append(
            {
                "coverage": coverage,
                "test answered": answered.mean(),
                "of these right": right[answered].mean(),
                "ordinary answered": (unknown[~other] >= threshold).mean(),
                "other landmarks answered": (unknown[other] >= threshold).mean(),
            }
        )
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        "benchmarks/unknown_scores.py", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--export", type=Path, default=EXPORT)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument("--unknown", type=Path, required=True, help="photos of no landmark, with SOURCES.csv")
    options = parser.parse_args()
    predictor = Predictor.load(options.export)
    photos = Photos(predictor, find_data_set(options.data), options.unknown)
    rows = []
    for seed in SEEDS:
        learnt, judge = photos.divided(seed)
        for name, score in scores(photos, predictor, learnt).items():
            rows += [{"score": name, **row} for row in judged(photos, score, judge)]
    table = pd.DataFrame(rows).groupby(["coverage", "score"], sort=False)
    mean, spread = table.mean(), table.std()
    lines = [f"| validation photos answered | score | {' | '.join(mean.columns)} |"]
    lines.append("| --- " * (len(mean.columns) + 2) + "|")
    for (coverage, name), values in mean.iterrows():
        cells = [
            f"{value:.1%} ± {spread.loc[(coverage, name), column]:.1%}" for column, value in values.items()
        ]
        lines.append(f"| {coverage:.1%} | {name} | {' | '.join(cells)} |")
    about = (
        f"Scores of `{options.export.name}`, fitted with training photos and photos of one half of the\n"
        f"sources, judged on test photos and the other half: mean and spread over {len(SEEDS)} divisions."
    )
    write_section("Scores for unknown photos", about, "\n".join(lines))


if __name__ == "__main__":
    main()
