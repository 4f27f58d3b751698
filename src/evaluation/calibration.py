"""How an answer is made trustworthy after the training: temperature, gate and threshold.

A photo counts as known as surely as two things hold at once: it shows a place at all (the gate, a
linear classifier on the network's features), and it shows this landmark (the calibrated probability).
Photos of everyday things fail at the first, other landmarks at the second. A network that trained with
everyday photos is unsure about them by itself; there the gate counts less, as it says nothing about
other landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from src.data.dataset import PictureDataset
from src.data.folders import OTHER, Pictures, split_others
from src.evaluate import Predictions, extract_features, predict
from src.evaluation.statistics import choose_threshold, fit_temperature

# Where the network trained with everyday photos. Chosen on validation photos of a network that was trained
# without ten landmarks: of their photos 55 % are answered instead of 59 % with 1, at 96.5 % coverage. Lower
# powers spare no more of them, and let everyday photos through.
GATE_POWER = 0.5


@dataclass(frozen=True)
class Calibration:
    """What is fitted after the training and travels inside the export.

    Attributes:
        temperature: divides the logits before the softmax (arXiv:1706.04599).
        threshold: the smallest ``known`` at which an answer is given.
        gate: from features ``(N, F)`` to the log odds ``(N, 1)`` that a photo shows a place at all;
            None for a network that has never met other photos.
        gate_power: ``known`` is what the gate says to this power, times the largest probability.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    gate: nn.Linear | None = None
    gate_power: float = 1.0

    def shown(self, features: Tensor) -> Tensor:
        """What the gate says of features ``(N, F)``: factors of ``known`` ``(N,)``, in [0, 1]."""
        if self.gate is None:
            return torch.ones(len(features))
        return self.gate(features).sigmoid()[:, 0] ** self.gate_power


def fit_gate(places: np.ndarray, others: np.ndarray) -> nn.Linear:
    """Fit the gate: logistic regression that tells features ``(N, F)`` of landmarks from others.

    Both sides weigh the same, however many pictures they have.
    """
    # strongly regularised: it has to hold for kinds of photos that it never met
    regression = LogisticRegression(C=0.01, max_iter=1000, class_weight="balanced")
    model = make_pipeline(StandardScaler(), regression)
    model.fit(np.concatenate([places, others]), np.repeat([1, 0], [len(places), len(others)]))
    weight = regression.coef_ / model[0].scale_  # the scaling folded into one layer
    gate = nn.Linear(places.shape[1], 1)
    with torch.no_grad():
        gate.weight.copy_(torch.from_numpy(weight))
        gate.bias.copy_(torch.from_numpy(regression.intercept_ - weight @ model[0].mean_))
    return gate.requires_grad_(False)


def calibrate(
    network: nn.Module, pictures: Pictures, others: str | Path | None = None
) -> tuple[Calibration, Predictions]:
    """Fit temperature and threshold on the validation pictures, and the gate where ``others`` are given.

    Args:
        network: on the CPU, with ``features`` and ``head``.
        others: folder of photos of no landmark; only the half that `split_others` sets aside for
            learning is read.

    Returns:
        The calibration, and the calibrated predictions of the validation pictures.
    """
    validated = predict(network, pictures.valid, pictures.class_names)
    temperature = fit_temperature(validated.probabilities, validated.labels)
    if not others:
        calibrated = validated.with_temperature(temperature)
        return Calibration(temperature, choose_threshold(calibrated)), calibrated
    places = pictures.train_plain
    shown = np.asarray(places.dataset.labels) != OTHER  # those that the network trained on come below
    learnt = split_others(others)[0]
    dataset = PictureDataset(
        learnt, [OTHER] * len(learnt), pictures.class_names, pictures.valid.dataset.transform
    )
    strangers = DataLoader(dataset, pictures.valid.batch_size, num_workers=pictures.valid.num_workers)
    gate = fit_gate(extract_features(network, places)[shown], extract_features(network, strangers))
    power = GATE_POWER if not shown.all() else 1.0
    calibration = Calibration(temperature, gate=gate, gate_power=power)
    with torch.inference_mode():
        factors = calibration.shown(torch.from_numpy(extract_features(network, pictures.valid)))
    calibrated = validated.with_temperature(temperature, factors.numpy())
    return replace(calibration, threshold=choose_threshold(calibrated)), calibrated
