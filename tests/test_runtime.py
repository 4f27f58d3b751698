"""ONNX Runtime answers as TorchScript does, from the same file; either is enough."""

import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encode, quarters
from PIL import Image
from tag_library import photo, table
from training_runs import little_network, little_pictures

from src import tag
from src.data.transforms import Preprocess
from src.evaluation.predictions import extract_features
from src.inference import onnx_runtime as onnx
from src.inference import predictor as choice
from src.inference.export_file import read_export
from src.inference.exporter import Calibration, export
from src.inference.predictor import Predictor
from src.inference.torchscript import TorchScriptRuntime
from src.landmarks.table import COLUMNS, read_landmarks
from src.models import tta
from src.models.open_set import OpenSetScore
from src.models.tta import NEVER, TTA, Views

network, pictures = little_network, little_pictures

NAMES = {"onnxruntime": onnx.OnnxRuntime, "torch": TorchScriptRuntime}
# what is not in requirements-app.txt, and cannot be imported by whoever runs this
SLIM = """
import sys
HEAVY = {"torch", "torchvision", "timm", "scipy", "sklearn", "pandas", "matplotlib", "pyarrow", "onnx"}
sys.modules.update(dict.fromkeys(HEAVY))  # as if they were not installed, for imports and for find_spec
"""


def without(monkeypatch, *names):
    """As if these packages were not installed."""
    found = choice.find_spec
    monkeypatch.setattr(choice, "find_spec", lambda name: None if name in names else found(name))


def exact(path):
    """What TorchScript answers with an export."""
    return TorchScriptRuntime(path)


def fast(path):
    """What ONNX Runtime answers with an export."""
    return onnx.OnnxRuntime(read_export(path))


def shown():
    noise = np.random.default_rng(1).integers(0, 256, (3, 60, 90, 3), dtype=np.uint8)
    pictures = [Image.fromarray(pixels) for pixels in noise]
    large = pictures[0].resize((999, 750))
    return [*pictures, quarters(640, 480), quarters(33, 400), Image.new("L", (32, 32), 7), large]


def test_answers_are_those_of_torchscript(tiny_export):
    ours, theirs = fast(tiny_export), exact(tiny_export)
    for picture in shown():
        scores, known, _ = ours.scores(picture)
        expected, expected_known, _ = theirs.scores(picture)
        assert scores == pytest.approx(expected, abs=1e-4)
        assert known == pytest.approx(expected_known, abs=1e-4)
        assert ours.heat(picture) == pytest.approx(theirs.heat(picture), abs=1e-3)


def scores_of_both(path):
    """What an export says of some photos, by either runtime."""
    both = []
    for picture in (quarters(90, 60), quarters(60, 90), Image.new("RGB", (50, 40), (250, 30, 20))):
        both.append(exact(path).scores(picture))
        scores, known, _ = fast(path).scores(picture)
        assert scores == pytest.approx(both[-1][0], abs=1e-4)
        assert known == pytest.approx(both[-1][1], abs=1e-4)
    return np.array([[*scores, known] for scores, known, _ in both])


def change_by(views, network, pictures, folder, calibration=None):
    """How much further views change what both say of some photo; the last figure is that of ``known``."""
    answers = []
    for one in (NEVER, views):
        export(TTA(network, one), pictures, folder / "e.pt", calibration)
        answers.append(scores_of_both(folder / "e.pt"))
    return np.abs(answers[0] - answers[1]).max(axis=0)


@pytest.mark.parametrize("views", [Views(), Views(side=12)])
def test_further_views_are_averaged_where_the_export_does_so(pictures, network, tmp_path, views):
    assert change_by(views, network, pictures, tmp_path).max() > 1e-3


@pytest.mark.parametrize("background", [False, True])
def test_the_background_counts_where_the_export_counts_it(pictures, network, tmp_path, background):
    with torch.inference_mode():
        network.head.bias.fill_(-6.0)  # nothing looks like a landmark
    changed = change_by(Views((0.15, 1.0), 12, background), network, pictures, tmp_path).max()
    assert changed == 0 if background else changed > 1e-3


def test_an_open_set_score_is_that_of_the_export(pictures, network, tmp_path):
    torch.manual_seed(1)
    axes, examples, unknown = torch.linalg.qr(torch.rand(16, 8))[0], torch.randn(9, 16), torch.randn(5, 16)
    score = OpenSetScore(torch.zeros(16), axes, examples, torch.arange(3).repeat(3), unknown)
    features = torch.from_numpy(extract_features(network, pictures.valid))[:1]
    _, _, stranger, other = score.signs(features, network.head(features))[0].tolist()
    score.set_weights([0.0, 0.0, 30.0, -40.0], 40 * other - 30 * stranger)  # near 0.5, where it is steep
    views, calibration = Views(side=12, background=True), Calibration(1.5, score=score)
    assert change_by(views, network, pictures, tmp_path, calibration)[-1] > 1e-3


