"""Training: one epoch, a whole run, its checkpoints and how it goes on after a stop.

``python -m src.train --model scratch`` and ``--model transfer`` repeat the two committed recipes.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms import v2
from tqdm.auto import tqdm

from src.data.errors import DataError
from src.data.folders import OTHER, Pictures, find_data_set, find_others, load_pictures
from src.models.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from src.models.pretrained import DEFAULT_BACKBONE, TransferNet, WeightsError, build_transfer
from src.models.scratch import LandmarkNet
from src.training import distributed as parallel
from src.training.optimization import (
    LandmarkLoss,
    get_optimizer,
    get_schedule,
    parameter_groups,
)
from src.training.recipes import RECIPES, Recipe, TrainSettings


def choose_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """bfloat16 where the device multiplies it faster than float32, else nothing.

    On a CPU that means AVX-512 BF16 or AMX: twice the pictures a second.
    """
    fast = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if fast else contextlib.nullcontext()


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and buffers, quick to follow in its first steps."""

    def update(average: Tensor, current: Tensor, count: Tensor) -> Tensor:
        if not average.is_floating_point():  # batch norm's counter
            return current
        steps = int(count)
        return torch.lerp(average, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return AveragedModel(model, avg_fn=update, use_buffers=True)


def unmixed(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The batch as it is."""
    return x, y


def mixing(settings: TrainSettings, classes: int) -> Callable:
    """The function ``(x, y) → (x, y)`` that mixes pictures and labels of a batch, or leaves them."""
    choices: list[Callable] = [unmixed]
    if settings.mixup:
        choices.append(v2.MixUp(alpha=settings.mixup, num_classes=classes))
    if settings.cutmix:
        choices.append(v2.CutMix(alpha=settings.cutmix, num_classes=classes))
    return v2.RandomChoice(choices) if len(choices) > 1 else unmixed


def train_one_epoch(
    model: nn.Module,
    loader: Iterable,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    *,
    schedule: LRScheduler | None = None,
    average: AveragedModel | None = None,
    mix: Callable = unmixed,
    clip: float = 0.0,
    bar: tqdm | None = None,
) -> dict[str, float]:
    """Train over the loader once.

    Returns:
        ``loss``, a mean over pictures, and ``accuracy`` in [0, 1], over those that show a landmark and
        against the larger label of mixed ones.
    """
    model.train()
    total, right, seen, named = 0.0, 0, 0, 0
    for pictures, labels in loader:
        pictures, labels = mix(pictures, labels)
        pictures = pictures.to(device, memory_format=torch.channels_last)
        labels = labels.to(device)
        with autocast(device):
            logits = model(pictures)
        value = loss(logits.float(), labels)
        optimizer.zero_grad()
        value.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if schedule is not None and not isinstance(schedule, ReduceLROnPlateau):
            schedule.step()
        if average is not None:
            average.update_parameters(model)
        hard = labels.argmax(1) if labels.ndim > 1 else labels
        total += value.item() * len(hard)
        right += (logits.argmax(1) == hard).sum().item()
        seen += len(hard)
        named += (hard >= 0).sum().item()
        if bar is not None:
            share = right / max(1, named)
            bar.set_postfix(loss=f"{total / seen:.3f}", accuracy=f"{share:.1%}", refresh=False)
            bar.update(len(hard))
    total, right, seen, named = parallel.summed((total, right, seen, named), device)
    return {"loss": total / seen, "accuracy": right / max(1, named)}


@torch.inference_mode()
def validate(model: nn.Module, loader: Iterable, loss: nn.Module, device: torch.device) -> dict[str, float]:
    """``loss`` and ``accuracy`` over the loader, means over pictures; in float32, as the export."""
    training = model.training
    model.eval()
    total, right, seen = 0.0, 0, 0
    for pictures, labels in loader:
        labels = labels.to(device)
        logits = model(pictures.to(device, memory_format=torch.channels_last))
        total += loss(logits, labels).item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
        seen += len(labels)
    model.train(training)
    return {"loss": total / seen, "accuracy": right / seen}


def fit(
    model: nn.Module,
    pictures: Pictures,
    settings: TrainSettings,
    folder: str | Path,
    *,
    device: torch.device | None = None,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
) -> pd.DataFrame:
    """Train a network, or go on with the run that ``folder`` holds; it ends with its best weights.

    After every epoch ``folder/last.pt`` holds all that it takes to go on, and ``folder/best.pt`` the
    weights with the best validation accuracy so far (the lower loss where two are equal). A run that
    was stopped and resumed is the same, number for number, as one that was not.

    Args:
        on_epoch: called with the history after each epoch, to draw it.

    Returns:
        The history: a row an epoch with ``epoch``, ``train_loss``, ``train_accuracy``, ``valid_loss``,
        ``valid_accuracy``, ``lr``, ``seconds`` and ``pictures_per_second``.

    Raises:
        CheckpointError: ``folder`` holds a run of another network, data set or settings.
        FloatingPointError: the loss is no longer a number.
        ValueError: pictures without a label are to be mixed.
    """
    device, folder = device or choose_device(), Path(folder)
    met_others = OTHER in pictures.train.dataset.labels
    if (settings.mixup or settings.cutmix) and met_others:
        raise ValueError("mixup and cutmix need labels: set both to 0, or give no photos of no landmark.")
    model.to(device, memory_format=torch.channels_last)
    about = {
        "architecture": model.architecture,
        "settings": asdict(settings),
        "class_names": pictures.class_names,
        "fingerprint": pictures.fingerprint,
    }
    facts = about | {
        "mean": pictures.mean,
        "std": pictures.std,
        "size": pictures.size,
        "split_seed": pictures.split_seed,
        "met_others": met_others,
        "torch": str(torch.__version__),
    }
    loss = LandmarkLoss(settings.label_smoothing)
    groups = parameter_groups(
        model, lr=settings.lr, weight_decay=settings.weight_decay, layer_decay=settings.layer_decay
    )
    optimizer = get_optimizer(groups, settings.optimizer, lr=settings.lr)
    schedule = get_schedule(
        settings.schedule,
        optimizer,
        epochs=settings.epochs,
        steps_per_epoch=len(pictures.train),
        warmup_epochs=settings.warmup_epochs,
    )
    average = average_weights(model, settings.ema) if settings.ema else None
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "average": average}
    history: list[dict] = []
    if (folder / "last.pt").exists():
        history = _resume(folder / "last.pt", about, parts)
    best = max(((h["valid_accuracy"], -h["valid_loss"]) for h in history), default=(-1.0, 0.0))
    validated = average.module if average else model
    mix = mixing(settings, len(pictures.class_names))
    count, trained_together = len(pictures.train.dataset), parallel.together(model)
    with parallel.progress_bar(
        total=settings.epochs * count, initial=len(history) * count, unit="picture"
    ) as bar:
        for epoch in range(len(history), settings.epochs):
            if _stopped_early(history, settings.patience):
                break
            bar.set_description(f"epoch {epoch + 1} of {settings.epochs}")
            # dropout, stochastic depth and mixing draw from here: a resumed epoch draws the same
            torch.manual_seed(settings.seed * 1_000_003 + epoch + parallel.rank() * 10**12)
            pictures.train.sampler.epoch = epoch
            start, rate = time.perf_counter(), max(g["lr"] for g in optimizer.param_groups)
            trained = train_one_epoch(
                trained_together,
                pictures.train,
                loss,
                optimizer,
                device,
                schedule=schedule,
                average=average,
                mix=mix,
                clip=settings.clip,
                bar=bar,
            )
            seconds = time.perf_counter() - start
            valid = {"loss": 0.0, "accuracy": 0.0}
            if not parallel.rank():
                valid = validate(validated, pictures.valid, LandmarkLoss(), device)
            valid = dict(zip(valid, parallel.of_the_first(list(valid.values()), device), strict=True))
            if not (trained["loss"] < float("inf")):
                raise FloatingPointError(
                    f"The loss became {trained['loss']} in epoch {epoch + 1}: lower lr={settings.lr}."
                )
            if isinstance(schedule, ReduceLROnPlateau):
                schedule.step(valid["loss"])
            row = {
                "epoch": epoch + 1,
                "train_loss": trained["loss"],
                "train_accuracy": trained["accuracy"],
            }
            row |= {"valid_loss": valid["loss"], "valid_accuracy": valid["accuracy"], "lr": rate}
            history.append(row | {"seconds": seconds, "pictures_per_second": count / seconds})
            score = (valid["accuracy"], -valid["loss"])
            if not parallel.rank():
                state = facts | {"history": history, "weights": validated.state_dict()}
                if score > best:
                    save_checkpoint(state, folder / "best.pt")
                resumable = {name: part.state_dict() for name, part in parts.items() if part is not None}
                save_checkpoint(state | {"resumable": resumable}, folder / "last.pt")
            best = max(best, score)
            if on_epoch:
                on_epoch(pd.DataFrame(history))
    if on_epoch:
        on_epoch(pd.DataFrame(history))
    parallel.wait()  # until the first has saved
    model.load_state_dict(load_checkpoint(folder / "best.pt")["weights"])
    return pd.DataFrame(history)


def _resume(path: Path, about: dict, parts: dict) -> list[dict]:
    state = load_checkpoint(path)
    differ = [name for name, value in about.items() if state.get(name) != value]
    if differ:
        raise CheckpointError(
            f"{path} belongs to a run with another {' and '.join(differ)}: choose another folder for this "
            "run, or remove that one."
        )
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state["resumable"][name])
    return state["history"]


def _stopped_early(history: list[dict], patience: int) -> bool:
    accuracies = [h["valid_accuracy"] for h in history]
    return bool(patience and history) and len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience


def run_recipe(
    model: nn.Module,
    recipe: Recipe,
    root: str | Path,
    folder: str | Path,
    *,
    others: str | Path | None = None,
    limit: int | None = None,
    workers: int = 2,
    on_epoch: Callable[[pd.DataFrame], None] | None = None,
) -> tuple[pd.DataFrame, Pictures]:
    """Train a network through the phases of a recipe, each in ``folder/PHASE``.

    Where the recipe says so, the last phase runs several times from the same weights and ends with their
    average, in ``folder/soup``.

    Returns:
        The joined history with columns ``phase`` and ``seed``, and the pictures of the last phase.
    """
    histories, runs, last = [], [], list(recipe.phases)[-1]
    for phase, settings in recipe.phases.items():
        begin = copy.deepcopy(model.state_dict())
        for number in range(recipe.runs if phase == last else 1):
            once = dataclasses.replace(settings, seed=settings.seed + number)
            with parallel.one_first():
                pictures = load_pictures(
                    root,
                    sizes=once.sizes,
                    eval_size=once.eval_size,
                    epochs=once.epochs,
                    batch_size=once.batch_size,
                    strong=once.strong,
                    zoom=once.zoom,
                    valid_fraction=once.valid_fraction,
                    seed=once.seed,
                    normalise=(model.mean, model.std) if isinstance(model, TransferNet) else None,
                    others=others,
                    limit=limit,
                    workers=workers,
                )
            model.load_state_dict(begin)
            if isinstance(model, TransferNet):
                model.unfreeze(recipe.unfrozen.get(phase))
            runs.append(Path(folder) / (f"{phase}{number}" if number else phase))
            history = fit(model, pictures, once, runs[-1], on_epoch=on_epoch)
            histories.append(history.assign(phase=phase, seed=once.seed))
    if recipe.runs > 1:
        with parallel.one_first():
            soup = average_runs(runs[-recipe.runs :], Path(folder) / "soup")
        model.load_state_dict(load_checkpoint(soup)["weights"])
    return pd.concat(histories, ignore_index=True), pictures


def average_runs(runs: Sequence[Path], folder: Path) -> Path:
    """Average the last weights of several runs into ``folder/best.pt``; returns its path.

    Fine-tunings that begin with the same weights end in one valley of the loss, and their mean is
    mostly better than any of them (model soups, arXiv:2203.05482). The best weights of each would be
    worse to average: which epoch that was is half luck.
    """
    states = [load_checkpoint(run / "last.pt") for run in runs]
    weights = dict(states[0]["weights"])
    for name, tensor in weights.items():
        if tensor.is_floating_point():  # not batch norm's counter
            weights[name] = torch.stack([state["weights"][name] for state in states]).mean(dim=0)
    history = [row for state in states for row in state["history"]]
    state = {name: value for name, value in states[0].items() if name != "resumable"}
    save_checkpoint(state | {"weights": weights, "history": history}, folder / "best.pt")
    return folder / "best.pt"


def _settings_from(arguments: argparse.Namespace, settings: TrainSettings) -> TrainSettings:
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(settings)}
    return dataclasses.replace(settings, **{k: v for k, v in given.items() if v is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m src.train", description="Train a network by its recipe.")
    parser.add_argument("--model", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument(
        "--others",
        type=Path,
        help="photos of no landmark: a pretrained network learns to reject half of them",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where checkpoints go")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE, help="torchvision or timm network")
    parser.add_argument("--weights", default="pretrained", help='"pretrained", or a local file')
    parser.add_argument("--limit", type=int, help="train on about so many pictures")
    parser.add_argument("--workers", type=int, default=2, help="loading processes")
    group = parser.add_argument_group("settings of the last phase, instead of the recipe's")
    for name, kind in get_type_hints(TrainSettings).items():
        if kind is bool:
            group.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
        elif kind == tuple[int, ...]:
            group.add_argument(f"--{name.replace('_', '-')}", type=int, nargs="+")
        else:
            group.add_argument(f"--{name.replace('_', '-')}", type=kind)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when trained, 2 with one sentence when something given is wrong."""
    with parallel.joined():
        return _train(_parser().parse_args(arguments))


def _train(options: argparse.Namespace) -> int:
    if options.sizes:
        options.sizes = tuple(options.sizes)
    recipe = RECIPES[options.model]
    last = list(recipe.phases)[-1]
    try:
        settings = _settings_from(options, recipe.phases[last])
        recipe = dataclasses.replace(recipe, phases=recipe.phases | {last: settings})
        root = find_data_set(options.data)
        classes = sum(1 for p in (root / "train").iterdir() if p.is_dir())
        torch.manual_seed(settings.seed)
        if options.model == "scratch":
            model: nn.Module = LandmarkNet(classes)
        else:
            model = build_transfer(options.backbone, classes, weights=options.weights)
        history, _ = run_recipe(
            model,
            recipe,
            root,
            options.runs / options.model,
            others=find_others(options.others, root) if options.model == "transfer" else None,
            limit=options.limit,
            workers=options.workers,
        )
    except (DataError, CheckpointError, WeightsError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    columns = [
        "phase",
        "seed",
        "epoch",
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "seconds",
    ]
    if not parallel.rank():
        print(history[columns].to_string(index=False, float_format="{:.4f}".format))
    return 0


if __name__ == "__main__":
    sys.exit(main())
