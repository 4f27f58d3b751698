"""The committed exports on real photos; skipped where there is no data set."""

import os
from pathlib import Path

import pytest
import torch

from src.data.decoded import read_picture
from src.evaluate import labelled
from src.evaluation.metrics import figures
from src.evaluation.predictions import predict_export
from src.inference.export_file import read_export
from src.inference.onnx_runtime import OnnxRuntime
from src.inference.predictor import Predictor
from src.inference.torchscript import TorchScriptRuntime, load_script

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("LANDMARK_IMAGES"), reason="needs LANDMARK_IMAGES"),
]


@pytest.mark.parametrize(("name", "floor"), [("original_exported.pt", 0.85), ("transfer_exported.pt", 0.94)])
def test_export_does_on_test_photos_what_its_file_says(name, floor):
    predictor = Predictor.load(ROOT / "checkpoints" / name)
    folder = Path(os.environ["LANDMARK_IMAGES"]) / "test"
    if not {path.name for path in folder.iterdir()} >= set(predictor.class_names):
        pytest.skip("another data set than the exports were trained on")
    paths, labels = labelled(folder, predictor.class_names, known_only=True)
    measured = figures(predict_export(predictor, paths, labels), predictor.known_threshold)
    said = predictor.info["test"]
    assert measured["n"] == said["n"]
    for figure in ("accuracy", "top5", "macro_f1", "ece", "coverage", "accuracy_answered"):
        assert measured[figure] == pytest.approx(said[figure], abs=0.005), figure
    assert measured["accuracy"] >= floor


@pytest.mark.parametrize("name", ["original_exported.pt", "transfer_exported.pt"])
def test_one_and_two_threads_answer_alike(name):
    model = load_script(ROOT / "checkpoints" / name)
    photo = torch.randint(0, 256, (1, 3, 300, 400), dtype=torch.uint8)
    threads, answers = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(model(photo))
    finally:
        torch.set_num_threads(threads)
    assert torch.allclose(*answers, atol=1e-4)


@pytest.mark.parametrize("name", ["original_exported.pt", "transfer_exported.pt"])
def test_a_picture_is_answered_alike_alone_and_in_any_batch(name):
    model = load_script(ROOT / "checkpoints" / name)
    batch = torch.randint(
        0, 256, (7, 3, 240, 320), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    together, known = model.predict(batch)
    for number, picture in enumerate(batch):
        alone, surely = model.predict(picture[None])
        assert torch.allclose(alone[0], together[number], atol=1e-4)
        assert torch.allclose(surely[0], known[number], atol=1e-4)
    assert torch.allclose(model(batch.flip(0)).flip(0), together, atol=1e-4)


@pytest.mark.parametrize("name", ["original_exported.pt", "transfer_exported.pt"])
def test_onnx_runtime_answers_as_torchscript_does(name):
    path = ROOT / "checkpoints" / name
    fast, exact = OnnxRuntime(read_export(path)), TorchScriptRuntime(path)
    photos = sorted(Path(os.environ["LANDMARK_IMAGES"]).glob("test/*/*.jpg"))
    for photo in photos[:: len(photos) // 40]:
        picture = read_picture(photo, 448)
        scores, known, _ = fast.scores(picture)
        expected, expected_known, _ = exact.scores(picture)
        assert scores == pytest.approx(expected, abs=1e-3)
        assert known == pytest.approx(expected_known, abs=1e-3)
