"""How surely a photo shows the landmark that a network finds likeliest, and not something unknown.

Open-set recognition: the softmax divides all probability among the known classes, so it alone says little of
photos that show none of them. These modules travel inside the exports.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NEIGHBOURS = 3  # nearest photos whose mean similarity counts


class LargestProbability(nn.Module):
    """The largest probability: all that there is where a network never met unknown photos."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """From features ``(N, F)`` and logits ``(N, classes)`` to ``known`` ``(N,)`` in [0, 1]."""
        return torch.softmax(logits / self.temperature, dim=1).amax(dim=1)


class OpenSetScore(nn.Module):
    """Four signs that the likeliest landmark is the right one, and a logistic regression that weighs them.

    - the largest logit, which is counted against that of the background class, 0 (`LandmarkLoss`);
    - the log odds of the largest probability, which other landmarks lower; of the softmax as the network was
      trained: a temperature that is fitted to landmarks alone makes it surer of others as well;
    - the mean cosine to the nearest training photos of this landmark, less that to the nearest unknown ones
      (nearest neighbours in deep features: arXiv:2204.06507), and less that to those of other landmarks.

    Cosines are those of centred features on the axes along which the training photos differ most.

    Args:
        center: mean of the normalised features of all examples, ``(F,)``.
        axes: principal axes, orthonormal columns ``(F, D)``.
        examples: features ``(P, F)`` of training photos, at least `NEIGHBOURS` of every class.
        owners: their classes, ``(P,)``.
        unknown: features ``(U, F)`` of unknown photos that trained along, at least `NEIGHBOURS`.
    """

    center: Tensor
    axes: Tensor
    examples: Tensor
    owners: Tensor
    unknown: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(
        self, center: Tensor, axes: Tensor, examples: Tensor, owners: Tensor, unknown: Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("axes", axes)
        self.register_buffer("owners", owners)
        self.register_buffer("examples", self.projected(examples))
        self.register_buffer("unknown", self.projected(unknown))
        self.register_buffer("weights", torch.zeros(4))
        self.register_buffer("bias", torch.zeros(()))

    def set_weights(self, weights: Sequence[float], bias: float) -> None:
        """Take over what the logistic regression found for the four signs."""
        self.weights, self.bias = torch.tensor(list(weights)), torch.tensor(bias)

    def projected(self, features: Tensor) -> Tensor:
        """Unit vectors ``(N, D)`` of features ``(N, F)``."""
        return F.normalize((F.normalize(features) - self.center) @ self.axes)

    def signs(self, features: Tensor, logits: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The four signs ``(N, 4)``; as if of each photo the class in ``hidden`` ``(N,)`` were not known."""
        place = self.projected(features)
        similar = place @ self.examples.T
        if hidden is not None:
            logits = logits.scatter(1, hidden[:, None], -float("inf"))
            similar = similar.masked_fill(self.owners[None] == hidden[:, None], -1.0)
        best, top = torch.log_softmax(logits, dim=1).max(dim=1)
        odds = best - torch.log((1 - best.exp()).clamp(min=1e-6))
        mine = self.owners[None] == top[:, None]
        own = _nearest(similar.masked_fill(~mine, -1.0))
        others = _nearest(similar.masked_fill(mine, -1.0))
        return torch.stack([logits.amax(1), odds, own - _nearest(place @ self.unknown.T), own - others], 1)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """From features ``(N, F)`` and logits ``(N, classes)`` to ``known`` ``(N,)`` in [0, 1]."""
        return torch.sigmoid(self.signs(features, logits) @ self.weights + self.bias)


def _nearest(similarities: Tensor, count: int = NEIGHBOURS) -> Tensor:
    return similarities.topk(count, dim=1).values.mean(dim=1)
