"""Pictures: where they come from, how they are split and loaded.

The layout is ``ROOT/{train,test}/CLASS/*.jpg``, with any number of classes. Validation pictures are
split off ``train/``; ``test/`` is served as it stands and no statistic is ever taken from it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.dataset import EpochSampler, PictureDataset, channel_statistics, fingerprint
from src.data.download import URL, download_data_set
from src.data.errors import DataError
from src.data.transforms import EvalTransform, Preprocess, TrainTransform
from src.photos.files import SUFFIXES
from src.training import distributed as parallel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OTHER = -1  # the label of a photo that shows none of the landmarks


def find_data_set(root: str | Path | None = None, *, download: bool = True) -> Path:
    """Return the folder that holds ``train/`` and ``test/``.

    Looked for in this order: ``root``, ``$LANDMARK_IMAGES``, ``landmark_images/`` in the working
    folder; what is named but not there is an error, never passed over. If none is there the Udacity
    set is downloaded into ``landmark_images/``.

    Raises:
        DataError: the folder named is no data set, or the download failed.
    """
    named = root or os.environ.get("LANDMARK_IMAGES")
    folder = Path(named or "landmark_images")
    if all((folder / part).is_dir() for part in ("train", "test")):
        return folder
    if named or not download:
        raise DataError(
            f"{folder} holds no data set: it needs the folders train/ and test/ with one folder of "
            f"pictures for each class; unpack {URL} there or set LANDMARK_IMAGES."
        )
    return download_data_set(folder)


def find_photos(folder: str | Path) -> list[Path]:
    """All picture files anywhere in a folder, sorted.

    Raises:
        DataError: there are none.
    """
    files = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    if not (found := sorted(path for path in files if path.is_file())):
        raise DataError(f"{folder} has no picture files; name a folder of photos.")
    return found


def list_pictures(folder: str | Path) -> tuple[list[Path], list[int], list[str]]:
    """List the pictures of an ``ImageFolder``-shaped folder.

    Returns:
        paths (sorted by class, then name), labels (indices into the classes), class names (sorted).

    Raises:
        DataError: no class folders, or a class folder without pictures.
    """
    folder = Path(folder)
    classes = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not classes:
        raise DataError(f"{folder} has no class folders: put one folder of pictures per class there.")
    paths, labels = [], []
    for label, class_folder in enumerate(classes):
        found = sorted(p for p in class_folder.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"{class_folder} has no pictures: add some or remove the folder.")
        paths += found
        labels += [label] * len(found)
    return paths, labels, [c.name for c in classes]


def stratified_split(labels: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split positions into (training, validation), the same share of every class, seeded.

    Every class keeps at least one picture on both sides; a class with a single picture stays in
    training. The generator is the split's own: the same arguments always give the same split.
    """
    generator = np.random.default_rng(seed)
    labels = np.asarray(labels)
    train, valid = [], []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        valid += members[:count].tolist()
        train += members[count:].tolist()
    return sorted(train), sorted(valid)


def find_others(folder: str | Path | None, root: Path) -> Path | None:
    """The folder of photos of no landmark: ``folder``, else ``not_landmarks/`` beside ``root``, if any."""
    beside = root.resolve().parent / "not_landmarks"
    return Path(folder) if folder else beside if beside.is_dir() else None


def split_others(folder: str | Path, seed: int = 0) -> tuple[list[Path], list[Path]]:
    """Photos that show none of the landmarks: one half to learn from and choose by, one to measure on.

    Raises:
        DataError: the folder has fewer than two pictures.
    """
    paths = find_photos(folder)
    if len(paths) < 2:
        raise DataError(f"{folder} has a single picture: half of them are kept for the test, add more.")
    learn, measure = stratified_split([0] * len(paths), 0.5, seed)
    return [paths[i] for i in learn], [paths[i] for i in measure]


