"""An export in TorchScript: the reference, and what runs it where ONNX Runtime is not installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from src.inference.answers import Scores


class TorchScriptRuntime:
    """The network of an export on the CPU.

    Attributes:
        model: the TorchScript module; ``model.predict(x)`` takes NCHW pictures, uint8 or float in
            [0, 1], of any height and width ≥ 32, and returns ``(probabilities (N, classes), known (N,))``.

    Raises:
        ValueError: the file is not an export of this project.
    """

    def __init__(self, path: Path) -> None:
        self.model = load_script(path)

    @torch.inference_mode()
    def scores(self, picture: Image.Image) -> Scores:
        x = to_tensor(picture)[None]
        if not hasattr(self.model, "observe"):  # an export of before features were given
            probabilities, known = self.model.predict(x)
            return Scores(probabilities[0].numpy(), known.item())
        probabilities, known, features = self.model.observe(x)
        return Scores(probabilities[0].numpy(), known.item(), features[0].numpy())

    @torch.inference_mode()
    def heat(self, picture: Image.Image) -> np.ndarray:
        return self.model.heat(to_tensor(picture)[None])[0].numpy()


def load_script(path: str | Path) -> torch.jit.ScriptModule:
    """The TorchScript module of an export whose sums were checked, as loading runs what is in the file.

    Raises:
        ValueError: the file is not an export of this project.
    """
    # for good: filters that are taken back are not safe in threads
    warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
    try:
        model = torch.jit.load(path, map_location="cpu").eval()
        assert model.class_names and model.predict  # noqa: S101
    except (RuntimeError, ValueError, AttributeError, AssertionError) as error:
        raise ValueError(f"{path} is not an export of this project: run the notebooks again.") from error
    return model


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as uint8 ``(3, H, W)``."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
