"""An export in ONNX Runtime: answers of the same network in a fraction of PyTorch's time, memory and disk.

Only what a graph cannot hold is done here: the square that the network sees is cut out of the picture, and an
unsure picture is seen again. What both are and the rest are the export's, see `src.inference.exported`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from PIL import Image

from src.inference.answers import Scores
from src.inference.export_file import ANSWER, NETWORK, ExportFile


class OnnxRuntime:
    """The graphs of an export on the CPU, one thread for each photo; many threads may ask at once."""

    def __init__(self, exported: ExportFile) -> None:
        self._size, self._views = exported.info["size"], exported.info["views"]
        # made aside, a tenth of a second, while the first photos are read
        aside = ThreadPoolExecutor(1)
        making = [aside.submit(session, exported, name) for name in (NETWORK, ANSWER)]
        aside.shutdown(wait=False)
        self._network, self._answer = (made.result for made in making)

    def scores(self, picture: Image.Image) -> Scores:
        probabilities, known, _, features = self._run(picture)
        return Scores(probabilities[0], float(known[0]), features[0])

    def heat(self, picture: Image.Image) -> np.ndarray:
        return self._run(picture)[2][0]

    def _run(self, picture: Image.Image) -> list[np.ndarray]:
        """Probabilities ``(1, classes)``, known ``(1,)``, heat ``(1, h, w)`` and features ``(1, F)``."""
        pixels = square(picture, self._size)
        logits, features, maps = seen = self._network().run(None, {"pixels": pixels})
        if self._is_unsure(logits[0]):
            again = seen_again(pixels, self._views["side"])
            mirrored, *blurred = [self._network().run(None, {"pixels": view[None]}) for view in again]
            mirrored[2] = mirrored[2][:, :, :, ::-1]  # as the maps of the picture itself
            views = zip(seen, mirrored, *blurred, strict=True)
            logits, features, maps = (sum(parts) / len(parts) for parts in views)
        values = {"logits": logits, "features": features, "maps": maps}
        needed = (wanted.name for wanted in self._answer().get_inputs())  # not all scores look at features
        return [*self._answer().run(None, {name: values[name] for name in needed}), features]

    def _is_unsure(self, logits: np.ndarray) -> bool:
        """As `src.models.tta.unsure` of one row of logits."""
        low, high = self._views["again"]
        if self._views["background"]:
            logits = np.append(logits, np.float32(0))
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        highest = shares[: len(shares) - self._views["background"]].max()
        return low <= highest < high


def session(exported: ExportFile, name: str) -> onnxruntime.InferenceSession:
    """A graph of an export, ready to run on one thread for each that asks."""
    settings = onnxruntime.SessionOptions()
    tensors = exported.tensors
    settings.add_external_initializers_from_files_in_memory(
        list(tensors), list(tensors.values()), [len(data) for data in tensors.values()]
    )
    # photos are answered side by side, which keeps all cores busy without any waiting for another
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    # one picture at a time: what depends on the size of a batch is worked out at once, a tenth of all work
    settings.add_free_dimension_override_by_name("N", 1)
    settings.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(exported.graphs[name], settings, providers=["CPUExecutionProvider"])


def square(picture: Image.Image, size: int) -> np.ndarray:
    """The middle square as `src.data.transforms.Preprocess` cuts it: ``(1, 3, size, size)``, 0 to 255.

    By the same antialiased triangle filter. In float, as rounding to uint8 moves some probabilities by 0.05.
    """
    width, height = picture.size
    scale = size / min(width, height)
    across, down = max(size, int(width * scale + 0.5)), max(size, int(height * scale + 0.5))
    left, top = (across - size) // 2, (down - size) // 2
    right, bottom = left + size, top + size
    box = left * width / across, top * height / down, right * width / across, bottom * height / down
    bands = (picture if picture.mode == "RGB" else picture.convert("RGB")).split()
    return np.stack([_resized(band.convert("F"), size, box) for band in bands])[None]


def seen_again(pixels: np.ndarray, side: int) -> np.ndarray:
    """The further views of a square ``(1, 3, S, S)``, one or two, as `src.models.tta.seen_again`."""
    mirrored = pixels[:, :, :, ::-1]
    if not side:
        return np.ascontiguousarray(mirrored)
    small = [Image.fromarray(_resized(Image.fromarray(band), side)) for band in pixels[0]]
    blurred = np.stack([_resized(band, pixels.shape[-1]) for band in small])[None]
    return np.concatenate([mirrored, blurred])


def _resized(
    band: Image.Image, side: int, box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """A band of floats, or what is in a box of it, as ``(side, side)``."""
    return np.asarray(band.resize((side, side), Image.Resampling.BILINEAR, box))
