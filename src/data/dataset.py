"""Labelled pictures as a dataset: decoded once, cached, and served in an order that a seed decides."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from src.data.errors import DataError
from src.files import replacing
from src.training import distributed as parallel

# Decoded pictures are kept with this short side in pixels: enough for any training size used here.
CACHED_SIDE = 256


def fingerprint(paths: Sequence[Path]) -> str:
    """A name for exactly these pictures: BLAKE2 over class, file name and content of each."""
    digest = hashlib.blake2b(digest_size=8)
    for path in paths:
        content = path.read_bytes()
        name = f"{path.parent.name}/{path.name}"
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def read_picture(path: Path, side: int | None = None) -> np.ndarray:
    """Decode a picture upright to uint8 ``(H, W, 3)``, shrunk so that its short side is ``side``.

    Raises:
        DataError: the file is no readable picture.
    """
    try:
        with Image.open(path) as picture:
            if side:
                picture.draft("RGB", (side, side))  # JPEG: decode at reduced scale
            picture = ImageOps.exif_transpose(picture).convert("RGB")
            if side and min(picture.size) > side:
                scale = side / min(picture.size)
                picture = picture.resize(
                    (round(picture.width * scale), round(picture.height * scale)),
                    Image.Resampling.BILINEAR,
                )
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error}): replace or remove it.") from error


class DecodedPictures:
    """Pictures decoded once into a uint8 file that every worker and later run maps into memory.

    The file is named by the pictures' fingerprint, so other pictures never read it.
    """

    def __init__(self, paths: Sequence[Path], folder: Path, side: int = CACHED_SIDE) -> None:
        self.file = folder / f"{fingerprint(paths)}-{side}.u8"
        index = self.file.with_suffix(".npy")  # written last: it says that the file is whole
        if not index.exists():
            self._decode(paths, side, index)
        self.index = np.load(index)  # (N, 3): offset, height, width
        self._map: np.ndarray | None = None

    def _decode(self, paths: Sequence[Path], side: int, index: Path) -> None:
        rows, offset = [], 0
        with (
            replacing(self.file) as part,
            ThreadPoolExecutor(os.cpu_count()) as pool,
            open(part, "wb") as out,
        ):
            pictures = pool.map(lambda path: read_picture(path, side), paths)
            for picture in parallel.progress_bar(
                pictures, "decoding pictures once", len(paths), unit="picture"
            ):
                out.write(picture.tobytes())
                rows.append((offset, *picture.shape[:2]))
                offset += picture.size
        with replacing(index) as part, open(part, "wb") as out:
            np.save(out, np.asarray(rows, dtype=np.int64))

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_map": None}  # a worker maps the file itself

    def __getitem__(self, position: int) -> np.ndarray:
        if self._map is None:
            # copy on write: tensors may share it without a copy, and nothing can reach the file
            self._map = np.memmap(self.file, dtype=np.uint8, mode="c")
        offset, height, width = self.index[position]
        return self._map[offset : offset + height * width * 3].reshape(height, width, 3)


class PictureDataset(Dataset):
    """Labelled pictures. Item ``epoch * len(self) + i`` is picture ``i`` as epoch ``epoch`` sees it.

    Its random numbers depend on nothing but the seed and that position, so a run is the same with
    any number of workers, and a resumed run is the same as one that never stopped.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        class_names: Sequence[str],
        transform,
        *,
        seed: int = 0,
        cache: Path | None = None,
    ) -> None:
        self.paths, self.labels, self.class_names = list(paths), list(labels), list(class_names)
        self.transform, self.seed = transform, seed
        self.decoded = DecodedPictures(self.paths, cache) if cache else None

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, position: int) -> Tensor:
        """The picture before the transform, uint8 ``(3, H, W)``."""
        array = self.decoded[position] if self.decoded else np.array(read_picture(self.paths[position]))
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
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self) -> int:
        return -(-self.length // parallel.processes())

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        order = np.resize(order, len(self) * parallel.processes())[parallel.rank() :: parallel.processes()]
        return iter((self.epoch * self.length + order).tolist())


def channel_statistics(paths: Sequence[Path], cache: Path) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in [0, 1], over all pixels of these pictures.

    Streamed picture by picture; remembered in ``cache`` under the pictures' fingerprint.
    """
    file = cache / f"{fingerprint(paths)}-statistics.json"
    if file.exists():
        known = json.loads(file.read_text())
        return known["mean"], known["std"]
    decoded = DecodedPictures(paths, cache)
    counts = np.zeros((3, 256), dtype=np.int64)  # a histogram a channel: exact for any number of pixels
    for position in range(len(paths)):
        for channel in range(3):
            counts[channel] += np.bincount(decoded[position][..., channel].ravel(), minlength=256)
    values, weights = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = weights @ values
    std = np.sqrt(weights @ values**2 - mean**2)
    result = {"mean": mean.tolist(), "std": std.tolist()}
    with replacing(file) as part:
        part.write_text(json.dumps(result))
    return result["mean"], result["std"]
