"""How far a figure or a probability can be trusted: intervals, calibration error, temperature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

if TYPE_CHECKING:
    from src.evaluate import Predictions

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


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T in [0.05, 20] for which softmax(logits / T) has the lowest log loss.

    `logits` (N, C) may be probabilities as well. Fit it on validation pictures, never on test ones.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        logits = np.log(logits.clip(1e-12))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        return -special.log_softmax(scaled, axis=1)[rows, labels].mean()

    found = optimize.minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded")
    return math.exp(found.x)


def choose_threshold(predictions: Predictions, coverage: float = 0.965, accuracy: float = 0.95) -> float:
    """The threshold on `known` from which a picture is answered, chosen on validation pictures.

    The highest one that still answers the share `coverage` of them (a little more than the 95 % that
    unseen pictures of the landmarks are to reach); where less than `accuracy` of
    these answers are right, the lowest one of which so many are (the highest of all if none is).
    """
    order = np.argsort(-predictions.known, kind="stable")
    known, answered = predictions.known[order], np.arange(1, len(order) + 1)
    right = predictions.correct[order].cumsum() / answered
    possible = np.append(known[1:] < known[:-1], True)  # equal ones are answered together
    known, share, right = known[possible], answered[possible] / len(order), right[possible]
    choice = int(np.argmax(share >= coverage))
    if right[choice] < accuracy:
        choice = int(np.flatnonzero(right[:choice] >= accuracy).max(initial=0))
    return float(known[choice])


def mcnemar(a: Predictions, b: Predictions) -> float:
    """Exact p value of McNemar's test that two networks are right equally often.

    ValueError when the two have not seen the same pictures.
    """
    if a.paths != b.paths or not np.array_equal(a.labels, b.labels):
        raise ValueError("Networks are compared on the same pictures in the same order.")
    only_a = int((a.correct & ~b.correct).sum())
    only_b = int((b.correct & ~a.correct).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
