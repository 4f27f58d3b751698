"""Every figure and table that is made from predictions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn import metrics

from src.data.decoded import read_picture
from src.evaluation.predictions import Predictions
from src.evaluation.statistics import expected_calibration_error, wilson_interval
from src.inference.answers import Answering
from src.inference.predictor import Predictor

OTHER_LANDMARKS = "other_landmark"  # the kind of unknown photos that is the hardest to tell
LANDMARK_SHARES = (0.01, 0.05, 0.1, 0.3)  # of photo libraries, for `precision_at`

# figure -> how `compare` calls and writes it
COLUMNS = {
    "accuracy": ("accuracy", "{:.1%}"),
    "accuracy_low": ("95 % from", "{:.1%}"),
    "accuracy_high": ("to", "{:.1%}"),
    "top5": ("top-5", "{:.1%}"),
    "macro_f1": ("macro F1", "{:.1%}"),
    "log_loss": ("log loss", "{:.3f}"),
    "ece": ("ECE", "{:.1%}"),
    "ece_known": ("ECE with unknown photos", "{:.1%}"),
    "coverage": ("landmark photos answered", "{:.1%}"),
    "accuracy_answered": ("of these right", "{:.1%}"),
    "answered_unknown": ("unknown photos answered", "{:.1%}"),
    "auroc_unknown": ("AUROC landmark or unknown", "{:.3f}"),
    "file_mb": ("file (MB)", "{:.1f}"),
    "parameters": ("parameters", "{:,}"),
    "milliseconds": ("ms a photo", "{:.0f}"),
}


def figures(
    predictions: Predictions, threshold: float | None = None, unknown: Predictions | None = None
) -> dict[str, int | float | None]:
    """Every figure of one evaluation as plain numbers, shares in [0, 1].

    Macro averages go over the classes that have pictures. With a `threshold` on `known`: how many
    are answered, and how many of these rightly (None if none is answered). With `unknown`, pictures
    of none of the classes: how well those are told apart, and the calibration error of `known` over both
    (no answer to them is right). ValueError without pictures or labels.
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
    result: dict[str, int | float | None] = {
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
        right = np.concatenate([correct, np.zeros(len(unknown), dtype=bool)])
        result["ece_known"] = expected_calibration_error(scores, right)
        if threshold is not None:
            result["answered_unknown"] = float(unknown.answered(threshold).mean())
    return result


def precision_at(
    result: Mapping[str, int | float | None], shares: Sequence[float] = LANDMARK_SHARES
) -> dict[str, float] | None:
    """How many of the tags in a photo library are right, by its share of landmark photos ("10 %").

    From the `figures` of landmark and unknown photos (Bayes' rule): of a share s of landmark photos,
    ``coverage`` are answered and ``accuracy_answered`` of these rightly; of the rest,
    ``answered_unknown`` are answered, all wrongly. None without these figures or where nothing is answered.
    """
    keys = ("coverage", "accuracy_answered", "answered_unknown")
    coverage, right, wrong = (result.get(key) for key in keys)
    if coverage is None or right is None or wrong is None:
        return None
    return {f"{s:.0%}": s * coverage * right / (s * coverage + (1 - s) * wrong) for s in shares}


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


def by_kind(unknown: Predictions, folders: Sequence[Path], threshold: float) -> pd.DataFrame:
    """How many photos of no landmark are answered, a row a kind: kind, photos, answered (share).

    A kind is a sub-folder of one of `folders`, where the photos come from, or such a folder itself for the
    photos that lie right there.
    """
    kinds = [_kind_of(Path(path), folders) for path in unknown.paths]
    table = pd.DataFrame({"kind": kinds, "answered": unknown.answered(threshold)})
    found = table.groupby("kind").answered.agg(["size", "mean"]).reset_index()
    return found.set_axis(["kind", "photos", "answered"], axis=1)


def is_of_kind(unknown: Predictions, kind: str) -> np.ndarray:
    """(N,) bool: whether a photo lies in a folder of this name."""
    return np.array([Path(path).parent.name == kind for path in unknown.paths], dtype=bool)


def _kind_of(path: Path, folders: Sequence[Path]) -> str:
    folder = max((one for one in folders if path.is_relative_to(one)), key=lambda one: len(one.parts))
    name = folder.name or folder.resolve().name
    below = path.relative_to(folder).parts[:-1]
    return "/".join((name, *below[:1]))


def most_confused(predictions: Predictions, n: int = 10) -> pd.DataFrame:
    """The n commonest mistakes: label, prediction, count, share (of the label's pictures)."""
    counts, names = confusion(predictions), np.array(predictions.names)
    label, prediction = np.nonzero(counts - np.diag(counts.diagonal()))
    count = counts[label, prediction]
    columns = {"label": names[label], "prediction": names[prediction], "count": count}
    table = pd.DataFrame(columns | {"share": count / counts.sum(axis=1)[label]})
    return table.sort_values(["count", "share"], ascending=False, ignore_index=True).head(n)


def milliseconds(predictor: Answering, picture: Image.Image, repeats: int = 20) -> float:
    """Median time of one answer, from the decoded picture on."""
    times = []
    for _ in range(3 + repeats):
        start = time.perf_counter()
        predictor.predict([picture])
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[3:]))  # the first ones compile and warm up


def costs(predictor: Predictor, path: Path, photo: str | Path) -> dict[str, int | float]:
    """What an export takes: file_mb (10^6 bytes), parameters, milliseconds for `photo`, once decoded."""
    picture = read_picture(photo, predictor.short_side)
    return {
        "file_mb": Path(path).stat().st_size / 1e6,
        "parameters": predictor.info["parameters"],
        "milliseconds": milliseconds(predictor, picture),
    }


def compare(rows: Mapping[str, Mapping[str, int | float | None]]) -> pd.DataFrame:
    """Networks side by side, for reading; each of `rows` holds `figures` and `costs` together.

    What a row does not hold is a dash; a column that none of them holds is left out.
    """
    table = {}
    for key, (column, form) in COLUMNS.items():
        values = [row.get(key) for row in rows.values()]
        if any(value is not None for value in values):
            table[column] = ["–" if value is None else form.format(value) for value in values]
    return pd.DataFrame(table, index=list(rows))
