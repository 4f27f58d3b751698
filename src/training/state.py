"""What a training is made of, and what its checkpoints hold."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from src.data.folders import UNKNOWN, Pictures
from src.models.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from src.models.classifier import Classifier
from src.training import distributed as parallel
from src.training.optimization import MovingAverage, get_optimizer, get_schedule, parameter_groups
from src.training.recipes import TrainSettings


@dataclass
class Parts:
    """What changes in a training, and what it takes to go on with it."""

    model: Classifier
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    average: MovingAverage | None

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average.module if self.average else self.model

    def state_dict(self) -> dict[str, dict]:
        return {name: part.state_dict() for name, part in vars(self).items() if part is not None}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        for name, part in vars(self).items():
            if part is not None:
                part.load_state_dict(state[name])


def make_parts(model: Classifier, settings: TrainSettings, steps: int, device: torch.device) -> Parts:
    """Everything that a training needs on the device, made from a copy of the network."""
    network = parallel.synchronised(copy.deepcopy(model).to(device), device)
    network.to(memory_format=torch.channels_last)
    groups = parameter_groups(
        network, lr=settings.lr, weight_decay=settings.weight_decay, layer_decay=settings.layer_decay
    )
    optimizer = get_optimizer(groups, settings.optimizer, lr=settings.lr)
    schedule = get_schedule(
        settings.schedule,
        optimizer,
        epochs=settings.epochs,
        steps_per_epoch=steps,
        warmup_epochs=settings.warmup_epochs,
    )
    average = MovingAverage(network, settings.ema) if settings.ema else None
    return Parts(network, optimizer, schedule, average)


def save(state: dict[str, Any], parts: Parts, folder: Path, *, better: bool) -> None:
    """Write ``last.pt``, and ``best.pt`` too where these weights are better than all before."""
    state = state | {"weights": parts.validated.state_dict()}
    if better:
        save_checkpoint(state, folder / "best.pt")
    save_checkpoint(state | {"resumable": parts.state_dict()}, folder / "last.pt")


def resume(path: Path, about: dict[str, Any], parts: Parts) -> list[dict[str, float]]:
    """The history of the run at this path, whose state the parts take over; empty if there is none.

    Raises:
        CheckpointError: it is a run of something else than what is said `about` this one.
    """
    if not path.exists():
        return []
    state = load_checkpoint(path)
    differ = [name for name, value in about.items() if state.get(name) != value]
    if differ:
        raise CheckpointError(
            f"{path} belongs to a run with another {' and '.join(differ)}: choose another folder for this "
            "run, or remove that one."
        )
    parts.load_state_dict(state["resumable"])
    return state["history"]


def facts_of(pictures: Pictures) -> dict[str, Any]:
    """What a checkpoint says of the pictures, beside their classes and fingerprint."""
    return {
        "mean": pictures.mean,
        "std": pictures.std,
        "size": pictures.size,
        "valid_fraction": pictures.valid_fraction,
        "split_seed": pictures.split_seed,
        "pictures": len(pictures.train.dataset),
        "background": UNKNOWN in pictures.train.dataset.labels,
    }


def trained_by(
    facts: dict[str, Any], phase: str, before: dict[str, Any] | None, epochs: int
) -> dict[str, Any]:
    """The entry ``trained`` of a checkpoint; its form is described in `src.training.runs`."""
    before = before or {"phases": {}, "epochs_run": {}}
    return {
        "recipe": facts["architecture"]["model"],
        "phases": before["phases"] | {phase: facts["settings"]},
        "seed": facts["settings"]["seed"],
        "epochs_run": before["epochs_run"] | {phase: epochs},
        **{name: facts[name] for name in ("valid_fraction", "split_seed", "pictures", "background")},
        "versions": {
            "python": python_version(),
            "torch": str(torch.__version__),
            **{name: version(name) for name in ("torchvision", "timm")},
        },
    }