def take_of_every_class(labels: Sequence[int], limit: int) -> list[int]:
    """Positions of about ``limit`` pictures, spread evenly over the classes, at least one of each."""
    labels = np.asarray(labels)
    each = max(1, limit // len(np.unique(labels)))
    return sorted(i for c in np.unique(labels) for i in np.flatnonzero(labels == c)[:each].tolist())


@dataclass(frozen=True)
class Pictures:
    """The three loaders and what is known of the data behind them.

    Photos of none of the landmarks, if there are any, are among the training pictures, labelled −1.
    """

    train: DataLoader
    valid: DataLoader
    test: DataLoader
    class_names: list[str]
    mean: list[float]
    std: list[float]
    size: int
    split_seed: int
    fingerprint: str

    @property
    def preprocess(self) -> Preprocess:
        """The evaluation transform as a module, for the export."""
        return Preprocess(self.size, self.mean, self.std)

    @property
    def train_plain(self) -> DataLoader:
        """The training pictures in their order, seen as in evaluation."""
        dataset = copy.copy(self.train.dataset)
        dataset.transform = EvalTransform(self.size, self.mean, self.std)
        return DataLoader(dataset, self.train.batch_size, num_workers=self.valid.num_workers)


def default_cache() -> Path:
    """Where decoded pictures and statistics are kept: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "landmark-tagger"


def _step_aside(_worker: int) -> None:
    """Leave the cores to the network, whose threads all wait for the one that a loading process pushes aside.

    Without this, training on two cores is a tenth slower.
    """
    if hasattr(os, "nice"):  # not on Windows
        os.nice(19)


def load_pictures(
    root: str | Path,
    *,
    sizes: Sequence[int] = (128,),
    eval_size: int | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    valid_fraction: float = 0.15,
    split_seed: int = 0,
    seed: int = 0,
    strong: bool = True,
    zoom: float = 0.35,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    others: str | Path | None = None,
    limit: int | None = None,
    workers: int = 2,
    cache: Path | None = None,
) -> Pictures:
    """Build the training, validation and test loaders of a data set.

    Args:
        root: folder with ``train/`` and ``test/``.
        sizes, epochs, strong, zoom: see `TrainTransform`.
        eval_size: side of the pictures in evaluation, pixels; the last of ``sizes`` if not given.
        batch_size: pictures a batch, over all processes; the last one of an epoch may be shorter.
        normalise: mean and standard deviation to use (those of pretrained weights), else measured on
            the training pictures.
        others: folder of photos that show none of the landmarks; half of them (`split_others`) join the
            training pictures with the label −1.
        limit: take about so many training pictures, and as many of all others in proportion.
        workers: processes that load and augment training pictures.
        cache: folder for decoded pictures and statistics; `default_cache` if not given.

    Raises:
        DataError: something is wrong with the data set; the message names the file and the remedy.
    """
    if batch_size % parallel.processes():
        raise ValueError(
            f"batch_size={batch_size} must divide evenly among {parallel.processes()} processes."
        )
    root, cache = Path(root), cache or default_cache()
    paths, labels, class_names = list_pictures(root / "train")
    test_paths, test_labels, test_classes = list_pictures(root / "test")
    if test_classes != class_names:
        differ = ", ".join(sorted(set(test_classes) ^ set(class_names))[:5])
        raise DataError(f"{root}: train/ and test/ have different classes ({differ}): make them alike.")
    train, valid = stratified_split(labels, valid_fraction, split_seed)
    test = list(range(len(test_paths)))
    if limit:
        share = limit / len(train)
        train = [train[i] for i in take_of_every_class([labels[j] for j in train], limit)]
        valid = [valid[i] for i in take_of_every_class([labels[j] for j in valid], int(share * len(valid)))]
        test = take_of_every_class(test_labels, int(share * len(test)))
    train_paths = [paths[i] for i in train]
    mean, std = normalise or channel_statistics(train_paths, cache)
    size = eval_size or sizes[-1]
    evaluated = EvalTransform(size, mean, std)
    augmented = TrainTransform(sizes, mean, std, epochs=epochs, strong=strong, zoom=zoom)

    def dataset(paths, labels, chosen, transform, cache):
        paths, labels = [paths[i] for i in chosen], [labels[i] for i in chosen]
        return PictureDataset(paths, labels, class_names, transform, seed=seed, cache=cache)

    def loader(dataset, batch_size, sampler=None, workers=workers):
        return DataLoader(
            dataset,
            batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=None if torch.cuda.is_available() else _step_aside,
            pin_memory=torch.cuda.is_available(),
            # else starting workers draws from the global generator, and a resumed run would differ
            generator=torch.Generator(),
        )

    strangers = split_others(others)[0] if others else []
    strangers = strangers[: max(1, round(share * len(strangers)))] if limit else strangers
    everything, every_label = paths + strangers, labels + [OTHER] * len(strangers)
    train += range(len(paths), len(everything))
    train_set = dataset(everything, every_label, train, augmented, cache)
    return Pictures(
        train=loader(train_set, batch_size // parallel.processes(), EpochSampler(len(train_set), seed)),
        valid=loader(dataset(paths, labels, valid, evaluated, cache), batch_size, workers=min(1, workers)),
        test=loader(
            dataset(test_paths, test_labels, test, evaluated, None), batch_size, workers=min(1, workers)
        ),
        class_names=class_names,
        mean=list(mean),
        std=list(std),
        size=size,
        split_seed=split_seed,
        fingerprint=fingerprint(train_set.paths),
    )


def show_batch(x: Tensor, titles: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Figure:
    """Draw up to 12 pictures of a normalised batch ``(N, 3, H, W)`` in their real colours."""
    from matplotlib.figure import Figure  # not pyplot: a notebook would show its figures twice

    shape = (1, 3, 1, 1)
    colours = x * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    pictures = (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    columns = min(6, len(pictures))
    rows = min(2, -(-len(pictures) // columns))
    figure = Figure(figsize=(2 * columns, 2.25 * rows), dpi=66, layout="tight")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
    return figure
