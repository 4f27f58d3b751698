"""Checkpoints: written whole or not at all, they describe the network that they hold."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from src.files import replacing
from src.models.classifier import Classifier
from src.models.pretrained import build_transfer
from src.models.scratch import LandmarkNet, NetSettings


class CheckpointError(RuntimeError):
    """A checkpoint is missing, broken, or belongs to another run."""


def save_checkpoint(state: dict, path: Path) -> None:
    """Write a checkpoint so that a kill leaves the old one or the new one, never a part.

    Raises:
        CheckpointError: it cannot be written; the old one is still there.
    """
    data = io.BytesIO()  # torch's own writer ends in an error without a reason on a full disk
    torch.save(state, data)
    try:
        with replacing(path) as part:
            part.write_bytes(data.getbuffer())
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror}): make room or give another folder, and start "
            "again; it goes on where it was."
        ) from error


def load_checkpoint(path: str | Path) -> dict:
    """Read a checkpoint onto the CPU.

    Raises:
        CheckpointError: it is not there or not a checkpoint of this project.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} is not there: train first, or give the path of a checkpoint.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "architecture" not in state:
            raise KeyError("architecture")
    except Exception as error:  # unpickling a foreign file raises many types; all mean the same here
        raise CheckpointError(
            f"{path} is not a checkpoint of this project ({type(error).__name__}): remove it or give another."
        ) from error
    return state


def build_network(architecture: dict, classes: int) -> Classifier:
    """Build the network that a checkpoint describes, without weights."""
    kinds = dict(architecture)
    if kinds.pop("model") == "scratch":
        return LandmarkNet(classes, NetSettings(**kinds))
    return build_transfer(kinds["backbone"], classes, weights=None, dropout=kinds["dropout"])


def restore(path: str | Path) -> tuple[Classifier, dict]:
    """Rebuild the network of a checkpoint (`best.pt` or `last.pt`), in evaluation mode.

    Returns:
        The network with its best-known weights, and everything else the checkpoint says.
    """
    state = load_checkpoint(path)
    network = build_network(state["architecture"], len(state["class_names"]))
    network.load_state_dict(state["weights"])
    return network.eval(), state
