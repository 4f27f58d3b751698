"""What is inside an export: modules that TorchScript saves, and that its ONNX graphs are traced from."""

import contextlib
import io
import warnings
import zipfile
from collections.abc import Iterator, Sequence

import onnx
import torch
from torch import Tensor, nn

from src.data.transforms import Preprocess
from src.inference.export_file import ANSWER, NETWORK
from src.models.classifier import Classifier
from src.models.tta import Views, averaged, seen_again, turned_back, unsure

SMALL = 1000  # bytes; smaller tensors are in an export twice


class Parts(nn.Module):
    """A network that gives its logits, the features that they are made from, and maps of these."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, maps = self.network.features_and_maps(x)
        return self.network.head(features), features, maps


class Judged(nn.Module):
    """Calibrated softmax, open-set score and heat map: what follows from what `Parts` gives.

    Args:
        evidence: ``(classes, F)``, the weights of the last layer.
        temperature: divides the logits before the softmax.
        score: gives ``known``, from features and logits.
    """

    evidence: Tensor

    def __init__(self, evidence: Tensor, temperature: float, score: nn.Module) -> None:
        super().__init__()
        self.register_buffer("evidence", evidence.detach().clone())
        self.temperature, self.score = temperature, score

    def forward(self, logits: Tensor, features: Tensor, maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities ``(N, classes)``, known ``(N,)``, and where in a picture its likeliest class is seen.

        The last is class activation mapping (arXiv:1512.04150): the maps before the pooling, weighted as the
        last layer weighs their means, ``(N, h, w)`` in [0, 1].
        """
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        weights = self.evidence[logits.argmax(dim=1)]
        heat = (maps * weights[:, :, None, None]).sum(dim=1).clamp(min=0.0)
        heat = heat / heat.amax(dim=[1, 2], keepdim=True).clamp(min=1e-6)
        return probabilities, self.score(features, logits), heat


class Exported(nn.Module):
    """Preprocessing, network and judgement: pictures in, probabilities out.

    Test-time augmentation is done as by `TTA`: which rows need it cannot be traced.
    """

    def __init__(
        self,
        parts: nn.Module,
        judged: Judged,
        preprocess: Preprocess,
        class_names: Sequence[str],
        views: Views,
    ) -> None:
        super().__init__()
        self.network, self.judged, self.preprocess = parts, judged, preprocess
        self.again, self.side, self.background = views.again, views.side, views.background
        self.class_names = torch.jit.Attribute(list(class_names), list[str])

    def forward(self, x: Tensor) -> Tensor:
        return self.predict(x)[0]

    @torch.jit.export
    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities ``(N, classes)`` and known ``(N,)`` of pictures ``(N, 3, H, W)``."""
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] < 32 or x.shape[3] < 32:
            raise ValueError("pictures must be a batch (N, 3, H, W) with H and W at least 32")
        probabilities, known, _ = self.observe(x)
        return probabilities, known

    @torch.jit.export
    def observe(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `predict`, and the features ``(N, F)`` that own landmarks are compared by."""
        logits, features, maps = self.infer(self.preprocess(x))
        probabilities, known, _ = self.judged(logits, features, maps)
        return probabilities, known, features

    @torch.jit.export
    def heat(self, x: Tensor) -> Tensor:
        """Where in the middle square of each picture the likeliest class is seen, see `Judged`."""
        logits, features, maps = self.infer(self.preprocess(x))
        return self.judged(logits, features, maps)[2]

    def infer(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, features, maps = self.network(x)
        rows = unsure(logits, self.again, self.background)
        if len(rows) > 0:
            other_logits, others, other_maps = self.network(seen_again(x[rows], self.side))
            logits = averaged(logits, rows, other_logits)
            features = averaged(features, rows, others)
            maps = averaged(maps, rows, turned_back(other_maps, len(rows)))
        return logits, features, maps


class _Pixels(nn.Module):
    """The network of an export for pixels from 0 to 255."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.mean, self.std = exported.preprocess.mean, exported.preprocess.std
        self.network = exported.network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network((pixels / 255 - self.mean) / self.std)


@contextlib.contextmanager
def torchscript() -> Iterator[None]:
    """Torch marks TorchScript as deprecated; it is still the only format that resizes any size."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # by another exporter in some places
        warnings.filterwarnings("ignore", message="no signature found", category=UserWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        yield


@torch.inference_mode()
def onnx_graphs(exported: Exported) -> dict[str, onnx.ModelProto]:
    """Network and judgement as ONNX: of any number of square pictures, and of one."""
    size = exported.preprocess.size
    pixels, values = _Pixels(exported), ["logits", "features", "maps"]
    several = torch.zeros(2, 3, size, size)
    one = pixels(several[:1])
    return {
        NETWORK: _onnx(pixels, (several,), ["pixels"], values, dynamic=True),
        ANSWER: _onnx(exported.judged, one, values, ["probabilities", "known", "heat"], dynamic=False),
    }


def _onnx(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    *,
    dynamic: bool,
) -> onnx.ModelProto:
    """A module as ONNX, its tensors as they are: nothing is folded or fused before the runtime does it."""
    file = io.BytesIO()
    with torchscript():
        torch.onnx.export(
            torch.jit.trace(module.eval(), example, check_trace=False),
            example,
            file,  # type: ignore[arg-type]  # which it takes all the same
            dynamo=False,  # by the exporter for TorchScript, since the network was traced already
            opset_version=18,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "N"} for name in [*inputs, *outputs]} if dynamic else None,
        )
    return onnx.load_from_string(file.getvalue())


def share_tensors(graph: onnx.ModelProto, archive: zipfile.ZipFile) -> list[str]:
    """Take from a graph the tensors that TorchScript has saved as well, so that an export holds each once.

    Returns:
        The files of the archive, below its folder, that hold them: what the graph names as external data.
    """
    names = [name for name in archive.namelist() if "/data/" in name]
    records = {archive.read(name): name.partition("/")[2] for name in names}
    shared = []
    for tensor in graph.graph.initializer:
        record = records.get(tensor.raw_data)
        if record and len(tensor.raw_data) >= SMALL:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=record)
            shared.append(record)
    return sorted(set(shared))
