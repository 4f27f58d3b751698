"""The network of an export in OpenVINO, which a CPU runs twice as fast: for libraries, where it is installed.

It is built from the export when it is needed and never kept, so there is no second truth; before it is used
it must answer made-up pictures as the export does. Wherever it fails, the export answers.
"""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
import torch
from PIL import Image
from scipy.sparse import csr_array
from torch import Tensor, nn

from src.inference.answers import Answering
from src.inference.predictor import Predictor, ignore_deprecation
from src.models.tta import Views, averaged, seen_again, unsure

TOLERANCE = 1e-3  # of a probability, between the two

logger = logging.getLogger(__name__)


def fastest(predictor: Predictor, threads: int) -> Answering:
    """What answers so many threads fastest: OpenVINO where it is installed and works, else the export."""
    torch.set_num_threads(1)  # each of those threads has a core of its own
    if find_spec("openvino") is None:
        return predictor
    try:
        fast = OpenVinoPredictor(predictor, threads)
        same = all(_answers_alike(fast, predictor, picture) for picture in _made_up_pictures())
    except Exception as error:  # it has no class of its own for what it lacks on a machine
        logger.warning("OpenVINO does not work on this machine (%s); it is not used.", _line(error))
        return predictor
    if not same:
        logger.warning("OpenVINO answers differently on this machine; it is not used.")
    return fast if same else predictor


def _answers_alike(fast: OpenVinoPredictor, predictor: Predictor, picture: Image.Image) -> bool:
    expected, known = predictor.scores(picture)
    scores, fast_known = fast.scores_of(square(picture, fast.info["size"]))
    return bool(max(np.abs(expected - scores).max(), abs(known - fast_known)) < TOLERANCE)


class OpenVinoPredictor(Answering):
    """The answers of an export, from a network that `threads` threads may ask at the same time.

    Once OpenVINO has failed, the export answers instead.
    """

    def __init__(self, predictor: Predictor, threads: int) -> None:
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        super().__init__(predictor.info)
        self.landmarks = predictor.landmarks  # the user's own facts, see `describe_with`
        self._export, self._failed, self._lock = predictor, False, threading.Lock()
        self._temperature = predictor.model.temperature
        model = predictor.model
        self._views = Views(tuple(model.again), model.side, model.background)
        example = torch.zeros(1, 3, predictor.info["size"], predictor.info["size"])
        ignore_deprecation()
        with torch.inference_mode():
            traced = torch.jit.trace(_Core(predictor.model), example)
        # its own converter would do the same, and report to its makers that it was used
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
        model = frontend.convert(frontend.load(decoder))
        settings = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            # where the CPU multiplies bfloat16 it would take that, and answer otherwise by up to 0.01
            "INFERENCE_PRECISION_HINT": "f32",
            # threads bound to a core each would wait there for a photo to be read while other cores idle
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)
        self._own = threading.local()

    def scores(self, picture: Image.Image) -> tuple[np.ndarray, float]:
        if not self._failed:
            x = square(picture, self.info["size"])
            try:
                return self.scores_of(x)
            except Exception as error:
                self._give_up(error)
        return self._export.scores(picture)

    def heat(self, picture: Image.Image) -> np.ndarray:
        return self._export.heat(picture)

    def scores_of(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """The `scores` of what `square` gives; raises what OpenVINO raises."""
        logits, features = self.infer(x)
        rows = unsure(logits, self._views.again, self._views.background)
        if len(rows):
            views = seen_again(torch.from_numpy(x), self._views.side).split(1)
            seen = [self.infer(view.numpy()) for view in views]
            logits = averaged(logits, rows, torch.cat([one for one, _ in seen]))
            features = averaged(features, rows, torch.cat([one for _, one in seen]))
        probabilities = torch.softmax(logits[0] / self._temperature, dim=0)
        return probabilities.numpy(), self._export.model.known(features, logits).item()

    def infer(self, x: np.ndarray) -> tuple[Tensor, Tensor]:
        """One forward pass of what `square` gives: logits ``(1, classes)`` and features ``(1, F)``."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        answered = self._own.request.infer([x])
        logits, features = (torch.from_numpy(answered[out].copy()) for out in self._compiled.outputs)
        return logits, features

    def _give_up(self, error: Exception) -> None:
        with self._lock:  # many threads may fail at once, and one sentence is enough
            if not self._failed:
                logger.warning("OpenVINO failed (%s); the export answers from here on.", _line(error))
            self._failed = True


def _line(error: Exception) -> str:
    """What went wrong, on one line: OpenVINO's messages begin with positions in its own source."""
    return " ".join(str(error).split())[-200:] or type(error).__name__


class _Core(nn.Module):
    """One forward pass of an export, from the resized and cut picture in [0, 255] to logits and features."""

    def __init__(self, export: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.mean, self.std, self.network = export.preprocess.mean, export.preprocess.std, export.network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, features, _ = self.network((x / 255 - self.mean) / self.std)
        return logits, features


def square(picture: Image.Image, size: int) -> np.ndarray:
    """What the export's preprocessing cuts out of the resized picture: (1, 3, size, size) in [0, 255].

    By the same antialiased triangle filter, for the pixels of the square alone: as two products with sparse
    matrices, in half of the time. In float, as rounding to uint8 moves some probabilities by 0.05.
    """
    pixels = np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))
    height, width, bands = pixels.shape
    scale = size / min(height, width)
    rows, down = _triangle(height, max(size, int(height * scale + 0.5)), size)
    columns, across = _triangle(width, max(size, int(width * scale + 0.5)), size)
    seen = down @ pixels[rows, columns].reshape(down.shape[1], -1).astype(np.float32)
    seen = across @ seen.reshape(size, -1, bands).transpose(1, 2, 0).reshape(across.shape[1], -1)
    seen = seen.reshape(size, bands, size).transpose(1, 2, 0)
    return np.ascontiguousarray(seen)[None]


@lru_cache(maxsize=1000)  # a library has photos of few sizes
def _triangle(source: int, target: int, size: int) -> tuple[slice, csr_array]:
    """Weights of the middle `size` of `target` pixels, and which of the `source` pixels they belong to."""
    scale = source / target
    half = max(scale, 1.0)  # of the triangle's base, pixels
    centres = ((target - size) // 2 + np.arange(size) + 0.5) * scale
    near = np.floor(centres - half)[:, None] + np.arange(int(2 * half) + 3)
    weights = np.clip(1 - np.abs(near + 0.5 - centres[:, None]) / half, 0, None)
    weights[(near < 0) | (near >= source)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    near = near.clip(0, source - 1).astype(np.int32)
    first, ends = int(near.min()), np.arange(size + 1) * near.shape[1]
    shape = size, int(near.max()) + 1 - first
    matrix = csr_array((weights.ravel().astype(np.float32), near.ravel() - first, ends), shape)
    matrix.eliminate_zeros()
    return slice(first, first + shape[1]), matrix


def _made_up_pictures() -> list[Image.Image]:
    chance = np.random.default_rng(0)
    noise = [chance.integers(0, 256, shape, dtype=np.uint8) for shape in ((9, 12, 3), (90, 60, 3))]
    return [Image.fromarray(pixels).resize((400, 300)) for pixels in noise] + [Image.new("RGB", (300, 500))]
