"""The training loop: one epoch, the validation, and a whole training with its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torchvision.transforms import v2
from tqdm.auto import tqdm

from src.data.dataset import EpochSampler
from src.data.folders import Pictures
from src.models.checkpoints import load_checkpoint
from src.models.classifier import Classifier
from src.training import distributed as parallel
from src.training.devices import autocast, choose_device
from src.training.optimization import LandmarkLoss, MovingAverage, background_last
from src.training.recipes import TrainSettings
from src.training.state import facts_of, make_parts, resume, save, trained_by

SHOWN_EVERY = 10  # steps between two figures at the progress bar, each of which waits for the accelerator

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Meter:
    """Loss and accuracy over pictures, which stay on their device until they are read.

    Reading a number from an accelerator waits for everything that is queued there.
    """

    def __init__(self) -> None:
        self.loss, self.right, self.known, self.seen = 0.0, 0.0, 0.0, 0
        self._unread: list[tuple[Tensor, int]] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: its mean loss ``()``, logits ``(N, classes)``, labels or class probabilities."""
        hard = labels.argmax(1) if labels.ndim > 1 else labels
        right, known = (logits.argmax(1) == hard).sum(), ((hard >= 0) & (hard < logits.shape[1])).sum()
        self._unread.append((torch.stack([loss.detach(), right.float(), known.float()]), len(hard)))

    def read(self) -> tuple[float, float, float, int]:
        """Summed loss, right answers, pictures with a landmark, and pictures, so far."""
        if self._unread:
            rows = torch.stack([row for row, _ in self._unread]).tolist()
            for (loss, right, known), (_, count) in zip(rows, self._unread, strict=True):
                self.loss += loss * count
                self.right += right
                self.known += known
                self.seen += count
            self._unread.clear()
        return self.loss, self.right, self.known, self.seen