@pytest.mark.parametrize("sides", [(1000, 750), (750, 1001), (32, 400), (50, 37), (224, 224), (225, 224)])
def test_the_network_sees_the_pixels_that_torchscript_shows_it(sides):
    pixels = np.random.default_rng(sides).integers(0, 256, (*sides, 3), dtype=np.uint8)
    expected = Preprocess(224, (0, 0, 0), (1, 1, 1))(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert onnx.square(Image.fromarray(pixels), 224) / 255 == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize("side", [0, 20])
def test_further_views_are_those_of_torchscript(side):
    pixels = np.random.default_rng(side).uniform(0, 255, (1, 3, 64, 64)).astype(np.float32)
    expected = tta.seen_again(torch.from_numpy(pixels), side).numpy()
    assert onnx.seen_again(pixels, side) == pytest.approx(expected, abs=1e-2)


def test_many_threads_ask_at_once(tiny_export):
    predictor = Predictor.load(tiny_export)
    colours = ((220, 20, 20), (20, 220, 20), (20, 20, 220))
    pictures = [Image.new("RGB", (64, 48), colour) for colour in colours]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda i: predictor.predict([pictures[i % 3]])[0], range(90))
        names = [answer.guesses[0].landmark.name for answer in answers]
    assert names == ["Taj Mahal", "Eiffel Tower", "Hawa Mahal"] * 30


@pytest.mark.parametrize(
    ("missing", "taken"), [("", "onnxruntime"), ("onnxruntime", "torch"), ("torch", "onnxruntime")]
)
def test_onnx_runtime_is_taken_where_it_is_installed(tiny_export, monkeypatch, missing, taken):
    without(monkeypatch, missing)
    assert isinstance(Predictor.load(tiny_export).runtime, NAMES[taken])


def rewritten(source, target, change):
    """A copy of an export whose entries went through `change(name, data)`; None leaves one out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def older(name, data):
    """As before exports carried graphs."""
    if name == "extra/model.json":
        info = json.loads(data)
        del info["onnx"], info["views"]
        return json.dumps(info)
    return None if name.endswith(".onnx") else data


def test_an_export_without_graphs_runs_by_torchscript(tiny_export, tmp_path, monkeypatch):
    path = rewritten(tiny_export, tmp_path / "old.pt", older)
    assert isinstance(Predictor.load(path).runtime, TorchScriptRuntime)
    without(monkeypatch, "torch")
    with pytest.raises(ValueError, match=r"install PyTorch \(pip install torch\), or .*--upgrade OLD NEW"):
        Predictor.load(path)


def test_without_any_runtime_one_sentence_says_what_to_install(tiny_export, monkeypatch):
    without(monkeypatch, "torch", "onnxruntime")
    with pytest.raises(ValueError, match="needs ONNX Runtime or PyTorch: pip install onnxruntime"):
        Predictor.load(tiny_export)


@pytest.fixture
def exported(pictures, network, tmp_path):
    export(network, pictures, tmp_path / "e.pt")
    return tmp_path / "e.pt"


def test_a_damaged_graph_is_refused(exported, tmp_path):
    def damage(name, data):
        return data.replace(b"Conv", b"Cony", 1) if name == "extra/network.onnx" else data

    with pytest.raises(ValueError, match=r"network\.onnx in .* is damaged: fetch the file again"):
        Predictor.load(rewritten(exported, tmp_path / "damaged.pt", damage))


def test_damaged_weights_are_refused(exported):
    data, [record, *_] = bytearray(exported.read_bytes()), read_export(exported).tensors.values()
    data[data.index(record) + 8] ^= 1
    exported.write_bytes(data)
    with pytest.raises(ValueError, match="is not an export of this project"):
        Predictor.load(exported)


def test_an_export_holds_its_weights_once(exported):
    tensors = read_export(exported).tensors.values()
    weights = [p for p in exact(exported).model.parameters() if p.nbytes >= 1000]
    assert len(weights) > 3
    assert sum(map(len, tensors)) >= sum(weight.nbytes for weight in weights)
    data = exported.read_bytes()
    assert [data.count(tensor) for tensor in tensors] == [1] * len(tensors)


def test_a_library_is_tagged_the_same_by_both(tiny_export, tmp_path, monkeypatch):
    for number in range(12):
        photo(tmp_path / "library" / f"{number}.jpg", (200 - number, 10 * number, 40), side=60 + number)
    monkeypatch.chdir(tmp_path)
    for name, missing in (("torch.csv", "onnxruntime"), ("onnx.csv", "torch")):
        with monkeypatch.context() as patch:
            without(patch, missing)
            assert tag.main(["library", "--model", str(tiny_export), "--out", name]) == 0
    assert len(table("onnx.csv")) == 12
    for one, other in zip(table("torch.csv"), table("onnx.csv"), strict=True):
        assert one.pop("probability")[:4] == other.pop("probability")[:4]
        assert {k: v for k, v in one.items() if "prob" not in k and k != "known"} == {
            k: v for k, v in other.items() if "prob" not in k and k != "known"
        }


def test_facts_of_the_user_are_told(tiny_export, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(f"{','.join(COLUMNS)}\nTaj_Mahal,Crown Palace,,,,,,,,\n", "utf-8")
    predictor = Predictor.load(tiny_export)
    predictor.describe_with(read_landmarks(file))
    [answer] = predictor.predict([Image.new("RGB", (64, 48), (220, 20, 20))])
    assert answer.guesses[0].landmark.name == "Crown Palace"


@pytest.mark.parametrize("what", [
    "from src import tag; sys.exit(tag.main(['library', '--model', sys.argv[1], '--review']))",
    "from src.app.page import LandmarkApp, make_app; assert isinstance(make_app(sys.argv[1]), LandmarkApp)",
    "import src.host, src.inference.predictor as p, src.library.write_back; p.Predictor.load(sys.argv[1])",
], ids=["tag", "app", "host"])  # fmt: skip
def test_tag_app_and_host_need_no_more_than_the_slim_install(tiny_export, tmp_path, what):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "a.jpg").write_bytes(encode(quarters()))
    environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "HOME": str(tmp_path), "PATH": ""}
    command = [sys.executable, "-c", SLIM + what, str(tiny_export)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
