"""An exported network: load it, ask it what is on a picture.

This module travels inside every export, so it needs only torch, Pillow and `src.inference.answers`; what
builds exports is in `src.export`.
"""

from __future__ import annotations

import hashlib
import json
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
            ValueError: the file is not an export of this project, or not the one that `SUMS` beside it names.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: run the notebooks, or give the path of an export.")
        sums = known_sums(path)
        if sums and hashlib.sha256(path.read_bytes()).hexdigest() not in sums:
            raise ValueError(f"{path} is not the file that {SUMS} beside it names: fetch it again.")
        extra = {"model.json": ""}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
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


def known_sums(path: Path) -> list[str]:
    """The SHA-256 sums that an export may have by the file `SUMS` beside it; none where it has no entry."""
    sums = path.with_name(SUMS)
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    return [line.split()[0] for line in lines if line.split()[1:] == [path.name]]


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as uint8 ``(3, H, W)``."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
