"""Pictures: where they come from, how they are split and loaded.

The layout is ``ROOT/{train,test}/CLASS/*.jpg``, with any number of classes. Validation pictures are
split off ``train/``; ``test/`` is served as it stands and no statistic is ever taken from it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.dataset import EpochSampler, PictureDataset
from src.data.decoded import DecodedPictures, channel_statistics, fingerprint
from src.data.download import URL, download_data_set
from src.data.errors import DataError
from src.data.transforms import EvalTransform, Preprocess, TrainTransform
from src.files import FileError
from src.photos import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNKNOWN = -1  # the label of a photo that shows none of the landmarks


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


def list_photos(folder: str | Path) -> list[Path]:
    """All photos anywhere in a folder, by their names, sorted; hidden ones are left out.

    Raises:
        DataError: there are none, or one cannot be read.
    """
    folder = Path(folder)
    try:
        found = list(files.find_photos(folder))
    except FileError as error:
        raise DataError(str(error)) from error
    for photo in found:
        if photo.error:
            raise DataError(f"{photo.path}: {photo.error}")
    if not found:
        raise DataError(f"{folder} has no pictures: add some, or name another folder.")
    absolute = folder.resolve()
    return sorted(folder / Path(photo.path).relative_to(absolute) for photo in found)


def class_folders(folder: Path) -> list[Path]:
    """The folders of a data set's classes, by their names; hidden ones, as Jupyter makes them, are none."""
    entries = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def list_pictures(folder: str | Path) -> tuple[list[Path], list[int], list[str]]:
    """List the pictures of an ``ImageFolder``-shaped folder.

    Returns:
        paths (sorted by class, then name), labels (indices into the classes), class names (sorted).

    Raises:
        DataError: no class folders, or a class folder without pictures.
    """
    folder = Path(folder)
    classes = class_folders(folder)
    if not classes:
        raise DataError(f"{folder} has no class folders: put one folder of pictures per class there.")
    paths, labels = [], []
    for label, class_folder in enumerate(classes):
        found = list_photos(class_folder)
        paths += found
        labels += [label] * len(found)
    return paths, labels, [c.name for c in classes]


