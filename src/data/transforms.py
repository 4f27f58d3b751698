"""What a network sees of a picture: the same module in evaluation and export, and the augmentations."""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms import v2


class Preprocess(nn.Module):
    """What a network sees of a picture: resized, centre-cropped, normalised. Scripted as it stands.

    The same module stands before the network in evaluation and inside the export, so the two cannot
    differ. Input: NCHW, uint8 or float in [0, 1], any height and width. Output: float
    ``(N, 3, size, size)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.uint8:
            x = x.to(torch.float32) / 255
        height, width = x.shape[-2], x.shape[-1]
        scale = self.size / min(height, width)
        new_height = max(self.size, int(height * scale + 0.5))
        new_width = max(self.size, int(width * scale + 0.5))
        if new_height != height or new_width != width:
            # antialias: without it a shrunk photo aliases, and accuracy falls by several points
            x = F.interpolate(x, [new_height, new_width], mode="bilinear", antialias=True)
        top, left = (new_height - self.size) // 2, (new_width - self.size) // 2
        x = x[:, :, top : top + self.size, left : left + self.size]
        return (x - self.mean) / self.std


class Transform(Protocol):
    """From uint8 ``(3, H, W)``, as the given epoch sees it, to a normalised float ``(3, size, size)``."""

    def __call__(self, picture: Tensor, epoch: int = 0) -> Tensor: ...


class EvalTransform:
    """Deterministic: uint8 ``(3, H, W)`` to a normalised float ``(3, size, size)``."""

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.preprocess = Preprocess(size, mean, std)

    def __call__(self, picture: Tensor, epoch: int = 0) -> Tensor:
        return self.preprocess(picture[None])[0]


class LowResolution(nn.Module):
    """Shrinks a picture to a random short side of ``sides`` pixels, and resizes it to its own size again.

    Where some classes are known from small pictures only, a network takes blur for a sign of them unless
    others are blurred as well. Pictures that are as small already stay as they are.
    """

    def __init__(self, sides: tuple[int, int] = (64, 160)) -> None:
        super().__init__()
        self.sides = sides

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        side = int(torch.randint(self.sides[0], self.sides[1] + 1, ()))
        if side >= min(height, width):
            return picture
        scale = side / min(height, width)
        small = v2.functional.resize(picture, [round(height * scale), round(width * scale)], antialias=True)
        return v2.functional.resize(small, [height, width], antialias=True)


class TrainTransform:
    """Random crop and zoom, flip, rotation and colour, then normalisation.

    Args:
        sizes: picture sizes in pixels; the run is divided evenly among them, small ones first, which
            saves most of the time and regularises (progressive resizing, as in EfficientNetV2,
            arXiv:2104.00298).
        epochs: length of the run that is divided.
        zoom: smallest share of the picture's area that a crop keeps.
        strong: TrivialAugment (arXiv:2103.10158) and random erasing instead of a mild rotation and
            colour jitter.
        low_resolution: share of the pictures that `LowResolution` blurs.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        epochs: int = 1,
        zoom: float = 0.35,
        strong: bool = True,
        low_resolution: float = 0.0,
    ) -> None:
        self.epochs = epochs
        self.stages = [self._stage(size, mean, std, zoom, strong, low_resolution) for size in sizes]

    @staticmethod
    def _stage(size, mean, std, zoom, strong, low_resolution) -> v2.Compose:
        blur = [v2.RandomApply([LowResolution()], low_resolution)] if low_resolution else []
        shape = [
            v2.RandomResizedCrop(size, scale=(zoom, 1), antialias=True),
            v2.RandomHorizontalFlip(),
        ]
        if strong:
            colour = [v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)]
        else:
            colour = [
                v2.RandomRotation(10, interpolation=v2.InterpolationMode.BILINEAR),
                v2.ColorJitter(0.3, 0.3, 0.3, 0.02),
            ]
        normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(std))]
        erase = [v2.RandomErasing(0.25)] if strong else []
        return v2.Compose([*blur, *shape, *colour, *normalise, *erase])

    def __call__(self, picture: Tensor, epoch: int = 0) -> Tensor:
        stage = min(epoch * len(self.stages) // self.epochs, len(self.stages) - 1)
        return self.stages[stage](picture)
