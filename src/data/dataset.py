"""Labelled pictures as a dataset, served in an order that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from src.data.decoded import DecodedPictures, read_array
from src.data.transforms import Transform


class PictureDataset(Dataset):
    """Labelled pictures. Item ``epoch * len(self) + i`` is picture ``i`` as epoch ``epoch`` sees it.

    Its random numbers depend on nothing but the seed and that position, so a run is the same with
    any number of workers, and a resumed run is the same as one that never stopped.

    Args:
        paths, labels: of each picture.
        class_names: what the labels count.
        transform: what the network sees of a picture.
        seed: of the random numbers.
        decoded: these pictures, and perhaps others, decoded before; else each is decoded, to the same
            array, when it is asked for.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        class_names: Sequence[str],
        transform: Transform,
        *,
        seed: int = 0,
        decoded: DecodedPictures | None = None,
    ) -> None:
        self.paths, self.labels, self.class_names = list(paths), list(labels), list(class_names)
        self.transform, self.seed, self.decoded = transform, seed, decoded

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, position: int) -> Tensor:
        """The picture before the transform, uint8 ``(3, H, W)``."""
        path = self.paths[position]
        array = read_array(path) if self.decoded is None else self.decoded[path]
        return torch.from_numpy(array).permute(2, 0, 1)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        epoch, position = divmod(item, len(self))
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed accelerators too and note the call stack for each: 0.3 ms a picture
            torch.default_generator.manual_seed(hash((self.seed, item)) % 2**63)
            return self.transform(self.picture(position), epoch), self.labels[position]


class EpochSampler(Sampler[int]):
    """Every picture once an epoch, in an order that follows from the seed and ``epoch`` alone.

    Of several processes each takes its share of every batch; a few pictures come twice where they do not
    divide evenly.

    Args:
        length: how many pictures there are.
        seed: of the order.
        rank, processes: which of how many processes asks.
    """

    def __init__(self, length: int, seed: int, rank: int = 0, processes: int = 1) -> None:
        self.length, self.seed, self.epoch = length, seed, 0
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return -(-self.length // self.processes)

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        order = np.resize(order, len(self) * self.processes)[self.rank :: self.processes]
        return iter((self.epoch * self.length + order).tolist())
