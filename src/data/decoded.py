"""Pictures read as the app and the tagger read them, and decoded once for all epochs and runs."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from src.data.errors import DataError
from src.files import replacing
from src.photos import containers, decode, exif, formats, headers, isobmff, jxl, raw, tiff
from src.photos.errors import UNUSABLE
from src.photos.files import read_photo_file
from src.progress import progress_bar

# Decoded pictures are kept with this short side in pixels: enough for any training size used here.
CACHED_SIDE = 256
# the code that turns bytes into pixels
DECODERS = (decode, formats, headers, containers, tiff, isobmff, jxl, raw, exif)


def read_picture(path: str | Path, short_side: int = decode.SHORT_SIDE) -> Image.Image:
    """A picture file as the app and the tagger see it: see `src.photos.decode.read_photo`.

    Raises:
        DataError: it cannot be read, or is no picture that can be used.
    """
    try:
        return decode.read_photo(read_photo_file(path), str(path), short_side)
    except UNUSABLE as error:
        raise DataError(f"{path} has to be replaced or removed: {error}") from error


def read_array(path: str | Path, side: int = CACHED_SIDE) -> np.ndarray:
    """What `read_picture` gives as uint8 ``(H, W, 3)``, shrunk so that its short side is at most `side`."""
    picture = read_picture(path, side)
    if min(picture.size) > side:
        scale = side / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)  # antialiased, as `read_photo` shrinks
    return np.array(picture)


def content_digest(path: str | Path) -> str:
    """What is in a file, as 16 hexadecimal digits (BLAKE2b)."""
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()


def content_digests(paths: Iterable[Path]) -> dict[Path, str]:
    """The `content_digest` of each file, every file read once.

    Raises:
        DataError: one cannot be read.
    """
    paths = list(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing does without the interpreter's lock
        try:
            return dict(zip(paths, pool.map(content_digest, paths), strict=True))
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read ({error.strerror}): replace it.") from error


def fingerprint(paths: Iterable[Path], digests: Mapping[Path, str]) -> str:
    """A name for exactly these pictures: BLAKE2b over class, file name and content of each."""
    digest = hashlib.blake2b(digest_size=8)
    for path in paths:
        line = f"{path.parent.name}/{path.name}\0{digests[path]}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


@lru_cache(maxsize=1)
def decoder_version() -> str:
    """A name for the code that decodes: what was decoded by other code must not be read."""
    parts = [*map(inspect.getsource, DECODERS), inspect.getsource(read_array), PIL.__version__]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=4).hexdigest()


class DecodedPictures:
    """Pictures decoded once into a uint8 file that every worker and later run maps into memory.

    The file is named by the pictures' fingerprint and by the decoder: what is read from it is what
    decoding would give.

    Args:
        paths: of the pictures; each file is hashed once, and read again only to be decoded.
        folder: where the file is, or is made.
        side: see `read_array`.

    Attributes:
        digests: the `content_digest` of each picture.

    Raises:
        DataError: a picture cannot be read.
    """

    def __init__(self, paths: Sequence[Path], folder: Path, side: int = CACHED_SIDE) -> None:
        self.digests = content_digests(paths)
        self.folder = folder
        self.file = folder / f"{fingerprint(paths, self.digests)}-{side}-{decoder_version()}.u8"
        index = self.file.with_suffix(".npy")  # written last: it says that the file is whole
        if not index.exists():
            self._decode(paths, side, index)
        self.index = dict(zip(paths, np.load(index).tolist(), strict=True))  # offset, height, width
        self._map: np.ndarray | None = None

    def _decode(self, paths: Sequence[Path], side: int, index: Path) -> None:
        rows, offset = [], 0
        with (
            replacing(self.file) as part,
            ThreadPoolExecutor(os.cpu_count()) as pool,
            open(part, "wb") as out,
        ):
            pictures = pool.map(lambda path: read_array(path, side), paths)
            for picture in progress_bar(pictures, "decoding pictures once", len(paths), unit="picture"):
                out.write(picture.tobytes())
                rows.append((offset, *picture.shape[:2]))
                offset += picture.size
        with replacing(index) as part, open(part, "wb") as out:
            np.save(out, np.asarray(rows, dtype=np.int64))

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_map": None}  # a worker maps the file itself

    def __getitem__(self, path: Path) -> np.ndarray:
        """The picture as `read_array` gives it; a change of it is never written to the file."""
        if self._map is None:
            # copy on write: tensors may share it without a copy
            self._map = np.memmap(self.file, dtype=np.uint8, mode="c")
        offset, height, width = self.index[path]
        return self._map[offset : offset + height * width * 3].reshape(height, width, 3)


def channel_statistics(decoded: DecodedPictures, paths: Sequence[Path]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in [0, 1], over all pixels of these decoded pictures.

    Streamed picture by picture; remembered beside the decoded pictures.
    """
    name = f"{fingerprint(paths, decoded.digests)}-{decoder_version()}-statistics.json"
    if (file := decoded.folder / name).exists():
        known = json.loads(file.read_text())
        return known["mean"], known["std"]
    counts = np.zeros((3, 256), dtype=np.int64)  # a histogram a channel: exact for any number of pixels
    for path in paths:
        for channel in range(3):
            counts[channel] += np.bincount(decoded[path][..., channel].ravel(), minlength=256)
    values, weights = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = weights @ values
    std = np.sqrt(weights @ values**2 - mean**2)
    result = {"mean": mean.tolist(), "std": std.tolist()}
    with replacing(file) as part:
        part.write_text(json.dumps(result))
    return result["mean"], result["std"]
