"""Do photos of one outing help each other? Test photos arranged into made-up outings, alone and together.

An outing is three to six photos of one landmark, some minutes apart. One photo in five is of no landmark
(lunch), one in ten of quite another landmark (a wrong clock, or a photo someone sent). How far a neighbour
is believed was chosen on validation photos, by the same script with ``--split valid``.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from report import write_section

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, stratified_split
from src.data.unknown import find_unknown, split_unknown
from src.evaluate import labelled
from src.inference.export_file import EXPORT
from src.inference.predictor import Predictor
from src.landmarks import evidence
from src.landmarks.answer import Answer
from src.landmarks.evidence import Taken, revise


def answers_of(predictor: Predictor, paths: list[Path]) -> list[Answer]:
    """The answer to each photo alone."""
    return [predictor.predict([read_picture(path, predictor.short_side)])[0] for path in paths]


def arrange(labels: np.ndarray, unknown: int, seed: int) -> list[tuple[int, datetime]]:
    """Photos in the order of outings: (index, time); an index from ``len(labels)`` on is of no landmark."""
    rng, photos, start = np.random.default_rng(seed), [], datetime(2024, 1, 1)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label)).tolist()
        while members:
            start += timedelta(days=1)
            time = start
            for _ in range(rng.integers(3, 7)):
                time += timedelta(minutes=rng.exponential(2))
                kind = rng.random()
                if kind < 0.2 and unknown:
                    photos.append((len(labels) + int(rng.integers(unknown)), time))
                elif kind < 0.3:
                    photos.append((int(rng.choice(np.flatnonzero(labels != label))), time))
                elif members:
                    photos.append((members.pop(), time))
    return photos


def score(answers: list[Answer], truth: list[str]) -> dict[str, float]:
    """Shares of landmark photos named right, and answered; of answers right; of other photos answered."""
    named = [(a, t) for a, t in zip(answers, truth, strict=True) if t]
    answered = [(a, t) for a, t in named if a.recognised]
    right = [a.guesses[0].landmark.class_name == t for a, t in named]
    right_answered = [a.guesses[0].landmark.class_name == t for a, t in answered]
    unknown = [a.recognised for a, t in zip(answers, truth, strict=True) if not t]
    return {
        "right": float(np.mean(right)),
        "answered": len(answered) / len(named),
        "of these right": float(np.mean(right_answered)),
        "unknown answered": float(np.mean(unknown)) if unknown else float("nan"),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser("benchmarks/outings.py", description=__doc__.split("\n")[0])
    parser.add_argument("export", type=Path, nargs="?", default=EXPORT)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--trust", type=float, nargs="+", default=[evidence.TRUST], help="values to try")
    options = parser.parse_args()
    root = find_data_set(options.data)
    parts = split_unknown(find_unknown(None, root))
    predictor = Predictor.load(options.export)
    names = predictor.class_names
    paths, labels = labelled(root / ("test" if options.split == "test" else "train"), names, known_only=True)
    unknown = parts.judge if options.split == "test" else parts.choose
    if options.split == "valid":
        trained = predictor.info["trained"]
        chosen = stratified_split(labels, trained["valid_fraction"], trained["split_seed"])[1]
        paths, labels = [paths[i] for i in chosen], [labels[i] for i in chosen]
    alone = answers_of(predictor, [*paths, *unknown])
    truth = [names[label] for label in labels] + [""] * len(unknown)
    ways = ["alone", *(f"together, trust {value:g}" for value in options.trust)]
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for seed in range(5):
        photos = arrange(np.asarray(labels), len(unknown), seed)
        asked, shown = [alone[i] for i, _ in photos], [truth[i] for i, _ in photos]
        rows["alone"].append(score(asked, shown))
        for value in options.trust:
            evidence.TRUST = value
            taken, digests = [Taken(time) for _, time in photos], [str(i) for i, _ in photos]
            revised = revise(asked, taken, digests, predictor.known_threshold, len(names))
            rows[f"together, trust {value:g}"].append(score([r.answer for r in revised], shown))
    columns = list(rows["alone"][0])
    lines = [f"| | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for name, runs in rows.items():
        values = {c: [run[c] for run in runs] for c in columns}
        cells = [f"{100 * np.mean(v):.1f} ± {100 * np.std(v):.1f} %" for v in values.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    about = f"{__doc__.split(chr(10), 2)[2].strip()} Mean ± standard deviation over five arrangements."
    write_section(f"Outings ({options.split} photos)", about, "\n".join(lines))


if __name__ == "__main__":
    main()
