"""Loss, optimizers, learning-rate schedules, averaged weights, and the search for a learning rate."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from src.data.folders import UNKNOWN
from src.models.pretrained import TransferNet
from src.training.devices import choose_device
from src.training.recipes import NO_WARMUP, OPTIMIZERS, SCHEDULES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class LandmarkLoss(nn.Module):
    """Cross entropy of logits ``(N, classes)`` against labels or class probabilities, averaged.

    Args:
        label_smoothing: share of the target that is spread over all classes.
        background: whether there are pictures of none of the landmarks. They are one more class, the last
            one of class probabilities and ``UNKNOWN`` of labels. Its logit is 0: one with weights of its own
            could say no more, since only differences of logits count, and so the largest logit of a network
            says by itself how much more a picture is like a landmark than like none.
    """

    def __init__(self, label_smoothing: float = 0.0, *, background: bool = False) -> None:
        super().__init__()
        self.label_smoothing, self.background = label_smoothing, background

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.background:
            logits = F.pad(logits, (0, 1))
            labels = background_last(labels, logits.shape[1] - 1)
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


def background_last(labels: Tensor, classes: int) -> Tensor:
    """Labels whose ``UNKNOWN`` is counted as one more class; class probabilities stay as they are."""
    return labels if labels.ndim > 1 else torch.where(labels == UNKNOWN, classes, labels)


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, layer_decay: float = 1.0
) -> list[dict]:
    """Group the trainable parameters for an optimizer.

    Vectors (biases, the weights of norms) get no weight decay: shrinking them does not regularise.

    Args:
        lr: learning rate of the head.
        layer_decay: the rate of each block, counted from the head, is the next one's times this
            (layer-wise rates, arXiv:1801.06146). 1 means one rate; anything else needs a `TransferNet`.

    Raises:
        ValueError: everything is frozen, or the model has no layers to tell apart.
    """
    depth: dict[int, int] = {}
    deepest: set[int] = set()
    layers: list[nn.Module] = []
    if layer_decay != 1:
        if not isinstance(model, TransferNet):
            raise ValueError(f"layer_decay={layer_decay} needs a pretrained network: set it to 1.")
        layers = model.layers
        depth = {id(p): len(layers) - i for i, layer in enumerate(layers) for p in layer.parameters()}
        deepest = {id(p) for p in model.backbone.parameters()} - depth.keys()
    groups: dict[tuple[int, bool], dict] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        below = len(layers) if id(parameter) in deepest else depth.get(id(parameter), 0)
        decays = parameter.ndim > 1
        group = groups.setdefault(
            (below, decays),
            {"params": [], "lr": lr * layer_decay**below, "weight_decay": weight_decay * decays},
        )
        group["params"].append(parameter)
    if not groups:
        raise ValueError("Every parameter is frozen: unfreeze some before training.")
    return list(groups.values())


def get_optimizer(
    parameters: Iterable,
    name: str = "adamw",
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    betas: tuple[float, float] = (0.9, 0.999),
) -> optim.Optimizer:
    """Build SGD (Nesterov when there is momentum), Adam or AdamW over parameters or groups of them.

    Raises:
        ValueError: no optimizer has this name.
    """
    if name == "sgd":
        return optim.SGD(
            parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0
        )
    if name == "adam":
        return optim.Adam(parameters, lr=lr, betas=betas, weight_decay=weight_decay)
    if name == "adamw":
        return optim.AdamW(parameters, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    raise ValueError(f"There is no optimizer {name!r}; choose one of {', '.join(OPTIMIZERS)}.")


def get_schedule(
    name: str,
    optimizer: optim.Optimizer,
    *,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0.0,
) -> LRScheduler:
    """Build a learning-rate schedule.

    ``cosine`` warms up linearly, then falls along half a cosine to zero; ``onecycle`` (arXiv:1708.07120)
    rises along half a cosine while it warms up, and falls along another; ``constant`` only warms up:
    these step after every batch. ``plateau`` divides by ten when the validation loss has not fallen for
    five epochs, and steps once an epoch with it; it does not warm up.

    Raises:
        ValueError: no schedule has this name, or it should warm up and does not.
    """
    total, warmup = max(1, epochs * steps_per_epoch), round(warmup_epochs * steps_per_epoch)
    if name == "onecycle":
        peaks, rising = [group["lr"] for group in optimizer.param_groups], min(1.0, warmup / total)
        return OneCycleLR(optimizer, peaks, total_steps=total, pct_start=rising)
    if name == "plateau":
        if warmup_epochs:
            raise ValueError(NO_WARMUP)
        return ReduceLROnPlateau(optimizer, factor=0.1, patience=5)
    if name not in SCHEDULES:
        raise ValueError(f"There is no schedule {name!r}; choose one of {', '.join(SCHEDULES)}.")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if name == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))

    return LambdaLR(optimizer, factor)


class MovingAverage(nn.Module):
    """An exponential moving average of a network's weights and buffers, quick to follow in its first steps.

    Unlike torch's `AveragedModel` it counts on the CPU: no update waits for an accelerator.

    Attributes:
        module: a copy of the network, with the averages.
    """

    count: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.module, self.decay = copy.deepcopy(network), decay
        self.register_buffer("count", torch.tensor(0))

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in what the network is now; the first time that is all the average is made of."""
        count = int(self.count)
        decay = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        averages = chain(self.module.parameters(), self.module.buffers())
        for average, current in zip(averages, chain(network.parameters(), network.buffers()), strict=True):
            if decay and average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:  # batch norm's counter, too
                average.copy_(current)
        self.count += 1


