"""Turn a trained network into one TorchScript file that is the whole product.

It stands apart from `src.inference.predictor` because that module travels inside the exports.
"""

import ast
import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from src.data.folders import Pictures
from src.data.transforms import Preprocess
from src.files import replacing
from src.inference.answers import Scores
from src.inference.export_file import (
    ABOUT,
    SPACE,
    SUMS,
    is_named,
    known_sums,
    read_export,
    read_sums,
    space_id,
    sum_line,
)
from src.inference.exported import Exported, Judged, Parts, onnx_graphs, share_tensors, torchscript
from src.inference.onnx_runtime import OnnxRuntime
from src.inference.predictor import Predictor, Runtime
from src.inference.space import Space
from src.inference.torchscript import TorchScriptRuntime, load_script
from src.landmarks.table import describe
from src.models.classifier import Classifier
from src.models.open_set import LargestProbability
from src.models.tta import NEVER, TTA, Views

SRC = Path(__file__).parents[1]
TOLERANCE = 1e-3  # of a probability
START = "src.app.page"  # all that the app's notebook imports
DATA_FILES = (".css", ".js", ".csv", ".svg")  # that modules read from their own folder
LICENCES = {
    "code": "MIT",
    "weights": "research and demonstration only: the licence of the training pictures is not stated",
    "pretrained": "Apache-2.0 (EfficientNet-Lite by Google), in exports of the transfer network",
}


class ExportError(RuntimeError):
    """The export cannot be written, or answers unlike the network it came from; the older file was kept."""


@dataclass(frozen=True)
class Calibration:
    """What is fitted after the training and travels inside the export.

    Attributes:
        temperature: divides the logits before the softmax (arXiv:1706.04599).
        threshold: the smallest ``known`` at which an answer is given.
        score: gives ``known``, from features ``(N, F)`` and logits ``(N, classes)``; `LargestProbability` for
            a network that has never met unknown photos.
        learnt: the content digests (`src.data.decoded`) of the unknown photos that network, score and
            threshold were made with, which must not judge them.
        space: for own landmarks; without one none can be taught.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    score: nn.Module = field(default_factory=lambda: LargestProbability(1.0))
    learnt: tuple[str, ...] = ()
    space: Space | None = None


def export(
    network: Classifier,
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
        network: in evaluation mode and on the CPU afterwards.
        calibration: from `src.evaluation.calibration.calibrate`.
        info: more entries for ``model.json``.

    Raises:
        ExportError: the export answers differently.
    """
    path, calibration = Path(path), calibration or Calibration()
    network.eval().cpu()
    once, views = network, NEVER
    if isinstance(network, TTA):
        once, views = network.network, network.views
    calibration.score.eval().cpu()
    only_unsure = isinstance(calibration.score, LargestProbability)
    about = {
        "architecture": network.architecture,
        "classes": [describe(name).to_dict() for name in pictures.class_names],
        "temperature": calibration.temperature,
        "known_threshold": calibration.threshold,
        "rejects": "unsure answers" if only_unsure else "unknown photos and unsure answers",
        "unknown_learnt": sorted(calibration.learnt),
        "size": pictures.size,
        "parameters": sum(p.numel() for p in network.parameters()),
        "fingerprint": pictures.fingerprint,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "licences": LICENCES,
    }
    example = torch.zeros(2, 3, pictures.size, pictures.size)
    with torchscript():
        traced = torch.jit.trace(Parts(once), example, check_trace=False)
    judged = Judged(network.head.weight, calibration.temperature, calibration.score)
    model = Exported(traced, judged, pictures.preprocess, pictures.class_names, views)
    check = partial(_assert_parity, parts=Parts(network), judged=judged, pictures=pictures)
    space = calibration.space.to_bytes() if calibration.space else b""
    return _write(model, path, about | (info or {}), check, space)


def add_info(path: str | Path, info: dict) -> Predictor:
    """Add entries to the ``model.json`` of an export; the network in it stays as it is."""
    exported = read_export(path)
    carried = exported.graphs | ({SPACE: exported.space} if exported.space else {})
    return _save(load_script(path), Path(path), exported.info | info, carried)


def upgrade(old: str | Path, new: str | Path) -> Predictor:
    """Make an export of today's format from an earlier one: weights and calibration are all in it.

    Raises:
        FileNotFoundError, ValueError: see `read_export`.
        ExportError: it is from before exports had features and heat maps, or the new one answers differently.
    """
    exported, model = read_export(old), load_script(old)
    info = exported.info
    if not hasattr(model, "evidence") and not hasattr(model, "judged"):
        raise ExportError(f"{old} is from before exports had heat maps: train again.")
    judged = getattr(model, "judged", None)
    if judged is None:
        score = model.score if hasattr(model, "score") else _GateScore(model)
        judged = Judged(model.evidence, model.temperature, score)
    views = Views(
        tuple(getattr(model, "again", NEVER.again)),
        getattr(model, "side", NEVER.side),
        getattr(model, "background", NEVER.background),
    )
    mean, std = (getattr(model.preprocess, name).flatten().tolist() for name in ("mean", "std"))
    preprocess = Preprocess(info["size"], mean, std)
    renewed = Exported(model.network, judged, preprocess, list(model.class_names), views)
    return _write(renewed, Path(new), info, partial(_assert_same_answers, model=model), exported.space)


class _GateScore(nn.Module):
    """``known`` before there was an open-set score: the largest probability, times what a gate says."""

    def __init__(self, model: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.gate, self.temperature = model.gate, model.temperature
        self.power = getattr(model, "gate_power", 1.0)

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        largest = torch.softmax(logits / self.temperature, dim=1).amax(dim=1)
        return largest * torch.sigmoid(self.gate(features))[:, 0] ** self.power


@lru_cache(maxsize=1)
def carried_files() -> tuple[str, ...]:
    """What the app needs when nothing but the notebook and the export is there, as paths below ``src``.

    These are the modules that `START` imports, at once or later, and the data files beside them.
    """
    modules: set[str] = set()
    waiting = [START]
    while waiting:
        if (module := waiting.pop()) not in modules:
            modules.add(module)
            waiting += _imported(ast.parse(_source(module).read_text("utf-8")))
    folders = {SRC, *(_source(module).parent for module in modules)}
    found = {_source(module) for module in modules}
    for folder in folders:
        found.add(folder / "__init__.py")
        found.update(file for file in folder.iterdir() if file.suffix in DATA_FILES)
    return tuple(sorted(file.relative_to(SRC).as_posix() for file in found))


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules of `src` that are imported anywhere in a module, except for its type hints alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.startswith("src.") and _source(name).is_file())
        yield from _imported(node)


def _source(module: str) -> Path:
    return SRC.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _write(model: Exported, path: Path, info: dict, check: Callable[[Path], None], space: bytes) -> Predictor:
    """Save a network in both formats once `check` has passed the file; `info` tells what the graphs lack."""
    views = Views(model.again, model.side, model.background)
    with torchscript():
        scripted = torch.jit.script(model.eval())
    data, graphs = _saved(scripted), onnx_graphs(model)
    with zipfile.ZipFile(data) as archive:
        tensors = sorted({record for graph in graphs.values() for record in share_tensors(graph, archive)})
    onnx = {name: graph.SerializeToString() for name, graph in graphs.items()}
    sums = {name: hashlib.sha256(graph).hexdigest() for name, graph in onnx.items()}
    further = {"views": asdict(views), "onnx": {"graphs": sums, "tensors": tensors}}
    about = info | further | ({"own_space": space_id(space)} if space else {})
    return _save(scripted, path, about, onnx | ({SPACE: space} if space else {}), check)


def _saved(model: torch.jit.ScriptModule, extra: Mapping[str, str | bytes] | None = None) -> io.BytesIO:
    """A module as a file of TorchScript."""
    data = io.BytesIO()  # torch's own writer ends in an error without a reason on a full disk
    with torchscript():
        torch.jit.save(model, data, _extra_files=extra or {})
    return data


