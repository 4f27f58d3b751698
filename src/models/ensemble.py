"""Several networks for the same classes as one: they err on different photos, above all on unknown ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.classifier import Classifier


class Ensemble(Classifier):
    """Networks side by side, whose logits are averaged (deep ensembles, arXiv:1612.01474).

    Its features are theirs, one after the other, so that one linear head over them gives the mean logits:
    whatever is made from features, maps or the head works with many networks as with one. The logit of a
    background class stays 0.

    Args:
        networks: for the same classes, and for pictures that are normalised alike. They become parts of it,
            and have no head of their own any more.
    """

    def __init__(self, networks: Sequence[Classifier]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.architecture = {"model": "ensemble", "networks": [one.architecture for one in networks]}
        heads = [one.head for one in networks]
        self.head = nn.Linear(sum(head.in_features for head in heads), heads[0].out_features)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([head.weight for head in heads], dim=1) / len(heads))
            self.head.bias.copy_(torch.stack([head.bias for head in heads]).mean(dim=0))
        for one in networks:
            del one.head  # it is in the joint one

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As of each network; maps of other sizes are brought to that of the first."""
        parts = [one.features_and_maps(x) for one in self.networks]  # type: ignore[operator]
        size = parts[0][1].shape[2:]
        maps = [m if m.shape[2:] == size else F.interpolate(m, size, mode="bilinear") for _, m in parts]
        return torch.cat([features for features, _ in parts], dim=1), torch.cat(maps, dim=1)


def combined(networks: Sequence[Classifier]) -> Classifier:
    """The network itself where there is one, else an `Ensemble`."""
    return networks[0] if len(networks) == 1 else Ensemble(networks)
