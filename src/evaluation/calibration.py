"""How an answer is made trustworthy after the training: temperature, gate and threshold.

A photo counts as known as surely as two things hold at once: it shows a place at all (the gate, a
linear classifier on the network's features), and it shows this landmark (the calibrated probability).
Photos of no landmark fail at the first, other landmarks at the second. A network that trained with
unknown photos (outlier exposure) is unsure about them by itself; there the gate counts less, as it says
nothing about other landmarks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from src.data.dataset import PictureDataset
from src.data.decoded import content_digests
from src.data.folders import UNKNOWN, PictureLoader, Pictures, split_unknown
from src.evaluation.predictions import Predictions, extract_features, predict
from src.inference.exporter import Calibration
from src.models.classifier import Classifier

# Where the network trained with unknown photos. Chosen on validation photos of a network that was trained
# without ten landmarks: of their photos 55 % are answered instead of 59 % with 1, at 96.5 % coverage. Lower
# powers spare no more of them, and let photos of no landmark through.
GATE_POWER = 0.5


def fit_gate(places: np.ndarray, unknown: np.ndarray) -> nn.Linear:
    """Fit the gate: logistic regression that tells features ``(N, F)`` of landmarks from those of none.

    Both sides weigh the same, however many pictures they have.
    """
    # strongly regularised: it has to hold for kinds of photos that it never met
    regression = LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced")
    model = make_pipeline(StandardScaler(), regression)
    model.fit(np.concatenate([places, unknown]), np.repeat([1, 0], [len(places), len(unknown)]))
    weight = regression.coef_ / model[0].scale_  # the scaling folded into one layer
    gate = nn.Linear(places.shape[1], 1)
    with torch.no_grad():
        gate.weight.copy_(torch.from_numpy(weight))
        gate.bias.copy_(torch.from_numpy(regression.intercept_ - weight @ model[0].mean_))
    return gate.requires_grad_(False)


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


def choose_threshold(predictions: Predictions, coverage: float = 0.93, accuracy: float = 0.95) -> float:
    """The threshold on `known` from which a picture is answered, chosen on validation pictures.

    The highest one that still answers the share `coverage` of them: silence is worth more than reach, as
    each further percent brings more answers to unknown pictures than the one before. Where less than
    `accuracy` of these answers are right, the lowest one of which so many are (the highest of all if none
    is).
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


def calibrate(
    network: Classifier, pictures: Pictures, unknown: str | Path | None = None
) -> tuple[Calibration, Predictions]:
    """Fit temperature and threshold on the validation pictures, and the gate where ``unknown`` is given.

    Args:
        network: the trained network, on any device.
        pictures: those it was trained on.
        unknown: folder of photos of no landmark; only the half that `split_unknown` sets aside for
            learning is read.

    Returns:
        The calibration, and the calibrated predictions of the validation pictures.
    """
    validated = predict(network, pictures.valid, pictures.class_names)
    temperature = fit_temperature(validated.probabilities, validated.labels)
    trained = pictures.train.dataset
    exposed = [path for path, label in zip(trained.paths, trained.labels, strict=True) if label == UNKNOWN]
    learnt = split_unknown(unknown)[0] if unknown else []
    digests = tuple(content_digests({*exposed, *learnt}).values())
    calibration, shown = Calibration(temperature, learnt=digests), np.ones(len(validated))
    if unknown:
        gate = _gate_of(network, pictures, learnt)
        calibration = replace(calibration, gate=gate, gate_power=GATE_POWER if exposed else 1.0)
        with torch.inference_mode():
            features = torch.from_numpy(extract_features(network, pictures.valid))
            shown = calibration.shown(features).numpy()
    calibrated = validated.with_temperature(temperature, shown)
    return replace(calibration, threshold=choose_threshold(calibrated)), calibrated


def _gate_of(network: Classifier, pictures: Pictures, learnt: list[Path]) -> nn.Linear:
    """The gate between the landmarks among the training pictures and the photos of none, `learnt`."""
    plain, evaluated = pictures.train_plain, pictures.valid
    places = np.not_equal(plain.dataset.labels, UNKNOWN)
    labels = [UNKNOWN] * len(learnt)
    dataset = PictureDataset(learnt, labels, pictures.class_names, evaluated.dataset.transform)
    loader = PictureLoader(dataset, evaluated.batch_size, num_workers=evaluated.num_workers)
    return fit_gate(extract_features(network, plain)[places], extract_features(network, loader))
