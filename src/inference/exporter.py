"""Turn a trained network into one TorchScript file that is the whole product.

It stands apart from `src.inference.predictor` because that module travels inside the exports.
"""

import ast
import contextlib
import hashlib
import io
import json
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from src.data.folders import Pictures
from src.data.transforms import Preprocess
from src.files import replacing
from src.inference.predictor import SUMS, Predictor, is_named, known_sums, read_sums, sum_line
from src.landmarks.table import describe
from src.models.classifier import Classifier
from src.models.open_set import LargestProbability
from src.models.tta import NEVER, TTA, Views, averaged, seen_again, turned_back, unsure

SRC = Path(__file__).parents[1]
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
    """

    temperature: float = 1.0
    threshold: float = 0.5
    score: nn.Module = field(default_factory=lambda: LargestProbability(1.0))
    learnt: tuple[str, ...] = ()


class _Parts(nn.Module):
    """A network that gives its logits, the features that they are made from, and maps of these."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, maps = self.network.features_and_maps(x)
        return self.network.head(features), features, maps


class _Exported(nn.Module):
    """Preprocessing, network, calibrated softmax and score: pictures in, probabilities out.

    Test-time augmentation is done as by `TTA`: which rows need it cannot be traced.
    """

    evidence: Tensor  # (classes, F), the weights of the last layer

    def __init__(
        self,
        parts: nn.Module,
        head: nn.Linear,
        preprocess: Preprocess,
        class_names: Sequence[str],
        calibration: Calibration,
        views: Views,
    ) -> None:
        super().__init__()
        self.network, self.preprocess = parts, preprocess
        self.again, self.side, self.background = views.again, views.side, views.background
        self.class_names = torch.jit.Attribute(list(class_names), list[str])
        self.register_buffer("evidence", head.weight.detach().clone())
        self.temperature = calibration.temperature
        self.score = calibration.score

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(x)[0]

    @torch.jit.export
    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] < 32 or x.shape[3] < 32:
            raise ValueError("pictures must be a batch (N, 3, H, W) with H and W at least 32")
        logits, features, _ = self.infer(self.preprocess(x))
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        return probabilities, self.score(features, logits)

    @torch.jit.export
    def known(self, features: Tensor, logits: Tensor) -> Tensor:
        """How surely the likeliest landmark is the right one, for runtimes that run the network alone."""
        return self.score(features, logits)

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, features, maps = self.network(x)
        rows = unsure(logits, self.again, self.background)
        if len(rows) > 0:
            other_logits, others, other_maps = self.network(seen_again(x[rows], self.side))
            logits = averaged(logits, rows, other_logits)
            features = averaged(features, rows, others)
            maps = averaged(maps, rows, turned_back(other_maps, len(rows)))
        return logits, features, maps

    @torch.jit.export
    def heat(self, x: Tensor) -> Tensor:
        """Where in the middle square of each picture the likeliest class is seen, (N, h, w) in [0, 1].

        Class activation mapping (arXiv:1512.04150): the maps before the pooling, weighted as the
        last layer weighs their means.
        """
        logits, _, maps = self.infer(self.preprocess(x))
        weights = self.evidence[logits.argmax(dim=1)]
        heat = (maps * weights[:, :, None, None]).sum(dim=1).clamp(min=0.0)
        return heat / heat.amax(dim=[1, 2], keepdim=True).clamp(min=1e-6)


@contextlib.contextmanager
def _torchscript() -> Iterator[None]:
    """Torch marks TorchScript as deprecated; it is still the only format that resizes any size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        yield


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
    with _torchscript():
        traced = torch.jit.trace(_Parts(once), example, check_trace=False)
        model = _Exported(traced, network.head, pictures.preprocess, pictures.class_names, calibration, views)
        scripted = torch.jit.script(model.eval())
    check = partial(_assert_parity, parts=_Parts(network), calibration=calibration, pictures=pictures)
    return _save(scripted, path, about | (info or {}), check)


def add_info(path: str | Path, info: dict) -> Predictor:
    """Add entries to the ``model.json`` of an export; the network in it stays as it is."""
    predictor = Predictor.load(path)
    return _save(predictor.model, Path(path), predictor.info | info)


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


def _save(
    model: torch.jit.ScriptModule,
    path: Path,
    info: dict,
    check: Callable[[Predictor], None] = lambda predictor: None,
) -> Predictor:
    extra = {f"src/{name}": (SRC / name).read_text("utf-8") for name in carried_files()}
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
            )  # a kill may come before the file is replaced, or after
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
def _assert_parity(predictor: Predictor, parts: _Parts, calibration: Calibration, pictures: Pictures) -> None:
    dataset = pictures.valid.dataset
    batch = [dataset.picture(i) for i in range(len(dataset))]
    batch.append(batch[0].transpose(1, 2))  # portrait and landscape, whatever the data set holds
    for number, picture in enumerate(batch):
        logits, features, _ = parts(dataset.transform(picture)[None])
        expected = torch.softmax(logits / calibration.temperature, dim=1)
        answered, known = predictor.model.predict(picture[None])
        expected_known = calibration.score(features, logits)
        gap = max((expected - answered).abs().max().item(), (expected_known - known).abs().item())
        if not gap <= 1e-2 or expected.argmax() != answered.argmax():
            raise ExportError(
                f"The export answers differently from the network on validation picture {number} "
                f"(by {gap:.3f}): nothing was written."
            )
