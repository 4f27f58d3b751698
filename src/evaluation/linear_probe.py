"""A linear classifier on the features of a frozen pretrained network."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from src.data.folders import load_pictures
from src.evaluation.predictions import Predictions, extract_features
from src.models.pretrained import build_transfer


def linear_probe(name: str, root: str | Path, *, size: int = 224, limit: int | None = None) -> dict:
    """What a frozen backbone is worth: a logistic regression on its features of the training pictures.

    Args:
        name: see `build_transfer`.
        root: folder with ``train/`` and ``test/``; only ``train/`` is used.
        size: side of the pictures, pixels.
        limit: use about so many training pictures.

    Returns:
        ``backbone``, ``size``, ``parameters``, ``milliseconds`` a picture in batches, and ``valid_accuracy``
        in [0, 1].
    """
    start = time.perf_counter()
    model, (train, train_labels), (valid, valid_labels), _ = _frozen_features(name, root, size, limit)
    seconds = time.perf_counter() - start
    return {
        "backbone": name,
        "size": size,
        "parameters": sum(p.numel() for p in model.backbone.parameters()),
        "milliseconds": 1000 * seconds / (len(train) + len(valid)),
        "valid_accuracy": _probe().fit(train, train_labels).score(valid, valid_labels),
    }


def cross_validated(
    name: str, root: str | Path, *, size: int = 224, limit: int | None = None, folds: int = 5
) -> Predictions:
    """What a linear probe says of each training picture when it has learnt from the other folds alone.

    Where it is sure of another class than the label, the label deserves a look: a network that was
    trained on the picture would not tell, it has learnt the wrong label too (confident learning,
    arXiv:1911.00068). Arguments as for `linear_probe`.
    """
    _, *sets, pictures = _frozen_features(name, root, size, limit)
    features, labels = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    probabilities = cross_val_predict(_probe(), features, labels, cv=split, method="predict_proba")
    paths = [str(p) for loader in (pictures.train, pictures.valid) for p in loader.dataset.paths]
    known = probabilities.max(axis=1)
    return Predictions(paths, labels, probabilities.astype(np.float32), known, pictures.class_names)


def _frozen_features(name: str, root: str | Path, size: int, limit: int | None) -> tuple:
    model = build_transfer(name).eval()
    pictures = load_pictures(root, sizes=(size,), normalise=(model.mean, model.std), limit=limit)
    loaders = pictures.plain(range(len(pictures.train.dataset))), pictures.valid
    sets = [(extract_features(model, loader), np.asarray(loader.dataset.labels)) for loader in loaders]
    return model, *sets, pictures


def _probe() -> Pipeline:
    # C chosen once, on validation pictures; scaled features make it fit any backbone
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
