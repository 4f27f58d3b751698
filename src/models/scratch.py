"""The convolutional network that is trained from scratch."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from src.models.classifier import Classifier


@dataclass(frozen=True)
class NetSettings:
    """The shape of a `LandmarkNet`.

    Attributes:
        widths: channels of each stage; every stage halves height and width.
        depths: residual blocks of each stage.
        dropout: share of the pooled features dropped before the last layer.
        drop_path: largest chance that a block is skipped for a picture; grows linearly with depth
            (stochastic depth, arXiv:1603.09382).
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    dropout: float = 0.2
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.depths) or not self.widths:
            raise ValueError(f"widths {self.widths} and depths {self.depths} must be of one length.")
        if not (0 <= self.dropout < 1 and 0 <= self.drop_path < 1):
            raise ValueError("dropout and drop_path must be in [0, 1).")


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut (arXiv:1512.03385).

    Where the block shrinks the picture the shortcut averages before its 1×1 convolution, so that no
    pixel is thrown away (ResNet-D, arXiv:1812.01187).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        # the block starts as its shortcut: deep networks then train from the first step
        nn.init.zeros_(self.norm2.weight)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.AvgPool2d(stride, ceil_mode=True))
        if inputs != outputs:
            self.shortcut.append(nn.Conv2d(inputs, outputs, 1, bias=False))
            self.shortcut.append(nn.BatchNorm2d(outputs))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.training and self.drop_path > 0:
            keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop_path
            y = y * (keep / (1 - self.drop_path)).to(y.dtype)
        return torch.relu(y + self.shortcut(x))


class LandmarkNet(Classifier):
    """A residual network: convolution stem, four stages, global average pooling, fully connected head.

    ``forward`` takes normalised pictures ``(N, 3, H, W)`` with H, W ≥ 32 and returns logits
    ``(N, classes)``.
    """

    def __init__(self, classes: int, settings: NetSettings | None = None) -> None:
        super().__init__()
        settings = settings or NetSettings()
        self.architecture = {"model": "scratch", **asdict(settings)}
        widths, depths = settings.widths, settings.depths
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        blocks: list[nn.Module] = []
        inputs = widths[0]
        for width, depth in zip(widths, depths, strict=True):
            for block in range(depth):
                drop = settings.drop_path * len(blocks) / max(1, sum(depths) - 1)
                blocks.append(ResidualBlock(inputs, width, 2 if block == 0 else 1, drop))
                inputs = width
        self.stages = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @torch.inference_mode()
    def summary(self, size: int) -> list[dict]:
        """Name, output shape (channels, height, width) and parameters of each part, for a picture size."""
        parts = {"stem": self.stem, **{f"block {n}": b for n, b in self.stages.named_children()}}
        parts |= {"pool": self.pool, "head": nn.Sequential(nn.Flatten(), self.head)}
        x, rows = torch.zeros(1, 3, size, size, device=self.head.weight.device), []
        training = self.training
        self.eval()
        for name, part in parts.items():
            x = part(x)
            parameters = sum(p.numel() for p in part.parameters())
            rows.append({"part": name, "output": tuple(x.shape[1:]), "parameters": parameters})
        self.train(training)
        return rows

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features ``(N, widths[-1])`` and the maps ``(N, widths[-1], h, w)`` whose means they are."""
        maps = self.stages(self.stem(x))
        return self.pool(maps).flatten(1), maps

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))