def unmixed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The batch as it is."""
    return x, y


def mixing(settings: TrainSettings, classes: int, *, background: bool = False) -> Mix:
    """The function ``(x, y) → (x, y)`` that mixes pictures and labels of a batch, or leaves them.

    With a ``background``, pictures of none of the classes are mixed too, as one more class.
    """
    choices: list[Callable] = [unmixed]
    if settings.mixup:
        choices.append(v2.MixUp(alpha=settings.mixup, num_classes=classes + background))
    if settings.cutmix:
        choices.append(v2.CutMix(alpha=settings.cutmix, num_classes=classes + background))
    if len(choices) == 1:
        return unmixed
    choice = v2.RandomChoice(choices)
    return lambda x, y: choice(x, background_last(y, classes))


def train_one_epoch(
    model: nn.Module,
    loader: Iterable,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    *,
    schedule: LRScheduler | None = None,
    average: MovingAverage | None = None,
    mix: Mix = unmixed,
    clip: float = 0.0,
    bar: tqdm | None = None,
) -> dict[str, float]:
    """Train over the loader once.

    Returns:
        ``loss``, a mean over pictures, and ``accuracy`` in [0, 1], over those that show a landmark and
        against the larger label of mixed ones.
    """
    model.train()
    meter = Meter()
    for step, (pictures, labels) in enumerate(loader):
        # mixed on the device: only what comes from the loader is in pinned memory
        pictures, labels = mix(*_moved(pictures, labels, device))
        with autocast(device):
            logits = model(pictures.contiguous(memory_format=torch.channels_last))
        value = loss(logits.float(), labels)
        optimizer.zero_grad()
        value.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if schedule is not None and not isinstance(schedule, ReduceLROnPlateau):
            schedule.step()
        if average is not None:
            average.update(model)
        meter.add(value, logits, labels)
        if bar is not None:
            if step % SHOWN_EVERY == 0 and not bar.disable:
                _show(bar, meter)
            bar.update(len(labels))
    total, right, known, seen = parallel.summed(meter.read(), device)
    return {"loss": total / seen, "accuracy": right / max(1, known)}


def _moved(pictures: Tensor, labels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """A batch on the device; from pinned memory it is copied while the device still computes."""
    moved = pictures.to(device, memory_format=torch.channels_last, non_blocking=True)
    return moved, labels.to(device, non_blocking=True)


def _show(bar: tqdm, meter: Meter) -> None:
    loss, right, known, seen = meter.read()
    bar.set_postfix(loss=f"{loss / seen:.3f}", accuracy=f"{right / max(1, known):.1%}", refresh=False)


@torch.inference_mode()
def validate(model: nn.Module, loader: Iterable, loss: nn.Module, device: torch.device) -> dict[str, float]:
    """``loss`` and ``accuracy`` over the loader, means over pictures; in float32, as the export."""
    training = model.training
    model.eval()
    meter = Meter()
    for pictures, labels in loader:
        pictures, labels = _moved(pictures, labels, device)
        logits = model(pictures)
        meter.add(loss(logits, labels), logits, labels)
    model.train(training)
    total, right, _, seen = meter.read()
    return {"loss": total / seen, "accuracy": right / seen}


def fit(
    model: Classifier,
    pictures: Pictures,
    settings: TrainSettings,
    folder: str | Path,
    *,
    phase: str = "train",
    before: dict[str, Any] | None = None,
    device: torch.device | None = None,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Train a network, or go on with the run that ``folder`` holds; it ends with its best weights.

    A copy of it trains on the device; the network itself stays on the one where it is. After every epoch
    ``folder/last.pt`` holds all that it takes to go on, and ``folder/best.pt`` the weights with the best
    validation accuracy so far (the lower loss where two are equal). A run that was stopped and resumed is
    the same, number for number, as one that was not.

    Args:
        phase: its name in the checkpoint's ``trained`` (see `src.training.runs`).
        before: ``trained`` of the checkpoint that the network begins with.
        device: where to train; `choose_device` if not given.
        on_epoch: called with the history after each epoch, to draw it.

    Returns:
        The history: a row an epoch with ``epoch``, ``train_loss``, ``train_accuracy``, ``valid_loss``,
        ``valid_accuracy``, ``lr``, ``seconds`` and ``pictures_per_second``.

    Raises:
        CheckpointError: ``folder`` holds a run of another network, data set or settings.
        FloatingPointError: the loss is no longer a number.
    """
    device, folder = device or choose_device(), Path(folder)
    about = {
        "architecture": model.architecture,
        "settings": asdict(settings),
        "class_names": pictures.class_names,
        "fingerprint": pictures.fingerprint,
    }
    facts = about | facts_of(pictures)
    parts = make_parts(model, settings, len(pictures.train), device)
    history = resume(folder / "last.pt", about, parts)
    best = max((_score(row) for row in history), default=(-1.0, 0.0))
    background = facts["background"]
    mix = mixing(settings, len(pictures.class_names), background=background)
    count, trained_together = facts["pictures"], parallel.together(parts.model)
    loss = LandmarkLoss(settings.label_smoothing, background=background)
    sampler = cast(EpochSampler, pictures.train.sampler)
    with parallel.progress_bar(
        total=settings.epochs * count, initial=len(history) * count, unit="picture"
    ) as bar:
        for epoch in range(len(history), settings.epochs):
            if _stopped_early(history, settings.patience):
                break
            bar.set_description(f"epoch {epoch + 1} of {settings.epochs}")
            # dropout, stochastic depth and mixing draw from here: a resumed epoch draws the same
            torch.manual_seed(settings.seed * 1_000_003 + epoch + parallel.rank() * 10**12)
            sampler.epoch = epoch
            start, rate = time.perf_counter(), max(g["lr"] for g in parts.optimizer.param_groups)
            trained = train_one_epoch(
                trained_together,
                pictures.train,
                loss,
                parts.optimizer,
                device,
                schedule=parts.schedule,
                average=parts.average,
                mix=mix,
                clip=settings.clip,
                bar=bar,
            )
            seconds = time.perf_counter() - start
            if not (trained["loss"] < float("inf")):
                raise FloatingPointError(
                    f"The loss became {trained['loss']} in epoch {epoch + 1}: lower lr={settings.lr}."
                )
            valid = _validated_by_the_first(parts.validated, pictures, device)
            if isinstance(parts.schedule, ReduceLROnPlateau):
                parts.schedule.step(valid["loss"])
            history.append(
                {
                    "epoch": epoch + 1,
                    "train_loss": trained["loss"],
                    "train_accuracy": trained["accuracy"],
                    "valid_loss": valid["loss"],
                    "valid_accuracy": valid["accuracy"],
                    "lr": rate,
                    "seconds": seconds,
                    "pictures_per_second": count / seconds,
                }
            )
            if not parallel.rank():
                record = trained_by(facts, phase, before, len(history))
                state = facts | {"trained": record, "history": history}
                save(state, parts, folder, better=_score(history[-1]) > best)
            best = max(best, _score(history[-1]))
            if on_epoch:
                on_epoch(pd.DataFrame(history))
    if on_epoch:
        on_epoch(pd.DataFrame(history))
    parallel.wait()  # until the first has saved
    model.load_state_dict(load_checkpoint(folder / "best.pt")["weights"])
    return pd.DataFrame(history)


def _validated_by_the_first(model: nn.Module, pictures: Pictures, device: torch.device) -> dict[str, float]:
    valid = {"loss": 0.0, "accuracy": 0.0}
    if not parallel.rank():
        valid = validate(model, pictures.valid, LandmarkLoss(), device)
    return dict(zip(valid, parallel.of_the_first(list(valid.values()), device), strict=True))


def _score(row: dict[str, float]) -> tuple[float, float]:
    return row["valid_accuracy"], -row["valid_loss"]


def _stopped_early(history: list[dict[str, float]], patience: int) -> bool:
    accuracies = [row["valid_accuracy"] for row in history]
    return bool(patience and history) and len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience
