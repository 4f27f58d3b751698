"""Turn a trained network into one TorchScript file that is the whole product.

``python -m src.export RUN FILE`` does it for a finished run: calibrates on the validation pictures,
exports, measures the export on the test pictures and writes the figures into it. It stands apart
from `src.inference.predictor` because that module travels inside the exports.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import platform
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from src.data.errors import DataError
from src.data.folders import Pictures, find_data_set, find_others, load_pictures, split_others
from src.data.transforms import Preprocess
from src.evaluate import figures, predict_export
from src.evaluation.calibration import Calibration, calibrate
from src.files import replacing
from src.inference.predictor import SUMS, Predictor, known_sums
from src.landmarks.table import describe
from src.models.checkpoints import CheckpointError, restore
from src.models.tta import NEVER, MirrorTTA, averaged, unsure
from src.training.recipes import RECIPES

# What the app needs when nothing but the notebook and the export is there.
CARRIED = (
    "__init__.py", "files.py",
    "app/__init__.py", "app/app.css", "app/app.js", "app/card.py", "app/page.py",
    "inference/__init__.py", "inference/answers.py", "inference/predictor.py", "inference/shared.py",
    "landmarks/__init__.py", "landmarks/answer.py", "landmarks/evidence.py", "landmarks/landmarks.csv",
    "landmarks/table.py",
    "landmarks/tags.py", "landmarks/world.svg", "landmarks/worldmap.py",
    "library/__init__.py", "library/records.py",
    "photos/__init__.py", "photos/decode.py", "photos/errors.py", "photos/files.py",
    "photos/read_metadata.py", "photos/write_tags.py", "photos/xmp.py",
)  # fmt: skip
LICENCES = {
    "code": "MIT",
    "weights": "research and demonstration only: the licence of the training pictures is not stated",
    "pretrained": "Apache-2.0 (EfficientNet-Lite by Google), in exports of the transfer network",
}


class ExportError(RuntimeError):
    """The export cannot be written, or answers unlike the network it came from; the older file was kept."""


class _Parts(nn.Module):
    """A network that gives its logits, the features that they are made from, and maps of these."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, maps = self.network.features_and_maps(x)
        return self.network.head(features), features, maps


class _Exported(nn.Module):
    """Preprocessing, network, calibrated softmax and gate: pictures in, probabilities out.

    It looks at mirror images too, as `MirrorTTA` does; whether it must cannot be traced.
    """

    def __init__(
        self,
        parts: nn.Module,
        head: nn.Linear,
        preprocess: Preprocess,
        class_names,
        calibration: Calibration,
        again: tuple[float, float],
    ) -> None:
        super().__init__()
        self.network, self.preprocess, self.again = parts, preprocess, again
        self.class_names = torch.jit.Attribute(list(class_names), list[str])
        self.register_buffer("evidence", head.weight.detach().clone())
        self.temperature = calibration.temperature
        self.gate = calibration.gate or _open_gate(head.in_features)
        self.gate_power = calibration.gate_power

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(x)[0]

    @torch.jit.export
    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] < 32 or x.shape[3] < 32:
            raise ValueError("pictures must be a batch (N, 3, H, W) with H and W at least 32")
        logits, features, _ = self.look(self.preprocess(x))
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        shown = torch.sigmoid(self.gate(features))[:, 0] ** self.gate_power
        return probabilities, shown * probabilities.max(dim=1).values

    def look(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, features, maps = self.network(x)
        rows = unsure(logits, self.again)
        if len(rows) > 0:
            turned_logits, turned, turned_maps = self.network(x[rows].flip(3))
            logits = averaged(logits, rows, turned_logits)
            features = averaged(features, rows, turned)
            maps = averaged(maps, rows, turned_maps.flip(3))
        return logits, features, maps

    @torch.jit.export
    def heat(self, x: Tensor) -> Tensor:
        """Where in the middle square of each picture the likeliest class is seen, (N, h, w) in [0, 1].

        Class activation mapping (arXiv:1512.04150): the maps before the pooling, weighted as the
        last layer weighs their means.
        """
        logits, _, maps = self.look(self.preprocess(x))
        weights = self.evidence[logits.argmax(dim=1)]
        heat = (maps * weights[:, :, None, None]).sum(dim=1).clamp(min=0.0)
        return heat / heat.amax(dim=[1, 2], keepdim=True).clamp(min=1e-6)


def _open_gate(features: int) -> nn.Linear:
    """A gate that lets everything through: without other photos nothing is known of them."""
    gate = nn.Linear(features, 1)
    nn.init.zeros_(gate.weight)
    nn.init.constant_(gate.bias, float("inf"))
    return gate.requires_grad_(False)


@contextlib.contextmanager
def _torchscript() -> Iterator[None]:
    """Torch marks TorchScript as deprecated; it is still the only format that resizes any size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        yield


def export(
    network: nn.Module,
    pictures: Pictures,
    path: str | Path,
    calibration: Calibration | None = None,
    *,
    info: dict | None = None,
) -> Predictor:
    """Write a trained network as one self-contained TorchScript file.

    The file replaces an older one only after the reloaded export was compared with the network behind
    the evaluation transforms, on every validation picture and on one turned on its side.

    Args:
        network: with ``features_and_maps`` and a linear ``head``, as `LandmarkNet` and `TransferNet`.
        calibration: from `src.evaluation.calibration.calibrate`.
        info: more entries for ``model.json``.

    Raises:
        ExportError: the export answers differently.
    """
    path, calibration = Path(path), calibration or Calibration()
    network.eval().cpu()
    once, again = network, NEVER
    if isinstance(network, MirrorTTA):
        once, again = network.network, network.again
    about = {
        "architecture": network.architecture,
        "classes": [describe(name).to_dict() for name in pictures.class_names],
        "temperature": calibration.temperature,
        "known_threshold": calibration.threshold,
        "rejects": "everyday photos and unsure answers" if calibration.gate else "unsure answers",
        "size": pictures.size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "fingerprint": pictures.fingerprint,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "licences": LICENCES,
    }
    example = torch.zeros(2, 3, pictures.size, pictures.size)
    with _torchscript():
        traced = torch.jit.trace(_Parts(once), example, check_trace=False)
        model = _Exported(traced, network.head, pictures.preprocess, pictures.class_names, calibration, again)
        scripted = torch.jit.script(model.eval())
    check = partial(_assert_parity, parts=_Parts(network), calibration=calibration, pictures=pictures)
    return _save(scripted, path, about | (info or {}), check)


def add_info(path: str | Path, info: dict) -> Predictor:
    """Add entries to the ``model.json`` of an export; the network in it stays as it is."""
    predictor = Predictor.load(path)
    return _save(predictor.model, Path(path), predictor.info | info)


def _save(model: torch.jit.ScriptModule, path: Path, info: dict, check=lambda predictor: None) -> Predictor:
    here = Path(__file__).parent
    extra = {f"src/{name}": (here / name).read_text("utf-8") for name in CARRIED}
    extra["model.json"] = json.dumps(info, ensure_ascii=False, indent=1)
    data = io.BytesIO()  # torch's own writer ends in an error without a reason on a full disk
    with _torchscript():
        torch.jit.save(model, data, _extra_files=extra)
    try:
        with replacing(path) as part:
            part.write_bytes(data.getbuffer())
            check(Predictor.load(part))
            new = hashlib.sha256(data.getbuffer()).hexdigest()
            _write_sums(
                path, [*known_sums(path), new]
            )  # a kill may come before or after the file is replaced
        _write_sums(path, [new])
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror}): the older file was kept.") from error
    return Predictor.load(path)


def _write_sums(path: Path, sums: list[str]) -> None:
    """Put these sums of an export into `SUMS` beside it, if there is such a file, in place of older ones."""
    file = path.with_name(SUMS)
    if file.is_file():
        lines = [line for line in file.read_text("utf-8").splitlines() if line.split()[1:] != [path.name]]
        with replacing(file) as part:
            part.write_text("\n".join([*lines, *(f"{sum_}  {path.name}" for sum_ in sums)]) + "\n", "utf-8")


@torch.inference_mode()
def _assert_parity(predictor: Predictor, parts: _Parts, calibration: Calibration, pictures: Pictures) -> None:
    dataset = pictures.valid.dataset
    batch = [dataset.picture(i) for i in range(len(dataset))]
    batch.append(batch[0].transpose(1, 2))  # portrait and landscape, whatever the data set holds
    for number, picture in enumerate(batch):
        logits, features, _ = parts(dataset.transform(picture)[None])
        expected = torch.softmax(logits / calibration.temperature, dim=1)
        answered, known = predictor.model.predict(picture[None])
        expected_known = calibration.shown(features) * expected.amax(1)
        gap = max((expected - answered).abs().max().item(), (expected_known - known).abs().item())
        if not gap <= 1e-2 or expected.argmax() != answered.argmax():
            raise ExportError(
                f"The export answers differently from the network on validation picture {number} "
                f"(by {gap:.3f}): nothing was written."
            )


def export_run(
    run: str | Path,
    root: str | Path,
    path: str | Path,
    *,
    others: str | Path | None = None,
    limit: int | None = None,
) -> Predictor:
    """Calibrate, export and measure the best network of a run.

    Temperature and threshold come from the validation pictures; the test pictures are read once, by
    the finished export, for the figures in its ``model.json``.
    """
    network, state = restore(Path(run) / "best.pt")
    pictures = load_pictures(
        root,
        eval_size=state["size"],
        normalise=(state["mean"], state["std"]),
        valid_fraction=state["settings"]["valid_fraction"],
        split_seed=state["split_seed"],
        others=others if state.get("met_others") else None,
        limit=limit,
    )
    if state["class_names"] != pictures.class_names:
        raise CheckpointError(f"{run} was trained on other classes than {root} holds: give its own data set.")
    network = MirrorTTA(network, RECIPES[state["architecture"]["model"]].again)
    calibration, validated = calibrate(network, pictures, others)
    info = {
        "trained": state["settings"],
        "epochs_run": len(state["history"]),
        "valid": figures(validated, calibration.threshold),
    }
    predictor = export(network, pictures, path, calibration, info=info)
    dataset = pictures.test.dataset
    test = predict_export(predictor, dataset.paths, dataset.labels)
    unknown = predict_export(predictor, split_others(others)[1]) if others else None
    return add_info(path, {"test": figures(test, calibration.threshold, unknown)})


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when exported, 2 with one sentence when something given is wrong."""
    parser = argparse.ArgumentParser("python -m src.export", description="Export the network of a run.")
    parser.add_argument("run", type=Path, help="folder of a run, with best.pt")
    parser.add_argument("file", type=Path, help="the export to write")
    parser.add_argument("--data", type=Path, help="folder with train/ and test/ (default: see README)")
    parser.add_argument("--others", type=Path, help="photos of no landmark (default: see README)")
    options = parser.parse_args(arguments)
    try:
        root = find_data_set(options.data)
        predictor = export_run(options.run, root, options.file, others=find_others(options.others, root))
    except (DataError, CheckpointError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(predictor.info["test"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
