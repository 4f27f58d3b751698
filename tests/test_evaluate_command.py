"""An exported model on a tiny data set, and the whole command."""

import io
import json
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from src import evaluate
from src.data.errors import DataError
from src.evaluation.metrics import milliseconds
from src.evaluation.predictions import predict_export
from src.inference.predictor import Predictor
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


@pytest.fixture(scope="module")
def exported_bytes():
    names, file = list(COLOURS), io.BytesIO()
    classes = [describe(name).to_dict() for name in names]
    about = {"classes": classes, "known_threshold": 0.8, "size": 32}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*")
        scripted = torch.jit.script(ByColour(names).eval())
        torch.jit.save(scripted, file, _extra_files={"model.json": json.dumps(about)})
    return file.getvalue()


@pytest.fixture
def export(tmp_path, exported_bytes):
    path = tmp_path / "by_colour.pt"
    path.write_bytes(exported_bytes)
    return path


@pytest.fixture
def data(tmp_path):
    """Three classes of five photos in four sizes; one of blue shows red."""
    for split in ("train", "test"):
        for name, colour in COLOURS.items():
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number, size in enumerate([(40, 60), (60, 40), (60, 40), (50, 50), (33, 80)]):
                wrong = name == "02.Blue_Tower" and number == 0
                fill = COLOURS["00.Red"] if wrong else colour
                Image.new("RGB", size, fill).save(folder / f"{number}.jpg")
    others = tmp_path / "others" / "deep"
    others.mkdir(parents=True)
    Image.new("L", (64, 48), 128).save(others / "gray.png")
    Image.new("RGB", (48, 64), "white").save(others.parent / "white.webp")
    (others / "notes.txt").write_text("no picture")
    return tmp_path / "data"


def test_predict_export_keeps_the_order_of_the_pictures(export, data):
    paths = sorted(data.glob("test/*/*.jpg"))
    labels = [list(COLOURS).index(path.parent.name) for path in paths]
    predictions = predict_export(Predictor.load(export), paths, labels)
    assert predictions.paths == [str(path) for path in paths]
    assert predictions.probabilities.shape == (15, 3)
    wrong = [path for path, right in zip(paths, predictions.correct, strict=True) if not right]
    assert wrong == [data / "test" / "02.Blue_Tower" / "0.jpg"]
    assert predictions.known == pytest.approx(predictions.confidence)
    unlabelled = predict_export(Predictor.load(export), paths[:2])
    assert unlabelled.labels.tolist() == [-1, -1]


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff broken"])
def test_a_picture_that_cannot_be_read_is_named(export, data, content):
    broken = data / "test" / "01.Green" / "3.jpg"
    broken.write_bytes(content)
    with pytest.raises(DataError, match=r"01\.Green/3\.jpg"):
        predict_export(Predictor.load(export), sorted(data.glob("test/*/*.jpg")))


def test_milliseconds_asks_for_one_picture_at_a_time():
    class Counting:
        asked: list[int] = []

        def predict(self, pictures):
            self.asked.append(len(pictures))

    assert milliseconds(Counting(), Image.new("RGB", (40, 40)), repeats=5) < 100
    assert set(Counting.asked) == {1}


def test_the_command_writes_every_file(export, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(export), "--data", str(data), "--unknown", str(tmp_path / "others")]
    assert evaluate.main(arguments) == 0
    out = tmp_path / "evaluation" / "by_colour"
    assert {path.name for path in out.iterdir()} == {
        "figures.json", "predictions.csv", "per_class.csv", "unknown.csv", "confusion.png",
        "reliability.png", "mistakes.png", "per_class.png", "rejection.png",
    }  # fmt: skip
    result = json.loads((out / "figures.json").read_text())
    assert result["accuracy"] == pytest.approx(14 / 15)
    assert result["answered_unknown"] == 0.0
    assert result["auroc_unknown"] == 1.0
    assert result["coverage"] == 1.0
    assert {"top5", "macro_f1", "ece", "accuracy_answered", "parameters", "milliseconds"} <= set(result)
    assert len(pd.read_csv(out / "predictions.csv")) == 15
    assert len(pd.read_csv(out / "unknown.csv")) == 2
    assert list(pd.read_csv(out / "per_class.csv").landmark) == ["Red", "Green", "Blue Tower"]
    printed = capsys.readouterr().out
    assert "93.3%" in printed
    assert str(Path("evaluation/by_colour")) in printed


def test_the_command_measures_the_folder_it_is_told(export, data, tmp_path):
    for path in (data / "train").glob("*/[0-3].jpg"):
        path.unlink()
    out = tmp_path / "out"
    assert evaluate.main([str(export), "--data", str(data), "--split", "train", "--out", str(out)]) == 0
    result = json.loads((out / "figures.json").read_text())
    assert result["n"] == 3
    assert result["auroc_unknown"] is None
    assert not (out / "rejection.png").exists()


def test_a_class_folder_may_be_missing(export, data, tmp_path):
    for path in (data / "test" / "00.Red").iterdir():
        path.unlink()
    (data / "test" / "00.Red").rmdir()
    assert evaluate.main([str(export), "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert result["accuracy"] == pytest.approx(9 / 10)


def wrong_class(data, export):
    (data / "test" / "01.Green").rename(data / "test" / "01.Lime")


def broken_picture(data, export):
    (data / "test" / "01.Green" / "2.jpg").write_bytes(b"rubbish")


def tiny_picture(data, export):
    Image.new("RGB", (20, 40)).save(data / "test" / "01.Green" / "2.jpg")


def no_test_folder(data, export):
    (data / "test").rename(data / "tests")


def no_export(data, export):
    export.unlink()


def broken_export(data, export):
    export.write_bytes(b"rubbish")


def no_unknown_photos(data, export):
    for path in (data.parent / "others").rglob("*.*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (wrong_class, "01.Lime"),
        (broken_picture, str(Path("01.Green", "2.jpg"))),
        (tiny_picture, str(Path("01.Green", "2.jpg"))),
        (no_test_folder, "test"),
        (no_export, "by_colour.pt"),
        (broken_export, "by_colour.pt"),
        (no_unknown_photos, "others"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(spoil, names, export, data, tmp_path, capsys):
    spoil(data, export)
    out = tmp_path / "out"
    arguments = ["--data", str(data), "--unknown", str(tmp_path / "others"), "--out", str(out)]
    assert evaluate.main([str(export), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert names in error
    assert len(error.splitlines()) == 1
    assert not out.exists()
