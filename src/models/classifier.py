"""What every network of this project has, whoever trains, exports or explains it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Classifier(nn.Module):
    """Features that are means of maps, and a linear head over them.

    ``forward`` takes normalised pictures ``(N, 3, H, W)`` and returns logits ``(N, classes)``.

    Attributes:
        architecture: what describes it; travels in checkpoints, to be built again, and in exports.
        head: the last layer, from F features to logits.
    """

    architecture: dict[str, Any]
    head: nn.Linear

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features ``(N, F)`` and the maps ``(N, F, h, w)`` whose means they are."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """Pooled features ``(N, F)``."""
        return self.features_and_maps(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, classes)``."""
        return self.head(self.features(x))
