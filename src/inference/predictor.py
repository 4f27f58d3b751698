"""An exported model: load it, ask it what a picture shows.

This module travels inside every export, so it needs only torch, Pillow and `src.inference.answers`; what
builds exports is in `src.inference.exporter`.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.inference.answers import Answering

SUMS = "SHA256SUMS"  # as sha256sum writes and checks it


class Predictor(Answering):
    """An export and what its ``model.json`` says of it.

    Attributes:
        model: the TorchScript module; ``model.predict(x)`` takes NCHW pictures, uint8 or float in
            [0, 1], of any height and width ≥ 32, and returns ``(probabilities (N, classes), known (N,))``.
        info: the contents of ``model.json``.
        class_names: names of the classes as in the data set.
        landmarks: what is known of each class, in the same order.
    """

    def __init__(self, model: torch.jit.ScriptModule, info: dict) -> None:
        super().__init__(info)
        self.model = model
        self.class_names: list[str] = list(model.class_names)

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Load an export onto the CPU.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: the file is not an export of this project, or not the one that `SUMS` beside it names,
                or that file has a line that `sha256sum` does not write.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: run the notebooks, or give the path of an export.")
        sums = known_sums(path)  # first, as TorchScript runs what is in the file
        if sums and hashlib.sha256(path.read_bytes()).hexdigest() not in sums:
            raise ValueError(f"{path} is not the file that {SUMS} beside it names: fetch it again.")
        extra = {"model.json": ""}
        try:
            ignore_deprecation()
            model = torch.jit.load(path, map_location="cpu", _extra_files=extra)
            return cls(model.eval(), json.loads(extra["model.json"]))
        except (RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is not an export of this project: run the notebooks again.") from error

    @torch.inference_mode()
    def scores(self, picture: Image.Image) -> tuple[np.ndarray, float]:
        probabilities, known = self.model.predict(to_tensor(picture)[None])
        return probabilities[0].numpy(), known.item()

    @torch.inference_mode()
    def heat(self, picture: Image.Image) -> np.ndarray:
        return self.model.heat(to_tensor(picture)[None])[0].numpy()


def ignore_deprecation() -> None:
    """Stop torch's warnings of TorchScript, for good: filters that are taken back are not safe in threads."""
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)


def known_sums(path: Path) -> list[str]:
    """The SHA-256 sums that an export may have by the file `SUMS` beside it; none where it has no entry.

    Raises:
        ValueError: see `read_sums`.
    """
    sums = path.with_name(SUMS)
    return [digest for digest, name in read_sums(sums) if is_named(path, name)] if sums.is_file() else []


def is_named(path: Path, name: str) -> bool:
    """Whether an entry of the file `SUMS` beside an export names it."""
    return (path.parent / name).resolve() == path.resolve()


def read_sums(file: Path) -> list[tuple[str, str]]:
    """Digest and name of each entry of a file of `sha256sum`, text and binary, plain and escaped.

    Raises:
        ValueError: a line is no such entry; it may name the file that has to be checked.
    """
    entries = []
    lines = file.read_text("utf-8", "surrogateescape").split("\n")  # not splitlines: names may hold U+2028
    for number, line in enumerate(lines, 1):
        found = re.fullmatch(r"(\\?)([0-9a-fA-F]{64}) [ *](.+?)\r?", line)
        if found:
            escaped, digest, name = found.groups()
            entries.append((digest.lower(), re.sub(r"\\[\\nr]", _unescaped, name) if escaped else name))
        elif line.strip():
            raise ValueError(f"Line {number} of {file} is not as sha256sum writes it: make the file again.")
    return entries


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(found[0][1], found[0][1])


def sum_line(digest: str, name: str) -> str:
    """An entry as `sha256sum` writes it, with the end of its line."""
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    return f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n"


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as uint8 ``(3, H, W)``."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
