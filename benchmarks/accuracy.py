"""Accuracy beside what is usually published, over seeds, without each ingredient, and on unknown landmarks.

``python benchmarks/accuracy.py robustness`` measures an export on distorted photos; ``baselines``,
``seeds``, ``ablation`` and ``left_out`` train what they need in ``runs/benchmarks`` and go on where they
were stopped. Each prints a table and puts it into ``benchmarks/RESULTS.md``. ``--epochs`` and ``--size``
shrink the trainings for machines without a GPU.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from distortions import DISTORTIONS
from report import write_section
from torch import Tensor, nn
from tqdm.auto import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import Pictures, find_data_set, list_photos, list_pictures
from src.data.unknown import UnknownPhotos, find_unknown, split_unknown
from src.evaluate import labelled
from src.evaluation.calibration import calibrate
from src.evaluation.metrics import figures
from src.evaluation.predictions import Predictions, predict_export
from src.inference.export_file import EXPORT
from src.inference.exporter import export
from src.inference.predictor import Predictor
from src.landmarks.evidence import distance_between
from src.landmarks.table import describe
from src.models.classifier import Classifier
from src.models.ensemble import combined
from src.models.pretrained import BACKBONES, build_transfer
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import TTA, Views
from src.training.recipes import RECIPES, Recipe, TrainSettings
from src.training.runs import run_recipe

FIGURES = (
    "accuracy", "top5", "macro_f1", "ece",
    "auroc_unknown", "coverage", "answered_unknown", "accuracy_answered",
)  # fmt: skip
FORMS = {"minutes": "{:.0f}", "auroc_unknown": "{:.3f}"}  # all others are shares
# enough to tell the ingredients apart, small enough for a CPU
SMALL = NetSettings(widths=(32, 64, 128, 256))
SEEDS = 3
FAR_KM = 3.0


class PublishedCNN(Classifier):
    """The network of most published solutions: four 3×3 convolutions and a layer of 1,024 (no norms)."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.architecture = {"model": "published", "size": size}
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128), (128, 256)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(256 * (size // 16) ** 2, 1024)
        )
        self.head = nn.Linear(1024, classes)

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.relu(self.body(x))
        return features, features[:, :, None, None]


def published_recipe(epochs: int, size: int) -> Recipe:
    """SGD at 1e-3 (with momentum), mild crops of the picture, mirrored and turned a little; no schedule."""
    settings = TrainSettings(
        epochs=epochs, sizes=(size,), eval_size=size, zoom=0.75, strong=False, optimizer="sgd", lr=1e-3,
        weight_decay=0.0, schedule="constant", warmup_epochs=0.0, label_smoothing=0.0,
    )  # fmt: skip
    return Recipe({"train": settings})


def shrunk(recipe: Recipe, epochs: int | None, size: int | None, **changes) -> Recipe:
    """A recipe with its last phase made shorter or smaller, or otherwise changed."""
    phases = dict(recipe.phases)
    last = list(phases)[-1]
    if epochs:
        changes["epochs"] = epochs
    if size:
        phases = {name: replace(phase, sizes=(size,), eval_size=size) for name, phase in phases.items()}
    return replace(recipe, phases=phases | {last: replace(phases[last], **changes)})


def measure(
    models: Sequence[Classifier], recipe: Recipe, root: Path, run: Path, unknown: UnknownPhotos, teach: bool
) -> dict:
    """Train, with unknown photos if `teach`, calibrate, export; figures on validation and test pictures.

    Of several models the ensemble is measured.
    """
    learn, minutes = unknown.learn if teach else [], 0.0
    for number, model in enumerate(models):
        folder = run.with_name(f"{run.name}{number}") if number else run
        history, pictures = run_recipe(model, recipe, root, folder, unknown=learn)
        minutes += history.seconds.sum() / 60
    augmented = TTA(combined(models), Views(recipe.again, recipe.blurred_side, background=bool(learn)))
    calibration, validated = calibrate(augmented, pictures, unknown.choose, recipe.coverage)
    predictor = export(augmented, pictures, run / "export.pt", calibration)
    test = predict_export(predictor, pictures.test.dataset)
    valid = figures(validated, calibration.threshold)["accuracy"]
    rejected = _measured_on(predictor, unknown)
    return {"minutes": minutes, "valid": valid} | figures(test, calibration.threshold, rejected)


def _measured_on(predictor: Predictor, unknown: UnknownPhotos) -> Predictions | None:
    """What an export says of the unknown photos that are kept for figures alone."""
    return predict_export(predictor, unknown.judge) if unknown.judge else None


def baselines(root: Path, unknown: UnknownPhotos, runs: Path, options: argparse.Namespace) -> pd.DataFrame:
    """The usual published network and a frozen pretrained one with a linear layer, beside our exports.

    Trained on the same photos of landmarks, calibrated and exported as ours; but without unknown photos, so
    that they answer by the largest probability. "valid" and "accuracy" are of all photos, answered or not.
    """
    classes, rows = len(list_pictures(root / "train")[2]), {}
    size, epochs = options.size or 224, options.epochs or 50
    torch.manual_seed(0)
    model: Classifier = PublishedCNN(classes, size)
    name = f"published CNN, {epochs} epochs at {size} px"
    rows[name] = measure([model], published_recipe(epochs, size), root, runs / "published", unknown, False)
    torch.manual_seed(0)
    model = build_transfer("tf_efficientnet_lite0", classes)
    head = RECIPES["transfer"].phases["head"]
    frozen = Recipe({"head": replace(head, epochs=5, sizes=(224,))}, {"head": 0}, valid_fraction=0.1)
    rows["frozen EfficientNet-Lite0, one linear layer"] = measure(
        [model], frozen, root, runs / "frozen", unknown, False
    )
    for name in ("original", "transfer"):
        predictor = Predictor.load(EXPORT.with_name(f"{name}_exported.pt"))
        paths, labels, _ = list_pictures(root / "test")
        tested = figures(
            predict_export(predictor, paths, labels),
            predictor.known_threshold,
            _measured_on(predictor, unknown),
        )
        rows[f"ours, {name}"] = tested | {"valid": predictor.info["valid"]["accuracy"]}
    return pd.DataFrame(rows).T


def seeds(root: Path, unknown: UnknownPhotos, runs: Path, options: argparse.Namespace) -> pd.DataFrame:
    """The transfer recipe three times, with runs that differ in their seed alone, each as an export."""
    recipe, rows = shrunk(RECIPES["transfer"], options.epochs, options.size), {}
    for seed in range(SEEDS):
        phases = {name: replace(phase, seed=seed) for name, phase in recipe.phases.items()}
        torch.manual_seed(seed)
        model = build_transfer(options.backbone[0], len(list_pictures(root / "train")[2]))
        _, pictures = run_recipe(
            model, replace(recipe, phases=phases), root, runs / f"seed{seed}", unknown=unknown.learn
        )
        rows[f"seed {seed}"] = _accuracy(model, pictures)
    table = pd.DataFrame(rows).T
    return pd.concat([table, table.agg(["mean", "std"])])


def _accuracy(network: Classifier, pictures: Pictures) -> dict:
    """Figures that no calibration changes, of an export."""
    with tempfile.TemporaryDirectory() as folder:
        predictor = export(network, pictures, Path(folder) / "export.pt")
    measured = figures(predict_export(predictor, pictures.test.dataset), 0)
    return {name: measured[name] for name in ("accuracy", "top5", "macro_f1")}


def ablation(root: Path, unknown: UnknownPhotos, runs: Path, options: argparse.Namespace) -> pd.DataFrame:
    """The scratch recipe's first phase, made small, without each ingredient in turn; on validation photos.

    Means over the last five epochs. With the few epochs of a trial the network does not even know its
    training photos yet, so whatever makes these harder costs more than it brings; what TrivialAugment and
    mixing are worth in all epochs of the recipe, such a table cannot say.
    """
    classes, rows = len(list_pictures(root / "train")[2]), {}
    without: dict[str, dict] = {
        "everything": {},
        "no mixup, no CutMix": {"mixup": 0.0, "cutmix": 0.0},
        "no TrivialAugment, no erasing": {"strong": False},
        "no average of the weights": {"ema": 0.0},
        "no label smoothing": {"label_smoothing": 0.0},
        "no weight decay": {"weight_decay": 0.0},
        "no blurred pictures": {"low_resolution": 0.0},
        "crops of at least 75 %": {"zoom": 0.75},
    }
    first = Recipe({"train": RECIPES["scratch"].phases["train"]})
    base = shrunk(first, options.epochs or 30, options.size or 96)
    for number, (name, changes) in enumerate(without.items()):
        torch.manual_seed(0)
        model = LandmarkNet(classes, SMALL)
        history, _ = run_recipe(model, shrunk(base, None, None, **changes), root, runs / f"ablation{number}")
        last = history.tail(5)
        rows[name] = {
            "valid": last.valid_accuracy.mean(), "train": last.train_accuracy.mean(),
            "minutes": history.seconds.sum() / 60,
        }  # fmt: skip
    return pd.DataFrame(rows).T


def left_out(root: Path, unknown: UnknownPhotos, runs: Path, options: argparse.Namespace) -> pd.DataFrame:
    """A network that never saw some of the landmarks: how many of their photos does it answer all the same?

    Twenty landmarks are left out where there are 100 or more, else a fifth of them. Their photos are the hard
    case: they look like what is known far more than others do. Some even stand beside a known one, which may
    be on the photo, too: the last row counts only answers that are far from the truth.
    """
    names = list_pictures(root / "train")[2]
    count = 20 if len(names) >= 100 else max(1, len(names) // 5)
    out = set(np.random.default_rng(0).permutation(names)[:count])
    part = runs / "left_out_data"
    for split in ("train", "test"):
        (part / split).mkdir(parents=True, exist_ok=True)
        for name in names:
            link = part / split / name
            if name not in out and not link.exists():
                link.symlink_to((root / split / name).resolve(), target_is_directory=True)
    models = []
    for name in options.backbone:
        torch.manual_seed(0)
        models.append(build_transfer(name, len(names) - len(out)))
    recipe = shrunk(RECIPES["transfer"], options.epochs, options.size)
    rows = {"photos of no landmark": measure(models, recipe, part, runs / "left_out", unknown, True)}
    predictor = Predictor.load(runs / "left_out" / "export.pt")
    test = predict_export(predictor, *list_pictures(part / "test")[:2])
    left = [(path, name) for name in sorted(out) for path in list_photos(root / "train" / name)]
    rejected = predict_export(predictor, [path for path, _ in left])
    rows[f"photos of {len(out)} other landmarks"] = figures(test, predictor.known_threshold, rejected)
    far = answered_far(rejected, [name for _, name in left], predictor.known_threshold)
    rows[f"of these, given a place more than {FAR_KM:g} km away"] = {"answered_unknown": far}
    return pd.DataFrame(rows).T


def answered_far(rejected: Predictions, names: Sequence[str], threshold: float) -> float:
    """The share of photos of these landmarks that are given one which stands more than `FAR_KM` away."""
    answered = rejected.answered(threshold)
    pairs = zip(
        np.array(names)[answered], np.array(rejected.class_names)[rejected.predicted[answered]], strict=True
    )
    kilometres = [distance_between(describe(name), describe(given)) for name, given in pairs]
    return sum(far is None or far > FAR_KM for far in kilometres) / len(names)


def robustness(root: Path, _unknown: UnknownPhotos, _runs: Path, options: argparse.Namespace) -> pd.DataFrame:
    """An export on its test photos as they may arrive: compressed, small, blurred, dark, turned, hidden."""
    predictor = Predictor.load(options.export)
    known = predictor.class_names
    paths, labels = labelled(root / "test", known, known_only=True)
    pictures = [read_picture(path, predictor.short_side) for path in paths]
    rows = {}
    for name, distort in tqdm(DISTORTIONS.items()):
        scores = [predictor.scores(distort(picture)) for picture in pictures]
        probabilities = np.stack([one.probabilities for one in scores]).astype(np.float32)
        found = Predictions(
            [str(path) for path in paths],
            np.asarray(labels),
            probabilities,
            np.array([one.known for one in scores]),
            known,
        )
        rows[name] = figures(found, predictor.known_threshold)
    return pd.DataFrame(rows).T


def markdown(table: pd.DataFrame) -> str:
    """The table as people read it: shares in percent."""
    columns = [c for c in ("valid", "train", *FIGURES, "minutes") if c in table]
    lines = [f"| | {' | '.join(c.replace('_', ' ') for c in columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for name, row in table[columns].astype(float).iterrows():
        cells = ["–" if np.isnan(value) else FORMS.get(c, "{:.1%}").format(value) for c, value in row.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    kinds = {f.__name__: f for f in (baselines, seeds, ablation, left_out, robustness)}
    parser = argparse.ArgumentParser("benchmarks/accuracy.py", description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument(
        "--unknown", type=Path, action="append", help="photos of no landmark (default: see README)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmarks"), help="where checkpoints go")
    parser.add_argument("--export", type=Path, default=EXPORT, help="of robustness")
    parser.add_argument(
        "--backbone", nargs="+", default=BACKBONES, help="of left_out, as an ensemble; of seeds the first"
    )
    parser.add_argument("--epochs", type=int, help="of the last phase, instead of the recipe's")
    parser.add_argument("--size", type=int, help="side of the pictures in pixels, instead of the recipe's")
    options = parser.parse_args()
    root = find_data_set(options.data)
    unknown = split_unknown(find_unknown(options.unknown, root))
    table = kinds[options.kind](root, unknown, options.runs, options)
    about = inspect.getdoc(kinds[options.kind]) or ""
    write_section(options.kind.replace("_", " ").capitalize(), about, markdown(table))


if __name__ == "__main__":
    main()
