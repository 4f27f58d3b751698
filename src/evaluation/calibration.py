"""How an answer is made trustworthy after the training: temperature, open-set score and threshold.

All are fitted on the validation pictures and on unknown photos of sources that the network never met. What
a score is worth in a photo library depends on how many of its photos show a landmark at all, so the
threshold is set for such a library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import optimize, special
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from src.data.decoded import content_digests
from src.data.folders import UNKNOWN, PictureLoader, Pictures
from src.evaluation.predictions import Predictions, extract_features
from src.evaluation.statistics import wilson_interval
from src.inference.exporter import Calibration
from src.inference.space import fit_space
from src.models.classifier import Classifier
from src.models.open_set import NEIGHBOURS, LargestProbability, OpenSetScore

LANDMARK_SHARE = 0.1  # of the library that the threshold is set for
OTHER_SHARE = 0.1  # and so many of its photos show landmarks that the network does not know
AIM = 0.97  # of 100 tags there, so many are right
EXAMPLES = 32  # training photos of a class that travel in the export
AXES = 128  # of their features


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


def choose_threshold(
    predictions: Predictions, unknown: np.ndarray | None = None, coverage: float = 0.9, aim: float = AIM
) -> float:
    """The threshold on `known` from which a picture is answered, chosen on validation pictures.

    The lowest one at which the share `aim` of all tags in a library is right, `LANDMARK_SHARE` of whose
    photos show a landmark. Where that would answer less than `coverage` of the landmark photos, or nothing
    is known of `unknown` photos, the highest one that answers so many of them. Of how many unknown photos
    are answered the upper end of Wilson's 95 % interval counts: none of a few hundred is not none at all.

    Args:
        predictions: of validation pictures.
        unknown: ``known`` of unknown photos ``(U,)``.
    """
    known, order = predictions.known.astype(np.float64), np.argsort(-predictions.known, kind="stable")
    known, answered = known[order], np.arange(1, len(order) + 1) / len(order)
    right = predictions.correct[order].cumsum() / len(order)
    possible = np.append(known[1:] < known[:-1], True)  # equal ones are answered together
    known, answered, right = known[possible], answered[possible], right[possible]
    enough = int(np.argmax(answered >= coverage))
    if unknown is None or not len(unknown):
        return float(known[enough])
    among = (np.asarray(unknown, dtype=np.float64)[None] >= known[:, None]).sum(axis=1)
    wrong = np.array([wilson_interval(int(count), len(unknown))[1] for count in among])
    tags = LANDMARK_SHARE * answered + (1 - LANDMARK_SHARE) * wrong
    reached = np.flatnonzero(LANDMARK_SHARE * right / tags >= aim)
    return float(known[max(enough, reached.max(initial=0))])


def calibrate(
    network: Classifier, pictures: Pictures, choose: Sequence[Path] = (), coverage: float = 0.9
) -> tuple[Calibration, Predictions]:
    """Fit temperature, score and threshold.

    Args:
        network: the trained network, on any device.
        pictures: those it was trained on; without unknown photos among them the score is the largest
            probability.
        choose: unknown photos to fit by, of sources that are not in ``pictures``.
        coverage: see `choose_threshold`.

    Returns:
        The calibration, and the calibrated predictions of the validation pictures.
    """
    valid, trained = pictures.valid.dataset, pictures.train.dataset
    features, logits = _seen(network, pictures.valid)
    paths, labels = [str(path) for path in valid.paths], np.asarray(valid.labels)
    temperature = fit_temperature(logits.numpy(), labels)
    probabilities = (logits / temperature).softmax(dim=1).numpy()
    validated = Predictions(paths, labels, probabilities, probabilities.max(axis=1), pictures.class_names)
    exposed = [path for path, label in zip(trained.paths, trained.labels, strict=True) if label == UNKNOWN]
    score: nn.Module = LargestProbability(temperature)
    places, owners = _examples(network, pictures)
    others = None
    unknown_known, met = None, set(exposed)
    if exposed and choose and validated.correct.any():
        unknown = _seen(network, pictures.as_evaluated(choose, [UNKNOWN] * len(choose)))
        others = _unknown_examples(network, pictures)
        score = _with_unknown(places, owners, others)
        fit_score(score, (features, logits), labels, unknown)
        with torch.inference_mode():
            validated = replace(validated, known=score(features, logits).numpy())
            unknown_known = score(*unknown).numpy()
        met.update(choose)
    learnt = tuple(content_digests(met).values())
    threshold = choose_threshold(validated, unknown_known, coverage)
    space = fit_space(places.numpy(), owners.numpy(), None if others is None else others.numpy())
    return Calibration(temperature, threshold, score, learnt, space), validated


def _seen(network: Classifier, loader: PictureLoader) -> tuple[Tensor, Tensor]:
    """Features ``(N, F)`` and logits ``(N, classes)`` of the pictures of a loader, on the CPU."""
    features = torch.from_numpy(extract_features(network, loader))
    with torch.inference_mode():
        return features, network.head(features.to(network.head.weight.device)).float().cpu()


def _examples(network: Classifier, pictures: Pictures) -> tuple[Tensor, Tensor]:
    """Features ``(P, F)`` of some training photos of every class, and their classes ``(P,)``."""
    labels, rng = np.asarray(pictures.train.dataset.labels), np.random.default_rng(0)
    chosen = {c: rng.permutation(np.flatnonzero(labels == c))[:EXAMPLES] for c in np.unique(labels)}
    rows = {c: _enough(found) for c, found in chosen.items() if c != UNKNOWN}
    owners = np.repeat(list(rows), [len(found) for found in rows.values()])
    places = _seen(network, pictures.plain(np.concatenate(list(rows.values())).tolist()))[0]
    return places, torch.from_numpy(owners)


def _enough(found: np.ndarray) -> np.ndarray:
    """At least as many as are averaged, if need be the same ones twice."""
    return np.resize(found, max(len(found), NEIGHBOURS))


def _unknown_examples(network: Classifier, pictures: Pictures) -> Tensor:
    """Features ``(U, F)`` of all unknown photos that trained along."""
    unknown = _enough(np.flatnonzero(np.asarray(pictures.train.dataset.labels) == UNKNOWN))
    return _seen(network, pictures.plain(unknown.tolist()))[0]


def _with_unknown(places: Tensor, owners: Tensor, others: Tensor) -> OpenSetScore:
    """A score that has seen all unknown training photos, and some of every class."""
    unit = nn.functional.normalize(torch.cat([places, others])).numpy()
    fitted = PCA(min(AXES, *unit.shape), svd_solver="full").fit(unit)
    center, axes = torch.from_numpy(fitted.mean_), torch.from_numpy(fitted.components_.T.copy())
    return OpenSetScore(center, axes, places, owners, others)


def fit_score(
    score: OpenSetScore, valid: tuple[Tensor, Tensor], labels: np.ndarray, unknown: tuple[Tensor, Tensor]
) -> None:
    """Fit the weights of the signs: is the answer right?, in a library as the shares above say.

    Photos of other landmarks are the validation photos that are named rightly, with their own class hidden.
    Then the odds are moved to those of a set half of whose photos show landmarks (Bayes' rule), so that
    ``known`` is what it says of a photo of which nothing else is known.
    """
    features, logits = valid
    right = logits.argmax(1).numpy() == labels
    hide = right if logits.shape[1] > 2 else np.zeros_like(right)  # the last one that is left would be sure
    with torch.inference_mode():
        others = score.signs(features[hide], logits[hide], torch.from_numpy(labels[hide]))
        parts = [one.numpy() for one in (score.signs(*valid), score.signs(*unknown), others)]
    sizes = [len(part) for part in parts]
    shares = LANDMARK_SHARE, 1 - LANDMARK_SHARE - OTHER_SHARE, OTHER_SHARE
    each = [share / max(1, size) for share, size in zip(shares, sizes, strict=True)]
    signs, weigh = np.concatenate(parts), np.repeat(each, sizes) * len(right) / LANDMARK_SHARE
    true = np.concatenate([right, np.zeros(sum(sizes[1:]), dtype=bool)])
    scaler = StandardScaler().fit(signs)
    regression = LogisticRegression().fit(scaler.transform(signs), true, sample_weight=weigh)
    weights = regression.coef_[0] / scaler.scale_  # the scaling folded into them
    even = math.log(1 / LANDMARK_SHARE - 1)
    score.set_weights(weights.tolist(), float(regression.intercept_[0] - weights @ scaler.mean_) + even)
