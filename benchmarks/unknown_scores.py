"""Which score tells landmark photos from unknown ones best, on sources that nothing was fitted with?

``python benchmarks/unknown_scores.py [--export E]`` asks an export for features and logits of photos once.
Unknown photos that its network trained with serve as examples. The others are divided by their sources, five
times: the logistic regression is fitted with one half, and all scores are judged by the other. Thresholds are
chosen on validation photos, so that these are answered as often as the first column says.

Other landmarks are photos in a folder ``other_landmark``; all other unknown photos count as ordinary. Nearest
neighbours (arXiv:2204.06507), ViM (arXiv:2203.10807), ASH-S (arXiv:2209.09858) and SCALE (arXiv:2310.00227)
are among the leaders of OpenOOD v1.5 (arXiv:2306.09301) and are made without any unknown photo.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from report import write_section
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, list_photos, stratified_split
from src.data.unknown import find_unknown, sources_of, split_unknown
from src.evaluate import labelled
from src.evaluation.calibration import EXAMPLES, fit_score
from src.evaluation.metrics import OTHER_LANDMARKS
from src.inference.answers import Answering
from src.inference.export_file import EXPORT, read_export
from src.inference.torchscript import load_script, to_tensor
from src.models.open_set import OpenSetScore

COVERAGES = (0.95, 0.92, 0.9)  # of the validation photos
SEEDS = range(5)

NEIGHBOUR = 10  # of the training photos, whose distance counts
AXES = 512  # on which ViM expects the features, at most
SCALED, PRUNED = 0.85, 0.9  # shares of the features that SCALE and ASH-S count as small, as on ImageNet


class Seen(NamedTuple):
    """What an export sees in N photos."""

    features: Tensor  # (N, F)
    logits: Tensor  # (N, classes)


Score = Callable[[Seen], Tensor]  # (N,), the higher the surer


class Photos:
    """Training, validation, test and unknown photos as an export sees them; the last ones never trained."""

    def __init__(
        self, model: torch.jit.ScriptModule, info: dict, root: Path, folders: Sequence[Path]
    ) -> None:
        known, trained, side = list(model.class_names), info["trained"], Answering(info).short_side
        train, labels = labelled(root / "train", known, known_only=True)
        test, test_labels = labelled(root / "test", known, known_only=True)
        learn, valid = stratified_split(labels, trained["valid_fraction"], trained["split_seed"])
        sample, parts = _some_of_every_class(learn, np.array(labels)), split_unknown(folders)
        unknown = [*parts.choose, *parts.judge]
        self.train = look(model, [train[i] for i in sample], side)
        self.valid = look(model, [train[i] for i in valid], side)
        self.test = look(model, test, side)
        self.unknown = look(model, unknown, side)
        self.valid_labels = np.array(labels)[valid]
        self.test_right = self.test.logits.argmax(1).numpy() == test_labels
        source_of: dict[Path, str | Path] = {}
        for folder in folders:
            found = list_photos(folder)
            source_of.update(zip(found, sources_of(folder, found), strict=True))
        self.sources = [str(source_of[path]) for path in unknown]
        self.is_landmark = np.array([OTHER_LANDMARKS in path.parts for path in unknown])

    def divided(self, seed: int) -> np.ndarray:
        """(unknown,) bool: a random half, about, that shares no source with the other."""
        sizes = Counter(self.sources)
        halves: list[list[str]] = [[], []]
        for source in np.random.default_rng(seed).permutation(sorted(sizes)).tolist():
            min(halves, key=lambda half: sum(sizes[one] for one in half)).append(source)
        return np.isin(self.sources, halves[0])


def _some_of_every_class(positions: Sequence[int], labels: np.ndarray) -> list[int]:
    """As many of these positions as travel in an export, by chance."""
    shuffled = np.random.default_rng(0).permutation(positions)
    return [i for c in np.unique(labels) for i in shuffled[labels[shuffled] == c][:EXAMPLES]]


@torch.inference_mode()
def look(model: torch.jit.ScriptModule, paths: Sequence[Path], side: int) -> Seen:
    """Ask an export, photo by photo as in the app, with the short side that it asks for."""
    features, logits = [], []
    for path in tqdm(paths, unit="photo"):
        picture = to_tensor(read_picture(path, side))[None]
        of_logits, of_features, _ = model.infer(model.preprocess(picture))
        logits.append(of_logits)
        features.append(of_features)
    return Seen(torch.cat(features), torch.cat(logits))


def scores_of(model: torch.jit.ScriptModule, own: OpenSetScore, train: Seen) -> dict[str, Score]:
    """Every score by its name; `own` may be fitted again later."""
    weight, bias = model.judged.evidence, model.network.network.head.bias.detach()

    def shaped_energy(seen: Seen, share: float, prune: bool) -> Tensor:
        return energy(F.linear(shaped(seen.features, share, prune), weight, bias))

    return {
        "largest probability": lambda seen: (seen.logits / model.judged.temperature).softmax(1).amax(1),
        "largest logit": lambda seen: seen.logits.amax(1),
        "energy": lambda seen: energy(seen.logits),
        "neighbours: own − unknown": lambda seen: own.signs(*seen)[:, 2],
        "neighbours: own − other landmarks": lambda seen: own.signs(*seen)[:, 3],
        f"neighbours: the {NEIGHBOUR}th": near(train),
        "ViM": virtual_logit(train, weight, bias),
        "ASH-S": lambda seen: shaped_energy(seen, PRUNED, True),
        "SCALE": lambda seen: shaped_energy(seen, SCALED, False),
        "logistic regression, as in exports": lambda seen: own(*seen),
    }


def energy(logits: Tensor) -> Tensor:
    """Logarithm of the summed exponentials: the log odds against a background whose logit is 0."""
    return logits.logsumexp(dim=1)


def near(train: Seen) -> Score:
    """Minus the distance to the k-th nearest training photo."""
    known = F.normalize(train.features)
    return lambda seen: -torch.cdist(F.normalize(seen.features), known).kthvalue(NEIGHBOUR, dim=1).values


def virtual_logit(train: Seen, weight: Tensor, bias: Tensor) -> Score:
    """Energy less a logit of all that training photos do not have: what lies off their principal axes."""
    origin = -torch.linalg.pinv(weight) @ bias
    centred = (train.features - origin).double()
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors  # the principal ones last
    rest = axes[:, : -min(AXES, len(axes) // 2)].float()

    def off_axes(seen: Seen) -> Tensor:
        return ((seen.features - origin) @ rest).norm(dim=1)

    scale = train.logits.amax(1).mean() / off_axes(train).mean()
    return lambda seen: energy(seen.logits) - scale * off_axes(seen)


def shaped(features: Tensor, share: float, prune: bool) -> Tensor:
    """Features ``(N, F)`` times what grows with the sum of a `share` of small ones, perhaps without these."""
    largest, places = features.topk(round((1 - share) * features.shape[1]), dim=1)
    factor = (features.sum(1) / largest.sum(1)).exp()[:, None]
    return factor * (torch.zeros_like(features).scatter(1, places, largest) if prune else features)


def own_score(model: torch.jit.ScriptModule) -> OpenSetScore:
    """The score of an export with its examples, to be fitted anew."""
    old = model.judged.score
    examples, unknown = (torch.zeros(len(one), len(old.center)) for one in (old.examples, old.unknown))
    score = OpenSetScore(old.center, old.axes, examples, old.owners, unknown)
    score.load_state_dict(old.state_dict())
    return score


def judged(photos: Photos, score: Score, judge: np.ndarray) -> list[dict[str, float]]:
    """A row for each coverage: what is answered, and how much of that rightly; and how all are ranked."""
    valid, test, unknown = (score(seen).numpy() for seen in (photos.valid, photos.test, photos.unknown))
    ordinary, other = unknown[judge & ~photos.is_landmark], unknown[judge & photos.is_landmark]
    rows = []
    for coverage in COVERAGES:
        threshold = np.quantile(valid, 1 - coverage)
        answered = test >= threshold
        rows.append(
            {
                "coverage": coverage,
                "test answered": answered.mean(),
                "of these right": photos.test_right[answered].mean(),
                "ordinary answered": (ordinary >= threshold).mean(),
                "other landmarks answered": (other >= threshold).mean() if len(other) else np.nan,
                "AUROC ordinary": auroc(test, ordinary),
                "AUROC other landmarks": auroc(test, other),
            }
        )
    return rows


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often a known photo has the higher score; NaN where there are no unknown ones."""
    if not len(unknown):
        return np.nan
    return roc_auc_score(np.repeat([1, 0], [len(known), len(unknown)]), np.concatenate([known, unknown]))


