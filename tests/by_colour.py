"""An export for the tests of `src.evaluate`, which says which of three colours is strongest."""

import json
import warnings

import torch
from torch import nn

from src.landmarks.table import describe

COLOURS = {"00.Red": (230, 20, 20), "01.Green": (20, 230, 20), "02.Blue_Tower": (20, 20, 230)}


class ByColour(nn.Module):
    """Says which of three colours is strongest."""

    class_names: list[str]

    def __init__(self, class_names):
        super().__init__()
        self.class_names = class_names
        self.sharpness = nn.Parameter(torch.tensor(9.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.predict(x)[0]

    @torch.jit.export
    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities = torch.softmax(self.sharpness * x.float().mean(dim=[2, 3]) / 255, dim=1)
        return probabilities, probabilities.max(dim=1).values


def write_export(path, **about):
    """An export of `ByColour` whose model.json says this, too."""
    names = list(COLOURS)
    about |= {"classes": [describe(name).to_dict() for name in names], "known_threshold": 0.8, "size": 32}
    about |= {"parameters": 9}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        scripted = torch.jit.script(ByColour(names).eval())
        torch.jit.save(scripted, path, _extra_files={"model.json": json.dumps(about)})
    return path
