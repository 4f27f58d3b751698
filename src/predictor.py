"""An exported network: load it, ask it what is on a picture.

This module travels inside every export, so it needs only torch, Pillow and `src.landmarks`; what
builds exports is in `src.export`.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.landmarks import Landmark

GUESSES = 5
SUMS = "SHA256SUMS"  # as sha256sum writes and checks it


@dataclass(frozen=True)
class Guess:
    """One landmark and the calibrated probability, in [0, 1], that the photo shows it.

    This counts the doubt that the photo shows any landmark at all: a cat may look more like one of
    them than like the others, and still not like a landmark.
    """

    landmark: Landmark
    probability: float


@dataclass(frozen=True)
class Answer:
    """What a network says of one picture.

    Attributes:
        guesses: the five likeliest landmarks, best first (fewer where the network knows fewer).
        known: in [0, 1], how surely the picture shows one of the known landmarks at all.
        recognised: whether ``known`` reaches the threshold; if not, the answer is "no landmark that I
            know" and the guesses only say what comes closest.
    """

    guesses: tuple[Guess, ...]
    known: float
    recognised: bool


class Predictor:
    """An export and what its ``model.json`` says of it.

    Attributes:
        model: the TorchScript module; ``model.predict(x)`` takes NCHW pictures, uint8 or float in
            [0, 1], of any height and width ≥ 32, and returns ``(probabilities (N, classes), known (N,))``.
        info: the contents of ``model.json``.
        class_names: names of the classes as in the data set.
        landmarks: what is known of each class, in the same order.
    """

    def __init__(self, model: torch.jit.ScriptModule, info: dict) -> None:
        self.model, self.info = model, info
        self.class_names: list[str] = list(model.class_names)
        self.landmarks = [Landmark.from_dict(entry) for entry in info["classes"]]

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

    @property
    def known_threshold(self) -> float:
        """The smallest ``known`` at which an answer is given."""
        return self.info["known_threshold"]

    @torch.inference_mode()
    def predict(self, pictures: Sequence[Image.Image]) -> list[Answer]:
        """Answer for upright pictures of any size, one by one: the same whatever else is asked."""
        return [self._answer(*self.model.predict(to_tensor(picture)[None])) for picture in pictures]

    @torch.inference_mode()
    def heat(self, picture: Image.Image) -> np.ndarray:
        """Where in the middle square of a picture the likeliest landmark is seen: ``(h, w)`` in [0, 1]."""
        return self.model.heat(to_tensor(picture)[None])[0].numpy()

    def _answer(self, probabilities: Tensor, known: Tensor) -> Answer:
        best = probabilities[0].topk(min(GUESSES, len(self.landmarks)))
        shown = known.item() / best.values[0].item()
        guesses = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return Answer(
            guesses=tuple(Guess(self.landmarks[i], shown * p) for i, p in guesses),
            known=known.item(),
            recognised=known.item() >= self.known_threshold,
        )


def known_sums(path: Path) -> list[str]:
    """The SHA-256 sums that an export may have by the file `SUMS` beside it; none where it has no entry."""
    sums = path.with_name(SUMS)
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    return [line.split()[0] for line in lines if line.split()[1:] == [path.name]]


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as uint8 ``(3, H, W)``."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
