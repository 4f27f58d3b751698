"""Predictions first: what a network says of many pictures; figures and plots are made from them later."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from src.data.dataset import PictureDataset
from src.data.decoded import read_picture
from src.data.folders import UNKNOWN, PictureLoader
from src.inference.answers import Answering
from src.landmarks.table import describe
from src.models.classifier import Classifier
from src.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N pictures; everything else is computed from it."""

    paths: list[str]
    labels: np.ndarray  # int (N,), index into class_names; UNKNOWN where the picture shows none of them
    probabilities: np.ndarray  # float32 (N, C)
    known: np.ndarray  # (N,) in [0, 1], how surely the picture shows one of the classes at all
    class_names: list[str]  # C
    titles: Sequence[str] = ()  # C, the classes as people read them, if not as the table of landmarks says

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
        names = list(self.titles) or [describe(name).name for name in self.class_names]
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


def predict(model: nn.Module, loader: PictureLoader, class_names: Sequence[str]) -> Predictions:
    """Run a network, where it is, over every sample of a loader that neither shuffles nor drops any.

    `model` is on any device and gives logits (B, C) for a batch. Each module is afterwards in the
    training mode it was in. ValueError when samples are missing.
    """
    logits, served = [torch.empty(0, len(class_names))], [torch.empty(0, dtype=torch.int64)]
    device = _device(model)
    with _evaluating(model):
        for x, y in loader:
            logits.append(model(x.to(device)).float().cpu())
            served.append(y)

    dataset, labels = loader.dataset, torch.cat(served).numpy()
    if len(labels) != len(dataset):
        raise ValueError(f"The loader served {len(labels)} of {len(dataset)} samples; use drop_last=False.")
    if not np.array_equal(labels, dataset.labels):
        raise ValueError("The loader serves the samples out of order; use shuffle=False.")
    probabilities = torch.cat(logits).softmax(dim=1).numpy()
    paths = [str(path) for path in dataset.paths]
    return Predictions(paths, labels, probabilities, probabilities.max(axis=1), list(class_names))


def extract_features(network: Classifier, loader: PictureLoader) -> np.ndarray:
    """What the last layer of a network, on its device, sees of each picture of a loader, float32 (N, F)."""
    device = _device(network)
    with _evaluating(network):
        return np.concatenate([network.features(x.to(device)).float().cpu().numpy() for x, _ in loader])


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


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
    predictor: Answering,
    pictures: PictureDataset | Sequence[str | Path],
    labels: Sequence[int] | None = None,
    threads: int = 2,
) -> Predictions:
    """Run an exported network on picture files, decoded and answered one by one as in app and tagger.

    `pictures` is a data set, or a list of paths with or without their labels; pictures without labels
    show nothing known. DataError naming the file when one cannot be read.
    """
    if isinstance(pictures, PictureDataset):
        return predict_export(predictor, pictures.paths, pictures.labels, threads)
    paths = [str(path) for path in pictures]
    classes = predictor.class_names
    probabilities = np.empty((len(paths), len(classes)), dtype=np.float32)
    known = np.empty(len(paths), dtype=np.float32)
    decoded = _decoded(paths, predictor.short_side, threads)
    for row, picture in enumerate(progress_bar(decoded, total=len(paths), unit="photo", disable=None)):
        probabilities[row], known[row], _ = predictor.scores(picture)
    return Predictions(
        paths,
        np.full(len(paths), UNKNOWN) if labels is None else np.asarray(labels),
        probabilities,
        known,
        classes,
        [landmark.name for landmark in predictor.landmarks],
    )


def _decoded(paths: Sequence[str], short_side: int, threads: int) -> Iterator[Image.Image]:
    """The pictures in their order, a few of them decoded ahead while the network works."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Image.Image]] = deque()
        for path in paths:
            ahead.append(pool.submit(read_picture, path, short_side))
            if len(ahead) > 4 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
