"""How far a figure can be trusted: intervals, calibration error, and whether two networks differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from src.evaluation.predictions import Predictions

BINS = 15  # of equal mass, for the expected calibration error


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval (low, high) of the share of `successes` among `n`."""
    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def reliability_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Bins of equal mass, least confident first: mean confidence, accuracy and count of each.

    Pictures of the very same confidence share their accuracy: their order must not matter.
    """
    confidence = np.asarray(confidence, dtype=np.float64)
    _, ties = np.unique(confidence, return_inverse=True)
    accuracy = (np.bincount(ties, weights=correct) / np.bincount(ties))[ties]
    parts = np.array_split(np.argsort(confidence), min(bins, len(confidence)))
    rows = [(confidence[part].mean(), accuracy[part].mean(), len(part)) for part in parts]
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "count"])


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> float:
    """Mean distance between confidence (N,) and accuracy over bins of equal mass, in [0, 1]."""
    table = reliability_bins(confidence, correct, bins)
    return float(np.average((table.accuracy - table.confidence).abs(), weights=table["count"]))


def mcnemar(a: Predictions, b: Predictions) -> float:
    """Exact p value of McNemar's test that two networks are right equally often.

    ValueError when the two have not seen the same pictures.
    """
    if a.paths != b.paths or not np.array_equal(a.labels, b.labels):
        raise ValueError("Networks are compared on the same pictures in the same order.")
    only_a = int((a.correct & ~b.correct).sum())
    only_b = int((b.correct & ~a.correct).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