def _save(
    model: torch.jit.ScriptModule,
    path: Path,
    info: dict,
    carried: Mapping[str, bytes],
    check: Callable[[Path], None] = lambda part: None,
) -> Predictor:
    modules = {f"src/{name}": (SRC / name).read_text("utf-8") for name in carried_files()}
    about = json.dumps(info, ensure_ascii=False, indent=1)
    data = _saved(model, {**modules, ABOUT: about, **carried})
    try:
        with replacing(path) as part:
            part.write_bytes(data.getbuffer())
            check(part)
            new = hashlib.sha256(data.getbuffer()).hexdigest()
            # a kill may come before the file is replaced, or after
            _write_sums(path, [*known_sums(path), new])
        _write_sums(path, [new])
    except OSError as error:
        raise ExportError(f"{path} cannot be written ({error.strerror}): the older file was kept.") from error
    except ValueError as error:  # of `SUMS`
        raise ExportError(f"{path} was not replaced: {error}") from error
    return Predictor.load(path)


def _write_sums(path: Path, sums: list[str]) -> None:
    """Put these sums of an export into `SUMS` beside it, if there is such a file, in place of older ones."""
    file = path.with_name(SUMS)
    if file.is_file():
        others = [entry for entry in read_sums(file) if not is_named(path, entry[1])]
        lines = [sum_line(*entry) for entry in [*others, *((digest, path.name) for digest in sums)]]
        with replacing(file) as part:
            part.write_text("".join(lines), "utf-8", "surrogateescape")


@torch.inference_mode()
def _assert_parity(part: Path, parts: Parts, judged: Judged, pictures: Pictures) -> None:
    """Compare an export with the network on all validation pictures and on one turned on its side."""
    dataset, answers = pictures.valid.dataset, _both_runtimes(part)
    batch = [dataset.picture(i) for i in range(len(dataset))]
    batch.append(batch[0].transpose(1, 2))  # portrait and landscape, whatever the data set holds
    for number, picture in enumerate(batch):
        exact, known, _ = judged(*parts(dataset.transform(picture)[None]))
        _assert_same(exact, known, answers(picture), f"the network on validation picture {number}")


@torch.inference_mode()
def _assert_same_answers(part: Path, model: torch.jit.ScriptModule) -> None:
    """Compare an export with the earlier one that it was made from, on noise of several grains."""
    answers = _both_runtimes(part)
    for grain in (3, 9, 30, 90):
        pixels = np.random.default_rng(grain).integers(0, 256, (grain, grain, 3), dtype=np.uint8)
        picture = torch.from_numpy(np.array(Image.fromarray(pixels).resize((400, 300)))).permute(2, 0, 1)
        for turned in (picture, picture.transpose(1, 2)):
            exact, known = model.predict(turned[None])
            _assert_same(exact, known, answers(turned), "the earlier one")


def _both_runtimes(part: Path) -> Callable[[Tensor], dict[str, Scores]]:
    """What TorchScript and ONNX Runtime answer for a picture, uint8 ``(3, H, W)``."""
    runtimes: dict[str, Runtime] = {
        "TorchScript": TorchScriptRuntime(part),
        "ONNX": OnnxRuntime(read_export(part)),
    }

    def answers(picture: Tensor) -> dict[str, Scores]:
        shown = Image.fromarray(picture.permute(1, 2, 0).numpy())
        return {name: runtime.scores(shown) for name, runtime in runtimes.items()}

    return answers


def _assert_same(exact: Tensor, known: Tensor, answers: dict[str, Scores], those: str) -> None:
    """Compare answers with probabilities ``(1, classes)`` and known ``(1,)``; raises ExportError."""
    for name, (scores, also_known, _) in answers.items():
        gap = max(np.abs(exact[0].numpy() - scores).max(), abs(known.item() - also_known))
        if not gap <= TOLERANCE or exact.argmax() != scores.argmax():
            raise ExportError(
                f"The export in {name} answers differently from {those} (by {gap:.3f}): nothing was written."
            )