def stratified_split(labels: Sequence[int], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Split positions into (training, validation), the same share of every class, seeded.

    Every class keeps at least one picture on both sides; a class with a single picture stays in
    training. The generator is the split's own: the same arguments always give the same split.
    """
    generator = np.random.default_rng(seed)
    train: list[int] = []
    valid: list[int] = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(np.equal(labels, label)))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        valid += members[:count].tolist()
        train += members[count:].tolist()
    return sorted(train), sorted(valid)


def take_of_every_class(labels: Sequence[int], limit: int) -> list[int]:
    """Positions of about ``limit`` pictures, spread evenly over the classes, at least one of each."""
    classes = np.unique(labels)
    each = max(1, limit // len(classes))
    return sorted(i for c in classes for i in np.flatnonzero(np.equal(labels, c))[:each].tolist())


class PictureLoader(DataLoader):
    """Batches of labelled pictures: normalised ``(N, 3, size, size)``, and labels ``(N,)``."""

    dataset: PictureDataset


@dataclass(frozen=True)
class Pictures:
    """The three loaders and what is known of the data behind them.

    Photos of none of the landmarks, if there are any, are among the training pictures, labelled `UNKNOWN`.
    """

    train: PictureLoader
    valid: PictureLoader
    test: PictureLoader
    class_names: list[str]
    mean: list[float]
    std: list[float]
    size: int
    valid_fraction: float
    split_seed: int
    fingerprint: str

    @property
    def preprocess(self) -> Preprocess:
        """The evaluation transform as a module, for the export."""
        return Preprocess(self.size, self.mean, self.std)

    def as_evaluated(
        self, paths: Sequence[Path], labels: Sequence[int], decoded: DecodedPictures | None = None
    ) -> PictureLoader:
        """Any pictures, in their order, seen as those for validation."""
        valid = self.valid
        dataset = PictureDataset(paths, labels, self.class_names, valid.dataset.transform, decoded=decoded)
        return PictureLoader(dataset, valid.batch_size, num_workers=valid.num_workers)

    def plain(self, positions: Sequence[int]) -> PictureLoader:
        """Training pictures at these positions, seen as in evaluation."""
        train = self.train.dataset
        paths, labels = [train.paths[i] for i in positions], [train.labels[i] for i in positions]
        return self.as_evaluated(paths, labels, train.decoded)


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
    low_resolution: float = 0.0,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
    unknown: Sequence[Path] = (),
    limit: int | None = None,
    workers: int = 2,
    cache: Path | None = None,
    rank: int = 0,
    processes: int = 1,
) -> Pictures:
    """Build the training, validation and test loaders of a data set.

    Args:
        root: folder with ``train/`` and ``test/``.
        sizes, epochs, strong, zoom, low_resolution: see `TrainTransform`.
        eval_size: side of the pictures in evaluation, pixels; the last of ``sizes`` if not given.
        batch_size: pictures a batch, over all processes; the last one of an epoch may be shorter.
        normalise: mean and standard deviation to use (those of pretrained weights), else measured on
            the training pictures.
        unknown: photos that show none of the landmarks, which join the training pictures with the label
            `UNKNOWN` (``learn`` of `src.data.unknown.split_unknown`).
        limit: take about so many training pictures, and as many of all others in proportion.
        workers: processes that load and augment training pictures.
        cache: folder for decoded pictures and statistics; `default_cache` if not given.
        rank, processes: which of how many processes trains with these loaders.

    Raises:
        DataError: something is wrong with the data set; the message names the file and the remedy.
    """
    if batch_size % processes:
        raise ValueError(f"batch_size={batch_size} must divide evenly among {processes} processes.")
    root, cache = Path(root), cache or default_cache()
    paths, labels, class_names = list_pictures(root / "train")
    test_paths, test_labels, test_classes = list_pictures(root / "test")
    if test_classes != class_names:
        differ = ", ".join(sorted(set(test_classes) ^ set(class_names))[:5])
        raise DataError(f"{root}: train/ and test/ have different classes ({differ}): make them alike.")
    train, valid = stratified_split(labels, valid_fraction, split_seed)
    test = list(range(len(test_paths)))
    learnt = list(unknown)
    if limit:
        share = limit / len(train)
        train, valid = (_limited(part, labels, share) for part in (train, valid))
        test = _limited(test, test_labels, share)
        learnt = learnt[: max(1, round(share * len(learnt)))]
    train_paths = [paths[i] for i in train]
    # one file of decoded pictures, whatever part of them is kept for validation
    decoded = DecodedPictures([paths[i] for i in sorted(train + valid)] + learnt, cache)
    mean, std = normalise or channel_statistics(decoded, train_paths)
    size = eval_size or sizes[-1]
    evaluated = EvalTransform(size, mean, std)
    augmented = TrainTransform(
        sizes, mean, std, epochs=epochs, strong=strong, zoom=zoom, low_resolution=low_resolution
    )

    train_set = PictureDataset(
        train_paths + learnt,
        [labels[i] for i in train] + [UNKNOWN] * len(learnt),
        class_names,
        augmented,
        seed=seed,
        decoded=decoded,
    )
    valid_set = PictureDataset(
        [paths[i] for i in valid], [labels[i] for i in valid], class_names, evaluated, decoded=decoded
    )
    test_set = PictureDataset(
        [test_paths[i] for i in test], [test_labels[i] for i in test], class_names, evaluated
    )
    sampler = EpochSampler(len(train_set), seed, rank, processes)
    return Pictures(
        train=_loader(train_set, batch_size // processes, workers, sampler),
        valid=_loader(valid_set, batch_size, min(1, workers)),
        test=_loader(test_set, batch_size, min(1, workers)),
        class_names=class_names,
        mean=list(mean),
        std=list(std),
        size=size,
        valid_fraction=valid_fraction,
        split_seed=split_seed,
        fingerprint=fingerprint(train_set.paths, decoded.digests),
    )


def _limited(chosen: Sequence[int], labels: Sequence[int], share: float) -> list[int]:
    """About this share of the chosen positions, from every class."""
    kept = take_of_every_class([labels[i] for i in chosen], round(share * len(chosen)))
    return [chosen[i] for i in kept]


def _loader(
    dataset: PictureDataset, batch_size: int, workers: int, sampler: EpochSampler | None = None
) -> PictureLoader:
    return PictureLoader(
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


def show_batch(x: Tensor, titles: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Figure:
    """Draw up to 12 pictures of a normalised batch ``(N, 3, H, W)`` in their real colours."""
    from matplotlib.figure import Figure  # not pyplot: a notebook would show its figures twice

    shape = (1, 3, 1, 1)
    colours = x * torch.tensor(std).view(shape) + torch.tensor(mean).view(shape)
    pictures = (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    columns = min(6, len(pictures))
    rows = min(2, -(-len(pictures) // columns))
    figure = Figure(figsize=(2 * columns, 2.25 * rows), dpi=60, layout="tight")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
    return figure
