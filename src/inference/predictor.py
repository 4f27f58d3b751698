"""An exported model: load it, ask it what a picture shows; runs by ONNX Runtime or by TorchScript.

This module travels inside every export.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from src.inference.answers import Answering, Scores
from src.inference.export_file import ExportFile, read_export
from src.inference.space import Space

# one of them at import: in a standalone folder the modules are gone once they are imported
if find_spec("onnxruntime"):
    import src.inference.onnx_runtime
elif find_spec("torch"):
    import src.inference.torchscript  # noqa: F401


class Runtime(Protocol):
    """What runs a network; see `Answering`. Threads may share it."""

    def scores(self, picture: Image.Image) -> Scores: ...

    def heat(self, picture: Image.Image) -> np.ndarray: ...


class Predictor(Answering):
    """An export in this process.

    Attributes:
        info: the contents of ``model.json``.
        landmarks: what is known of each class, in the model's order.
        runtime: what runs the network.
        space_file: its `Space` as a file; empty where it has none.
        digest: the SHA-256 of the export, hexadecimal.
    """

    def __init__(self, exported: ExportFile, runtime: Runtime) -> None:
        super().__init__(exported.info)
        self.runtime, self.space_file, self.digest = runtime, exported.space, exported.digest

    @classmethod
    def load(cls, path: str | Path) -> Predictor:
        """Load an export: for ONNX Runtime, which is faster and smaller, where that is installed.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: see `read_export`; or neither runtime can run it.
        """
        exported = read_export(path)
        return cls(exported, _runtime(exported))

    def space(self) -> Space:
        return Space.from_bytes(self.space_file)

    def scores(self, picture: Image.Image) -> Scores:
        return self.runtime.scores(picture)

    def heat(self, picture: Image.Image) -> np.ndarray:
        return self.runtime.heat(picture)


def _runtime(exported: ExportFile) -> Runtime:
    """The one that is there; TorchScript is only imported where it is needed, as torch takes seconds."""
    if exported.graphs and find_spec("onnxruntime"):
        from src.inference.onnx_runtime import OnnxRuntime

        return OnnxRuntime(exported)
    if find_spec("torch"):
        from src.inference.torchscript import TorchScriptRuntime

        return TorchScriptRuntime(exported.path)
    if exported.graphs:
        raise ValueError(f"{exported.path} needs ONNX Runtime or PyTorch: pip install onnxruntime.")
    raise ValueError(
        f"{exported.path} has no network for ONNX Runtime: install PyTorch (pip install torch), or bring the "
        "file up to date where PyTorch is (python -m src.export --upgrade OLD NEW)."
    )
