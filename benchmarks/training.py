"""Pictures a second in training: the model alone on batches in memory, and end to end.

Both go through ``train_one_epoch`` as the recipe has it in its middle: picture size, batch, frozen
blocks, mixing, averaged weights. "Alone" gets batches that were loaded and augmented before; "end to end"
gets them from the loader, its start included. They take turns; a ratio is of one round, and all figures are
medians.

The loading processes share the cores with the model, so the ratio has a limit: with all cores busy, a
picture takes at least the core time of its augmentation and of its training step, divided by the cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import cast

import torch
from report import write_section
from torch.utils.data import DataLoader, default_collate

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.dataset import EpochSampler
from src.data.folders import PictureLoader, Pictures, find_data_set, list_pictures, load_pictures
from src.models.classifier import Classifier
from src.models.pretrained import TransferNet, build_transfer
from src.models.scratch import LandmarkNet
from src.training.devices import autocast, choose_device
from src.training.loop import mixing, train_one_epoch
from src.training.optimization import LandmarkLoss
from src.training.recipes import RECIPES, TrainSettings
from src.training.state import make_parts

CORES = os.cpu_count() or 1
WORKERS = 2  # as `src.train` has it
WARM = 4  # batches before anything is timed


def build(name: str, classes: int) -> tuple[Classifier, TrainSettings]:
    """The network and the last phase of a recipe, with its frozen blocks."""
    recipe = RECIPES[name]
    phase = list(recipe.phases)[-1]
    torch.manual_seed(0)
    if name == "scratch":
        return LandmarkNet(classes), recipe.phases[phase]
    model = build_transfer(classes=classes)
    model.unfreeze(recipe.unfrozen[phase])
    return model, recipe.phases[phase]


def load(root: Path, name: str, model: Classifier, count: int, batch: int, workers: int, cache) -> Pictures:
    """The recipe's loaders for about `count` training pictures, at the epoch in the middle of the run."""
    recipe = RECIPES[name]
    settings = list(recipe.phases.values())[-1]
    pictures = load_pictures(
        root, sizes=settings.sizes, eval_size=settings.eval_size, epochs=settings.epochs, batch_size=batch,
        strong=settings.strong, zoom=settings.zoom, low_resolution=settings.low_resolution,
        valid_fraction=recipe.valid_fraction, limit=count,
        normalise=(model.mean, model.std) if isinstance(model, TransferNet) else None,
        workers=workers, cache=cache,
    )  # fmt: skip
    cast(EpochSampler, pictures.train.sampler).epoch = settings.epochs // 2
    return pictures


def trainer(model: Classifier, settings: TrainSettings, classes: int) -> Callable:
    """The function that trains over a loader once, with all that `fit` gives it."""
    device = choose_device()
    parts = make_parts(model, settings, 10_000, device)
    loss, mix = LandmarkLoss(settings.label_smoothing), mixing(settings, classes)

    def train(loader) -> None:
        train_one_epoch(
            parts.model, loader, loss, parts.optimizer, device,
            schedule=parts.schedule, average=parts.average, mix=mix, clip=settings.clip,
        )  # fmt: skip

    return train


def in_memory(loader: DataLoader) -> list:
    """The loader's batches, moved out of the memory that workers share, which may be small."""
    return [(pictures.clone(), labels.clone()) for pictures, labels in loader]


def timed(train: Callable, loader) -> tuple[float, float]:
    """Seconds by the clock, and seconds of this process on all cores."""
    start, used = time.perf_counter(), time.process_time()
    train(loader)
    return time.perf_counter() - start, time.process_time() - used


def augmentation(loader: PictureLoader, batch_size: int, count: int = 400) -> float:
    """Core milliseconds a picture from the cache of decoded ones to a place in a batch, as in a worker."""
    items = list(loader.sampler)[:count]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    taken = []
    for _ in range(5):
        start = time.process_time()
        for at in range(0, len(items), batch_size):
            default_collate([loader.dataset[item] for item in items[at : at + batch_size]])
        taken.append(1000 * (time.process_time() - start) / len(items))
    torch.set_num_threads(threads)
    return median(taken)


