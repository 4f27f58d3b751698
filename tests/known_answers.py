"""Predictions with known answers, for the tests of figures and of plots."""

import numpy as np

from src.evaluation.predictions import Predictions


def said(labels, predicted, classes=3, confidence=0.8, known=None) -> Predictions:
    """Predictions with these labels and answers, the rest of the probability spread evenly."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    confidence = np.broadcast_to(np.asarray(confidence, dtype=np.float32), labels.shape)
    probabilities = np.repeat((1 - confidence)[:, None] / (classes - 1), classes, axis=1)
    probabilities[np.arange(len(labels)), predicted] = confidence
    known = confidence if known is None else np.asarray(known, dtype=np.float32)
    paths = [f"{number}.jpg" for number in range(len(labels))]
    names = [f"{number:02}.Old_Tower_{number}" for number in range(classes)]
    return Predictions(paths, labels, probabilities, known, names)
