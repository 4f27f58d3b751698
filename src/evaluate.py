"""Predictions first, then every figure and table made from them (the pictures are in `src.evaluation.plots`).

`python -m src.evaluate EXPORT --data ROOT` measures an exported model on `ROOT/test`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy import special
from sklearn import metrics
from torch import Tensor, nn

from src.data.dataset import read_picture
from src.data.errors import DataError
from src.data.folders import find_data_set, find_photos, list_pictures
from src.evaluation.statistics import expected_calibration_error, wilson_interval
from src.landmarks.table import describe
from src.training.distributed import progress_bar

if TYPE_CHECKING:
    from src.inference.predictor import Predictor

PHOTO_SIDE = 1024  # pixels; a larger photo is shrunk to this short side, about as in the app
# figure -> how `compare` calls and writes it
COLUMNS = {
    "accuracy": ("accuracy", "{:.1%}"),
    "accuracy_low": ("95 % from", "{:.1%}"),
    "accuracy_high": ("to", "{:.1%}"),
    "top5": ("top-5", "{:.1%}"),
    "macro_f1": ("macro F1", "{:.1%}"),
    "log_loss": ("log loss", "{:.3f}"),
    "ece": ("ECE", "{:.1%}"),
    "coverage": ("landmark photos answered", "{:.1%}"),
    "accuracy_answered": ("of these right", "{:.1%}"),
    "answered_unknown": ("other photos answered", "{:.1%}"),
    "auroc_unknown": ("AUROC landmark or other", "{:.3f}"),
    "file_mb": ("file (MB)", "{:.1f}"),
    "parameters": ("parameters", "{:,}"),
    "milliseconds": ("ms a photo", "{:.0f}"),
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N pictures; everything else is computed from it."""

    paths: list[str]
    labels: np.ndarray  # int (N,), index into class_names; -1 where the picture shows none of them
    probabilities: np.ndarray  # float32 (N, C)
    known: np.ndarray  # (N,) in [0, 1], how surely the picture shows one of the classes at all
    class_names: list[str]  # C

    def __post_init__(self) -> None:
        n, classes = len(self.paths), len(self.class_names)
        shapes = self.labels.shape, self.probabilities.shape, self.known.shape
        if shapes != ((n,), (n, classes), (n,)):
            raise ValueError(f"{n} pictures, {classes} classes, but arrays of the shapes {shapes}.")

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def names(self) -> list[str]:
        """The classes as people read them; two that would read the same keep their class names."""
        names = [describe(name).name for name in self.class_names]
        uses = Counter(names)
        return [n if uses[n] == 1 else c for n, c in zip(names, self.class_names, strict=True)]

    @property
    def predicted(self) -> np.ndarray:
        """(N,) index of the likeliest class."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """(N,) probability of the likeliest class."""
        return self.probabilities.max(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """(N,) bool; False throughout for pictures of nothing known."""
        return self.predicted == self.labels

    def answered(self, threshold: float) -> np.ndarray:
        """(N,) bool: known >= threshold, compared in double precision as the predictor does."""
        return self.known.astype(np.float64) >= threshold

    def with_temperature(self, temperature: float, shown: np.ndarray | float = 1.0) -> Predictions:
        """What the network says with its logits divided by `temperature`.

        `shown` (N,): the probability that the picture shows a place at all; known is its product with
        the largest probability.
        """
        logits = np.log(self.probabilities.clip(1e-30)) / temperature
        calibrated = special.softmax(logits, axis=1)
        return replace(self, probabilities=calibrated, known=shown * calibrated.max(axis=1))

    @property
    def table(self) -> pd.DataFrame:
        """One row a picture: path, label and prediction by name, probability, known, correct."""
        return pd.DataFrame(
            {
                "path": self.paths,
                "label": [self.names[label] if label >= 0 else "" for label in self.labels],
                "prediction": [self.names[label] for label in self.predicted],
                "probability": self.confidence,
                "known": self.known,
                "correct": self.correct,
            }
        )


def predict(model: nn.Module, loader, class_names: Sequence[str], device="cpu") -> Predictions:
    """Run a network over every sample of a loader that neither shuffles nor drops any.

    `model` is on `device` and gives logits (B, C) for a batch; `loader.dataset` has `paths`. Each
    module is afterwards in the training mode it was in. ValueError when samples are missing.
    """
    logits, labels = [torch.empty(0, len(class_names))], [torch.empty(0, dtype=torch.int64)]
    with _evaluating(model):
        for x, y in loader:
            logits.append(model(x.to(device)).float().cpu())
            labels.append(y)

    dataset, labels = loader.dataset, torch.cat(labels).numpy()
    if len(labels) != len(dataset):
        raise ValueError(f"The loader served {len(labels)} of {len(dataset)} samples; use drop_last=False.")
    if not np.array_equal(labels, getattr(dataset, "labels", labels)):
        raise ValueError("The loader serves the samples out of order; use shuffle=False.")
    probabilities = torch.cat(logits).softmax(dim=1).numpy()
    paths = [str(path) for path in dataset.paths]
    return Predictions(paths, labels, probabilities, probabilities.max(axis=1), list(class_names))


def extract_features(network: nn.Module, loader) -> np.ndarray:
    """What the last layer of a network sees of each picture of a loader, float32 (N, F)."""
    with _evaluating(network):
        return np.concatenate([network.features(x).float().numpy() for x, _ in loader])


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation and inference mode; each module is afterwards in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes:  # one by one: frozen parts stay in eval mode
            module.training = training


def predict_export(
    predictor: Predictor, pictures, labels: Sequence[int] | None = None, threads: int = 2
) -> Predictions:
    """Run an exported model on picture files, one by one as in the app.

    `pictures` is a data set with `paths` and `labels`, or a list of paths; pictures without labels
    show nothing known. DataError naming the file when one cannot be read.
    """
    if hasattr(pictures, "paths"):
        pictures, labels = pictures.paths, pictures.labels
    names, paths = list(predictor.class_names), [str(path) for path in pictures]
    labels = np.full(len(paths), -1) if labels is None else np.asarray(labels)
    probabilities = np.empty((len(paths), len(names)), dtype=np.float32)
    known = np.empty(len(paths), dtype=np.float32)
    # disable=None: a bar in terminals and notebooks, nothing in a log
    decoded = progress_bar(_decoded(paths, threads), total=len(paths), unit="photo", disable=None)
    for row, picture in enumerate(decoded):
        with torch.inference_mode():
            answer = predictor.model.predict(picture[None])
        probabilities[row], known[row] = (part[0].cpu().numpy() for part in answer)
    return Predictions(paths, labels, probabilities, known, names)


def _decoded(paths: Sequence[str], threads: int) -> Iterator[Tensor]:
    """Pictures as uint8 (3, H, W), a few of them decoded ahead while the model works."""
    with ThreadPoolExecutor(threads) as pool:
        ahead = deque()
        for path in paths:
            ahead.append(pool.submit(_decode, path))
            if len(ahead) > 4 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decode(path: str) -> Tensor:
    picture = np.array(read_picture(Path(path), PHOTO_SIDE))
    if min(picture.shape[:2]) < 32:
        raise DataError(f"{path} is smaller than the 32 × 32 pixels that exports take; remove it.")
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def figures(
    predictions: Predictions, threshold: float | None = None, unknown: Predictions | None = None
) -> dict[str, int | float | None]:
    """Every figure of one evaluation as plain numbers, shares in [0, 1].

    Macro averages go over the classes that have pictures. With a `threshold` on `known`: how many
    are answered, and how many of these rightly (None if none is answered). With `unknown`, pictures
    of none of the classes: how well those are told apart. ValueError without pictures or labels.
    """
    labels, correct = predictions.labels, predictions.correct
    n, classes = len(predictions), range(len(predictions.class_names))
    if not n or (labels < 0).any() or (unknown is not None and not len(unknown)):
        raise ValueError("Figures need at least one picture, and a label for each.")
    low, high = wilson_interval(int(correct.sum()), n)
    top5 = 1.0  # among five classes or fewer, the right one is always one of the first five
    if len(classes) > 5:
        top5 = metrics.top_k_accuracy_score(labels, predictions.probabilities, k=5, labels=classes)
    classwise = per_class(predictions).query("support > 0")
    result = {
        "n": n,
        "accuracy": float(correct.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "top5": float(top5),
        "macro_precision": float(classwise.precision.mean()),
        "macro_recall": float(classwise.recall.mean()),
        "macro_f1": float(classwise.f1.mean()),
        "log_loss": float(metrics.log_loss(labels, predictions.probabilities, labels=classes)),
        "ece": expected_calibration_error(predictions.confidence, correct),
    }
    if threshold is not None:
        answered = predictions.answered(threshold)
        result["threshold"] = float(threshold)
        result["coverage"] = float(answered.mean())
        result["accuracy_answered"] = float(correct[answered].mean()) if answered.any() else None
    if unknown is not None:
        is_known = np.repeat([1, 0], [n, len(unknown)])
        scores = np.concatenate([predictions.known, unknown.known])
        result["n_unknown"] = len(unknown)
        result["auroc_unknown"] = float(metrics.roc_auc_score(is_known, scores))
        if threshold is not None:
            result["answered_unknown"] = float(unknown.answered(threshold).mean())
    return result


def per_class(predictions: Predictions) -> pd.DataFrame:
    """One row a class: class_name, landmark, precision, recall, f1, support (pictures of it).

    A class never predicted has precision 0; one without pictures has no recall and no F1 (NaN).
    """
    classes = range(len(predictions.class_names))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        predictions.labels, predictions.predicted, labels=classes, zero_division=0
    )
    return pd.DataFrame(
        {
            "class_name": predictions.class_names,
            "landmark": predictions.names,
            "precision": precision,
            "recall": np.where(support, recall, np.nan),
            "f1": np.where(support, f1, np.nan),
            "support": support,
        }
    )


def confusion(predictions: Predictions) -> np.ndarray:
    """Counts (C, C); row: what the picture shows, column: what the network says."""
    classes = range(len(predictions.class_names))
    return metrics.confusion_matrix(predictions.labels, predictions.predicted, labels=classes)


def most_confused(predictions: Predictions, n: int = 10) -> pd.DataFrame:
    """The n commonest mistakes: label, prediction, count, share (of the label's pictures)."""
    counts, names = confusion(predictions), np.array(predictions.names)
    label, prediction = np.nonzero(counts - np.diag(counts.diagonal()))
    count = counts[label, prediction]
    columns = {"label": names[label], "prediction": names[prediction], "count": count}
    table = pd.DataFrame(columns | {"share": count / counts.sum(axis=1)[label]})
    return table.sort_values(["count", "share"], ascending=False, ignore_index=True).head(n)


def milliseconds(predictor: Predictor, picture: Image.Image, repeats: int = 20) -> float:
    """Median time of one answer, from the decoded picture on."""
    times = []
    for _ in range(3 + repeats):
        start = time.perf_counter()
        predictor.predict([picture])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[3:]))  # the first ones compile and warm up