def turns(train: Callable, ways: dict, rounds: int) -> dict[object, list[tuple[float, float]]]:
    """What `timed` says of each way, round by round; each way is a loader, or batches."""
    for way in ways.values():  # starts workers, and lets torch choose its kernels
        train(list(way)[:WARM])
    taken: dict = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(timed(train, way))
    return taken


def ratio(alone: list[tuple[float, float]], whole: list[tuple[float, float]]) -> float:
    """Speed end to end over that of the network alone, the median over rounds."""
    return median(a / b for (a, _), (b, _) in zip(alone, whole, strict=True))


def compare(name: str, root: Path, options: argparse.Namespace, cache: Path) -> str:
    """A line for a network: both speeds, their ratio, and what bounds it."""
    classes = len(list_pictures(root / "train")[2])
    model, settings = build(name, classes)
    loader = load(root, name, model, options.pictures, settings.batch_size, WORKERS, cache).train
    batches, count = in_memory(loader), len(loader.dataset)
    train = trainer(model, settings, classes)
    taken = turns(train, {"alone": batches, "whole": loader}, options.rounds)
    alone, whole = (median(seconds for seconds, _ in taken[way]) for way in ("alone", "whole"))
    network = 1000 * median(used for _, used in taken["alone"]) / count
    item = augmentation(loader, settings.batch_size)
    limit = min(1.0, 1000 * alone / count / ((network + item) / CORES))
    size = batches[0][0].shape[-1]
    return (
        f"| {name} | {size} px | {settings.batch_size} | {count / alone:.1f} | {count / whole:.1f} "
        f"| **{ratio(taken['alone'], taken['whole']):.3f}** | {limit:.3f} | {network:.1f} | {item:.2f} |"
    )


def sweep(name: str, root: Path, options: argparse.Namespace, cache: Path) -> list[str]:
    """Pictures a second and ratio for each number of workers and each batch."""
    classes = len(list_pictures(root / "train")[2])
    model, settings = build(name, classes)
    train, lines = trainer(model, settings, classes), []
    for batch in options.batches:
        ways: dict = {
            workers: load(root, name, model, options.pictures // 4, batch, workers, cache).train
            for workers in options.workers
        }
        taken = turns(train, {"alone": in_memory(ways[options.workers[0]]), **ways}, options.rounds)
        count = len(ways[options.workers[0]].dataset)
        speeds = {way: count / median(seconds for seconds, _ in rows) for way, rows in taken.items()}
        cells = (f"{speeds[w]:.1f} ({ratio(taken['alone'], taken[w]):.2f})" for w in options.workers)
        lines.append(f"| {batch} | {speeds['alone']:.1f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", choices=RECIPES, nargs="+", default=list(RECIPES))
    parser.add_argument("--pictures", type=int, default=1600, help="a repetition; a quarter for the growth")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64])
    options = parser.parse_args()
    root = find_data_set()
    lines = [
        "| model | pictures | batch | alone, pictures/s | end to end | ratio | its limit "
        "| model, core-ms a picture | augmentation |",
        "| --- " * 9 + "|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            lines.append(compare(name, root, options, Path(folder)))
            print(lines[-1], flush=True)
        fastest = options.networks[0]
        grown = sweep(fastest, root, options, Path(folder))
    heads = " | ".join(f"{workers} workers" for workers in options.workers)
    plain = autocast(choose_device()).__class__.__name__ == "nullcontext"
    lines += [
        "",
        f"Two loading processes, {options.pictures:,} pictures a repetition, {options.rounds} rounds, "
        f"{'float32' if plain else 'bfloat16'}. How the model named {fastest} grows, pictures/s end to end "
        "(and ratio):",
        "",
        f"| batch | alone | {heads} |",
        "| --- " * (len(options.workers) + 2) + "|",
        *grown,
    ]
    write_section("Training speed", __doc__, "\n".join(lines))


if __name__ == "__main__":
    main()
