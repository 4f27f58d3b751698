"""Test-time augmentation: further views of a picture, where the first is not clear.

One is the mirror image, in which few landmarks look different. The other, if asked for, is blurred: landmarks
that were learnt from small pictures alone are found in sharp photos more surely when these are blurred as
well. The mean over all views is a better answer than one of them. A photo that is clear by itself stays so,
and so does one that shows nothing known: where the highest probability lies in an interval called ``again``
is enough, and costs little.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from src.models.classifier import Classifier


@dataclass(frozen=True)
class Views:
    """Which pictures are seen again, and how.

    Attributes:
        again: interval of highest probabilities, the background class counted where there is one, in which
            a picture is seen again.
        side: pixels to which a blurred view is shrunk, and enlarged again; 0 for none.
        background: whether the network has a background class (`src.training.optimization.LandmarkLoss`).
    """

    again: tuple[float, float] = (0.0, 2.0)  # every one: no probability is so high
    side: int = 0
    background: bool = False


NEVER = Views((0.0, 0.0))


class TTA(Classifier):
    """A trained network that averages its features over several views, where it is `unsure`.

    Args:
        network: the trained network.
        views: every picture and its mirror image, if not given.
    """

    def __init__(self, network: Classifier, views: Views | None = None) -> None:
        super().__init__()
        self.network, self.head, self.views = network, network.head, views or Views()
        self.architecture = network.architecture | {"views": asdict(self.views)}

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As those of the network; the maps of the mirror image are turned back before they are averaged."""
        features, maps = self.network.features_and_maps(x)
        rows = unsure(self.head(features), self.views.again, self.views.background)
        if len(rows):
            others, their_maps = self.network.features_and_maps(seen_again(x[rows], self.views.side))
            features = averaged(features, rows, others)
            maps = averaged(maps, rows, turned_back(their_maps, len(rows)))
        return features, maps


def unsure(logits: Tensor, again: tuple[float, float], background: bool) -> Tensor:
    """Which rows of ``(N, classes)`` have their highest probability in [again[0], again[1])."""
    if background:
        logits = F.pad(logits, [0, 1])
    highest = logits.softmax(dim=1)[:, : logits.shape[1] - int(background)].amax(dim=1)
    return torch.nonzero((highest >= again[0]) & (highest < again[1]))[:, 0]


def seen_again(x: Tensor, side: int) -> Tensor:
    """The further views of square pictures ``(N, 3, S, S)``: N mirror images, then N blurred ones, if any."""
    mirrored = x.flip(3)
    if side == 0:
        return mirrored
    small = F.interpolate(x, [side, side], mode="bilinear", antialias=True)
    blurred = F.interpolate(small, [x.shape[2], x.shape[3]], mode="bilinear", antialias=True)
    return torch.cat([mirrored, blurred])


def turned_back(maps: Tensor, count: int) -> Tensor:
    """The maps of what `seen_again` gives, those of the `count` mirror images turned back."""
    return torch.cat([maps[:count].flip(3), maps[count:]])


def averaged(first: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """A copy of `first` ``(N, …)`` with the mean over all views in `rows`; `others` as of `seen_again`."""
    total, views = first[rows], others.split(len(rows))
    for view in views:
        total = total + view
    return first.index_copy(0, rows, total / (1 + len(views)))
