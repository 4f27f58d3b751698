"""Test-time augmentation with the mirror image.

Few landmarks look different in a mirror, so the mean over a photo and its mirror image is a better answer
than one of them. A photo that is clear by itself stays so, and so does one that shows nothing known: where
the highest probability lies in an interval called ``again`` is enough, and costs little.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from src.models.classifier import Classifier

ALWAYS = (0.0, math.inf)  # `again` of networks that average with the mirror image of every picture
NEVER = (0.0, 0.0)


class MirrorTTA(Classifier):
    """A trained network that averages its features with those of the mirror image, where it is `unsure`.

    Args:
        network: the trained network.
        again: see `unsure`; every picture if not given.
    """

    def __init__(self, network: Classifier, again: tuple[float, float] = ALWAYS) -> None:
        super().__init__()
        self.network, self.head, self.again = network, network.head, again
        self.architecture = network.architecture | {"mirrored": True}

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As those of the network; the maps of the mirror image are turned back before they are averaged."""
        features, maps = self.network.features_and_maps(x)
        rows = unsure(self.head(features), self.again)
        if len(rows):
            mirrored, mirrored_maps = self.network.features_and_maps(x[rows].flip(3))
            features = averaged(features, rows, mirrored)
            maps = averaged(maps, rows, mirrored_maps.flip(3))
        return features, maps


def unsure(logits: Tensor, again: tuple[float, float]) -> Tensor:
    """Which rows of ``(N, classes)`` have their highest probability in [again[0], again[1])."""
    highest = logits.softmax(dim=1).amax(dim=1)
    return torch.nonzero((highest >= again[0]) & (highest < again[1]))[:, 0]


def averaged(first: Tensor, rows: Tensor, second: Tensor) -> Tensor:
    """A copy of `first` ``(N, …)`` whose `rows` are their mean with those of `second` ``(len(rows), …)``."""
    return first.index_copy(0, rows, (first[rows] + second) / 2)
