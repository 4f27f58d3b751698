"""The faster network for libraries answers as the export does, or is not used."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import quarters
from PIL import Image
from tag_library import photo, table

from src import tag
from src.data.folders import load_pictures
from src.data.transforms import Preprocess
from src.evaluation.predictions import extract_features
from src.inference import openvino as runtime
from src.inference.exporter import Calibration, export
from src.inference.predictor import Predictor
from src.landmarks.table import COLUMNS, read_landmarks
from src.models.open_set import OpenSetScore
from src.models.scratch import LandmarkNet, NetSettings
from src.models.tta import NEVER, TTA, Views

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor.load(tiny_export)


@pytest.fixture(scope="module")
def fast(predictor):
    return runtime.fastest(predictor, 2)


def test_answers_are_those_of_the_export(predictor, fast):
    assert isinstance(fast, runtime.OpenVinoPredictor)
    noise = np.random.default_rng(1).integers(0, 256, (3, 60, 90, 3), dtype=np.uint8)
    pictures = [Image.fromarray(pixels) for pixels in noise]
    pictures += [
        quarters(640, 480),
        quarters(33, 400),
        Image.new("L", (32, 32), 7),
        pictures[0].resize((999, 750)),
    ]
    for ours, exact in zip(fast.predict(pictures), predictor.predict(pictures), strict=True):
        assert [g.landmark for g in ours.guesses] == [g.landmark for g in exact.guesses]
        assert [g.probability for g in ours.guesses] == pytest.approx(
            [g.probability for g in exact.guesses], abs=1e-4
        )
        assert ours.known == pytest.approx(exact.known, abs=1e-4)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LandmarkNet(3, NetSettings(widths=(8, 16), depths=(1, 1))).eval()


@pytest.fixture
def pictures(data_set, tmp_path):
    return load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")


def scores_of_both(predictor):
    """What the export says of some photos, after OpenVINO has said the same."""
    fast = runtime.OpenVinoPredictor(predictor, 1)
    both = []
    for shown in (quarters(90, 60), quarters(60, 90), Image.new("RGB", (50, 40), (250, 30, 20))):
        both.append(predictor.scores(shown))
        scores, known = fast.scores(shown)
        assert scores == pytest.approx(both[-1][0], abs=1e-4)
        assert known == pytest.approx(both[-1][1], abs=1e-4)
    return np.array([[*scores, known] for scores, known in both])


def change_by(views, network, pictures, folder, calibration=None):
    """How much further views change what both say of some photo; the last figure is that of ``known``."""
    exports = (export(TTA(network, one), pictures, folder / "e.pt", calibration) for one in (NEVER, views))
    once, augmented = (scores_of_both(one) for one in exports)
    return np.abs(once - augmented).max(axis=0)


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
    score = OpenSetScore(1.5, torch.zeros(16), axes, examples, torch.arange(3).repeat(3), unknown)
    features = torch.from_numpy(extract_features(network, pictures.valid))[:1]
    _, _, stranger, other = score.signs(features, network.head(features))[0].tolist()
    score.set_weights([0.0, 0.0, 30.0, -40.0], 40 * other - 30 * stranger)  # near 0.5, where it is steep
    views, calibration = Views(side=12, background=True), Calibration(1.5, score=score)
    assert change_by(views, network, pictures, tmp_path, calibration)[-1] > 1e-3
    assert isinstance(runtime.fastest(Predictor.load(tmp_path / "e.pt"), 1), runtime.OpenVinoPredictor)


@pytest.mark.parametrize("sides", [(1000, 750), (750, 1001), (32, 400), (50, 37), (224, 224), (225, 224)])
def test_the_network_sees_the_pixels_that_the_export_would_show_it(sides):
    pixels = np.random.default_rng(sides).integers(0, 256, (*sides, 3), dtype=np.uint8)
    exact = Preprocess(224, (0, 0, 0), (1, 1, 1))(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    assert runtime.square(Image.fromarray(pixels), 224) / 255 == pytest.approx(exact.numpy(), abs=1e-4)


def test_many_threads_ask_at_once(fast):
    pictures = [
        Image.new("RGB", (64, 48), colour) for colour in ((220, 20, 20), (20, 220, 20), (20, 20, 220))
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda i: fast.predict([pictures[i % 3]])[0].guesses[0].landmark.name, range(90))
        )
    assert answers == ["Taj Mahal", "Eiffel Tower", "Hawa Mahal"] * 30


def test_without_openvino_the_export_answers(predictor, monkeypatch):
    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    assert runtime.fastest(predictor, 2) is predictor


def test_one_that_answers_differently_is_not_used(predictor, monkeypatch, caplog):
    nothing = torch.zeros(1, 3), torch.zeros(1, 3)
    monkeypatch.setattr(runtime.OpenVinoPredictor, "infer", lambda self, x: nothing)
    assert runtime.fastest(predictor, 2) is predictor
    assert "differently" in caplog.text


def fails(*args, **kwargs):
    raise RuntimeError("Check 'x' failed at src/core.cpp:42:\nno such instruction")


@pytest.mark.parametrize("part", [
    "openvino.frontend.pytorch.ts_decoder.TorchScriptPythonDecoder", "openvino.Core.compile_model",
    "src.inference.openvino.OpenVinoPredictor.infer",
])  # fmt: skip
def test_one_that_fails_on_this_machine_is_not_used(predictor, monkeypatch, caplog, part):
    monkeypatch.setattr(part, fails)
    assert runtime.fastest(predictor, 2) is predictor
    [record] = caplog.records
    assert record.getMessage() == (
        "OpenVINO does not work on this machine (Check 'x' failed at src/core.cpp:42: no such instruction); "
        "it is not used."
    )


def test_one_that_cannot_be_imported_is_not_used(predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino.frontend", None)
    assert runtime.fastest(predictor, 2) is predictor


def test_one_that_fails_later_leaves_the_rest_to_the_export(predictor, monkeypatch, caplog):
    fast = runtime.fastest(predictor, 4)
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue", "gray")] * 5
    before = fast.predict(pictures)
    asked, infer = [], fast.infer

    def fails_from_the_third_on(x):
        asked.append(x)
        return infer(x) if len(asked) < 3 else fails()

    monkeypatch.setattr(fast, "infer", fails_from_the_third_on)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda picture: fast.predict([picture])[0], pictures))
    for now, then in zip(answers, before, strict=True):
        assert now.guesses[0].landmark == then.guesses[0].landmark
        assert now.known == pytest.approx(then.known, abs=1e-3)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == ["OpenVINO failed"]
    asked.clear()
    fast.predict(pictures)
    assert asked == []


def test_picture_that_cannot_be_resized_is_no_failure_of_openvino(predictor, monkeypatch, caplog):
    fast = runtime.fastest(predictor, 1)
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "square", fails)
        with pytest.raises(RuntimeError, match="no such instruction"):
            fast.predict([quarters()])
    asked, infer = [], fast.infer
    monkeypatch.setattr(fast, "infer", lambda x: asked.append(x) or infer(x))
    fast.predict([quarters()])
    assert asked
    assert caplog.records == []


def test_heat_is_that_of_the_export(predictor, fast):
    assert fast.heat(quarters()) == pytest.approx(predictor.heat(quarters()))


def test_a_library_is_tagged_the_same_with_it(tiny_export, tmp_path, monkeypatch):
    for number in range(12):
        photo(tmp_path / "library" / f"{number}.jpg", (200 - number, 10 * number, 40), side=60 + number)
    monkeypatch.chdir(tmp_path)
    for name, many in (("slow.csv", 100), ("fast.csv", 1)):
        monkeypatch.setattr(tag, "MANY", many)
        assert tag.main(["library", "--model", str(tiny_export), "--out", name]) == 0
    assert len(table("fast.csv")) == 12
    for slow, quick in zip(table("slow.csv"), table("fast.csv"), strict=True):
        assert slow.pop("probability")[:4] == quick.pop("probability")[:4]
        assert {k: v for k, v in slow.items() if "prob" not in k and k != "known"} == {
            k: v for k, v in quick.items() if "prob" not in k and k != "known"
        }


def test_facts_of_the_user_reach_the_faster_network(predictor, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(f"{','.join(COLUMNS)}\nTaj_Mahal,Crown Palace,,,,,,,,\n", "utf-8")
    described = Predictor(predictor.model, predictor.info)
    described.describe_with(read_landmarks(file))
    [answer] = runtime.fastest(described, 1).predict([Image.new("RGB", (64, 48), (220, 20, 20))])
    assert answer.guesses[0].landmark.name == "Crown Palace"