def costs(predictor: Predictor, path: Path, photo: str | Path) -> dict[str, float]:
    """What an export takes: file_mb (10^6 bytes), parameters, milliseconds for `photo`, once decoded."""
    picture = Image.fromarray(read_picture(Path(photo), PHOTO_SIDE))
    return {
        "file_mb": Path(path).stat().st_size / 1e6,
        "parameters": sum(parameter.numel() for parameter in predictor.model.parameters()),
        "milliseconds": milliseconds(predictor, picture),
    }


def compare(rows: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Networks side by side, for reading; each of `rows` holds `figures` and `costs` together.

    What a row does not hold is a dash; a column that none of them holds is left out.
    """
    table = {}
    for key, (column, form) in COLUMNS.items():
        values = [row.get(key) for row in rows.values()]
        if any(value is not None for value in values):
            table[column] = ["–" if value is None else form.format(value) for value in values]
    return pd.DataFrame(table, index=list(rows))


def match_classes(labels: Sequence[int], names: Sequence[str], known: list[str]) -> list[int]:
    """Labels counting class folders `names` as labels counting an export's classes `known`.

    Not every class needs a folder. DataError when a folder is none of the classes.
    """
    if strange := [name for name in names if name not in known]:
        raise DataError(
            f"The export does not know {len(strange)} of the {len(names)} class folders, such as "
            f"{strange[0]}; evaluate it on the data set it was trained on or rename the folders."
        )
    return [known.index(names[label]) for label in labels]


def write_results(out: Path, result: Mapping, predictions: Predictions, unknown: Predictions | None) -> None:
    """Write figures.json, the tables and the pictures of one evaluation into the folder `out`."""
    from src.evaluation import plots  # here, because it needs this module

    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    predictions.table.to_csv(out / "predictions.csv", index=False, errors="surrogateescape")
    per_class(predictions).to_csv(out / "per_class.csv", index=False)
    if unknown is not None:
        unknown.table.to_csv(out / "unknown.csv", index=False, errors="surrogateescape")
    for name, drawing in plots.plot_all(predictions, unknown, result["threshold"]).items():
        drawing.savefig(out / f"{name}.png")


def evaluate(args: argparse.Namespace) -> None:
    """What the command line asks for. DataError or OSError for wrong input."""
    from src.inference.predictor import Predictor  # here, so that scoring a network does not need it

    try:
        predictor = Predictor.load(args.export)
    except ValueError as error:
        raise DataError(error) from error
    folder = (Path(args.data) if args.data else find_data_set(download=False)) / args.split
    paths, labels, names = list_pictures(folder)
    labels = match_classes(labels, names, predictor.class_names)
    strangers = find_photos(args.unknown) if args.unknown else None

    predictions = predict_export(predictor, paths, labels)
    unknown = predict_export(predictor, strangers) if strangers else None
    result = dict.fromkeys(("n_unknown", "auroc_unknown", "answered_unknown"))  # null: not measured
    result |= figures(predictions, predictor.known_threshold, unknown)
    result |= costs(predictor, args.export, paths[0])
    out = args.out or Path("evaluation") / args.export.stem
    write_results(out, result, predictions, unknown)
    print(f"{args.export} on {len(paths)} photos of {len(names)} landmarks in {folder}\n")
    print(compare({args.export.stem: result}).T.to_string(header=False))
    if len(mistakes := most_confused(predictions, 5)):
        mistakes["share"] = mistakes["share"].map("{:.0%}".format)
        print("\nCommonest mistakes", mistakes.to_string(index=False), sep="\n")
    print(f"\nTables and pictures are in {out}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m src.evaluate`; returns the exit status, 2 for wrong input."""
    parser = argparse.ArgumentParser("python -m src.evaluate", description=main.__doc__)
    parser.add_argument("export", type=Path, metavar="EXPORT", help="an exported model (.pt)")
    parser.add_argument("--data", metavar="ROOT", help="data set; found as for training if missing")
    parser.add_argument("--split", choices=("test", "train"), default="test")
    parser.add_argument("--unknown", metavar="FOLDER", help="photos of none of the landmarks")
    parser.add_argument("--out", type=Path, help="folder to write to (evaluation/NAME)")
    try:
        evaluate(parser.parse_args(arguments))
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    matplotlib.use("Agg")  # draws into files, needs no display
    sys.exit(main())