def markdown(table: pd.DataFrame) -> str:
    """Mean and spread over the divisions."""
    groups = table.groupby(["coverage", "score"], sort=False)
    mean, spread = groups.mean(), groups.std()
    lines = [f"| validation photos answered | score | {' | '.join(mean.columns)} |"]
    lines.append("| --- " * (len(mean.columns) + 2) + "|")
    for (coverage, name), values in mean.iterrows():
        cells = []
        for column, value in values.items():
            form = "{:.3f} ± {:.3f}" if column.startswith("AUROC") else "{:.1%} ± {:.1%}"
            cells.append("–" if np.isnan(value) else form.format(value, spread.loc[(coverage, name), column]))
        lines.append(f"| {coverage:.0%} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    about, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("benchmarks/unknown_scores.py", description=about)
    parser.add_argument("--export", type=Path, default=EXPORT)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument(
        "--unknown", type=Path, action="append", help="photos of no landmark (default: see README)"
    )
    options = parser.parse_args()
    root, exported = find_data_set(options.data), read_export(options.export)
    model = load_script(options.export)
    folders = find_unknown(options.unknown, root)
    if not folders or not hasattr(model.judged.score, "signs"):
        parser.error("This needs photos of no landmark, and an export of a network that trained with some.")
    photos = Photos(model, exported.info, root, folders)
    regression = own_score(model)
    scores = scores_of(model, regression, photos.train)
    rows = []
    for seed in SEEDS:
        fit = photos.divided(seed)
        to_fit = (photos.unknown.features[fit], photos.unknown.logits[fit])
        fit_score(regression, photos.valid, photos.valid_labels, to_fit)
        for name, score in scores.items():
            rows += [{"score": name, **row} for row in judged(photos, score, ~fit)]
    details += f"\n\n{len(photos.sources)} photos are divided, {photos.is_landmark.sum()} of other landmarks."
    write_section("Scores for unknown photos", f"{about}\n\n{details}", markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