def find_learning_rate(
    model: nn.Module,
    loader: Iterable,
    loss: nn.Module,
    *,
    optimizer: str = "adamw",
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 60,
    device: torch.device | None = None,
) -> tuple[pd.DataFrame, float]:
    """Raise the learning rate exponentially batch by batch and watch the loss (arXiv:1506.01186).

    Works on a copy on the device (`choose_device` if not given); the model stays where and as it is. Stops
    once the smoothed loss is four times its best.

    Returns:
        A table of ``lr`` and smoothed ``loss``, and a suggestion: a third of the rate at which the
        loss was lowest, which is still on the falling side.
    """
    import pandas as pd

    device = device or choose_device()
    model = copy.deepcopy(model).to(device).train()
    groups = parameter_groups(model, lr=lowest, weight_decay=0.0)
    stepper = get_optimizer(groups, optimizer, lr=lowest)
    rates, losses, average, batches = [], [], 0.0, iter(loader)
    for step in range(steps):
        batch = next(batches, None)
        if batch is None:  # fewer batches than steps: begin again
            batches = iter(loader)
            batch = next(batches)
        rate = lowest * (highest / lowest) ** (step / max(1, steps - 1))
        for group in stepper.param_groups:
            group["lr"] = rate
        value = loss(model(batch[0].to(device)), batch[1].to(device))
        stepper.zero_grad()
        value.backward()
        stepper.step()
        average = 0.8 * average + 0.2 * value.item()
        rates.append(rate)
        losses.append(average / (1 - 0.8 ** (step + 1)))  # the bias correction of Adam
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
            break
    table = pd.DataFrame({"lr": rates, "loss": losses})
    return table, float(table.lr[table.loss.idxmin()] / 3)


def plot_learning_rates(table: pd.DataFrame, suggestion: float) -> Figure:
    """Draw the loss against the learning rate, with the suggested rate marked."""
    from matplotlib.figure import Figure  # not pyplot: a notebook would show its figures twice

    figure = Figure(figsize=(6, 3.2), dpi=90, layout="tight")
    axis = figure.subplots()
    axis.plot(table.lr, table.loss)
    axis.axvline(suggestion, color="black", linestyle="--", linewidth=1)
    axis.annotate(
        f" suggested {suggestion:.1e}",
        (suggestion, 0.95),
        xycoords=("data", "axes fraction"),
        va="top",
    )
    axis.set(xscale="log", xlabel="learning rate", ylabel="loss (smoothed)")
    axis.set_ylim(top=min(table.loss.max(), 1.5 * table.loss[0]))
    axis.set_title("The loss falls, then explodes: train a little below the lowest point", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
