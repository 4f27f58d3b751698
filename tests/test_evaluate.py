"""Figures with known answers, and the whole command on a tiny data set."""

import io
import json
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from src import evaluate, plots
from src.calibration import (
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    mcnemar,
    wilson_interval,
)
from src.download import DataError
from src.evaluate import (
    Predictions,
    compare,
    figures,
    milliseconds,
    most_confused,
    per_class,
    predict,
    predict_export,
)
from src.predictor import Predictor

COLOURS = {"00.Red": (230, 20, 20), "01.Green": (20, 230, 20), "02.Blue_Tower": (20, 20, 230)}


def said(labels, predicted, classes=3, confidence=0.8, known=None) -> Predictions:
    """Predictions with these labels and answers, the rest of the probability spread evenly."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    confidence = np.broadcast_to(np.asarray(confidence, dtype=np.float32), labels.shape)
    probabilities = np.repeat((1 - confidence)[:, None] / (classes - 1), classes, axis=1)
    probabilities[np.arange(len(labels)), predicted] = confidence
    known = confidence if known is None else np.asarray(known, dtype=np.float32)
    paths = [f"{number}.jpg" for number in range(len(labels))]
    names = [f"{number:02}.Old_Tower_{number}" for number in range(classes)]
    return Predictions(paths, labels, probabilities, known, names)


def someone_random(n, classes, seed=0, paths=None) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(size=(n, classes)) + 4 * np.eye(classes)[labels] * rng.random((n, 1))
    probabilities = torch.tensor(logits).softmax(1).numpy().astype(np.float32)
    names = [f"{c:02}.A_Rather_Long_Name_of_Landmark_{c}" for c in range(classes)]
    return Predictions(paths or ["x.jpg"] * n, labels, probabilities, probabilities.max(1), names)


# --- predictions


def test_predictions_refuse_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match="2 pictures"):
        Predictions(["a", "b"], np.array([0]), np.ones((2, 3)), np.ones(2), ["a", "b", "c"])


def test_table_has_readable_names_and_nothing_for_the_unknown():
    table = said([0, 1, -1], [0, 2, 2]).table
    assert list(table.columns) == ["path", "label", "prediction", "probability", "known", "correct"]
    assert list(table.label) == ["Old Tower 0", "Old Tower 1", ""]
    assert list(table.prediction) == ["Old Tower 0", "Old Tower 2", "Old Tower 2"]
    assert list(table.correct) == [True, False, False]


def test_names_that_would_read_the_same_stay_apart():
    same = ["00.Old_Tower", "01.Old_Tower"]
    predictions = Predictions(["a"], np.array([0]), np.array([[0.9, 0.1]]), np.array([0.9]), same)
    assert predictions.names == same


class Vectors(Dataset):
    """The picture is its own logits."""

    def __init__(self, logits, labels):
        self.logits, self.labels = torch.as_tensor(logits, dtype=torch.float32), list(labels)
        self.paths = [Path(f"{number}.jpg") for number in range(len(self.labels))]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return self.logits[i], self.labels[i]


class Recorder(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.BatchNorm1d(2).eval()
        self.seen = []

    def forward(self, x):
        self.seen.append((self.training, torch.is_inference_mode_enabled()))
        return x


def test_predict_weighs_a_short_last_batch_right():
    labels = [0, 0, 0, 0, 1]
    loader = DataLoader(Vectors([[2, 0]] * 4 + [[3, 0]], labels), batch_size=4)
    predictions = predict(nn.Identity(), loader, ["a", "b"])
    assert figures(predictions)["accuracy"] == pytest.approx(4 / 5)
    assert predictions.paths == [f"{number}.jpg" for number in range(5)]
    assert predictions.probabilities.dtype == np.float32
    expected = torch.tensor([3.0, 0.0]).softmax(0).numpy()
    assert predictions.probabilities[4] == pytest.approx(expected)
    assert predictions.known == pytest.approx(predictions.probabilities.max(1))


def test_predict_restores_the_mode_of_every_module():
    model = Recorder().train()
    model.frozen.eval()
    predict(model, DataLoader(Vectors([[1, 0]], [0])), ["a", "b"])
    assert model.seen == [(False, True)]
    assert model.training
    assert not model.frozen.training


def test_predict_restores_the_mode_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    model = Broken().train()
    with pytest.raises(RuntimeError, match="broken"):
        predict(model, DataLoader(Vectors([[1, 0]], [0])), ["a", "b"])
    assert model.training


@pytest.mark.parametrize(
    ("options", "message"), [({"drop_last": True}, "4 of 5"), ({"shuffle": True}, "shuffle=False")]
)
def test_predict_refuses_a_loader_that_drops_or_shuffles(options, message):
    torch.manual_seed(0)
    loader = DataLoader(Vectors([[1, 0]] * 5, [0, 0, 1, 1, 1]), batch_size=2, **options)
    with pytest.raises(ValueError, match=message):
        predict(nn.Identity(), loader, ["a", "b"])


# --- figures


def test_figures_of_a_hand_made_case():
    # class 0: 2 of 2 right; class 1: 1 of 2 right, one taken for 0; class 2: 0 of 1, taken for 0
    result = figures(said([0, 0, 1, 1, 2], [0, 0, 1, 0, 0]))
    assert result["n"] == 5
    assert result["accuracy"] == pytest.approx(3 / 5)
    assert result["macro_recall"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert result["macro_precision"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert result["log_loss"] == pytest.approx(-(3 * np.log(0.8) + 2 * np.log(0.1)) / 5)
    assert result["top5"] == 1.0
    assert json.loads(json.dumps(result)) == result
    assert "coverage" not in result


def test_macro_figures_leave_out_a_class_without_pictures():
    predictions = said([0, 0, 1, 1], [0, 0, 1, 1], classes=7)
    assert figures(predictions)["macro_f1"] == 1.0
    predictions = said([0, 0, 1, 1], [0, 0, 1, 6], classes=7)
    assert figures(predictions)["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    table = per_class(predictions)
    assert table.support.tolist() == [2, 2, 0, 0, 0, 0, 0]
    assert table.f1.isna().tolist() == [False, False, True, True, True, True, True]


def test_top5_counts_the_fifth_place_and_not_the_sixth():
    probabilities = np.tile(np.array([6, 5, 4, 3, 2, 1], dtype=np.float32) / 21, (2, 1))
    names = [str(number) for number in range(6)]
    predictions = Predictions(["a", "b"], np.array([4, 5]), probabilities, probabilities.max(1), names)
    assert figures(predictions)["top5"] == 0.5


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(right, n, low, high):
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)


def test_calibration_error_of_the_perfect_and_the_overconfident():
    confidence = np.repeat([0.6, 0.9], 100)
    correct = np.concatenate([np.arange(100) < 60, np.arange(100) < 90])
    assert expected_calibration_error(confidence, correct, bins=2) == pytest.approx(0, abs=1e-12)
    assert expected_calibration_error(np.ones(50), np.arange(50) < 30) == pytest.approx(0.4)
    assert expected_calibration_error(np.array([0.7]), np.array([True])) == pytest.approx(0.3)


def test_calibration_error_has_bins_of_equal_mass():
    # three bins of two: gaps 0.5, 0 and 0.1
    confidence = np.array([0.4, 0.6, 0.49, 0.51, 0.85, 0.95])
    correct = np.array([True, False, False, False, True, True])
    order = np.argsort(confidence)  # .4 .49 | .51 .6 | .85 .95
    assert confidence[order].tolist() == [0.4, 0.49, 0.51, 0.6, 0.85, 0.95]
    gaps = [abs(0.5 - 0.445), abs(0 - 0.555), abs(1 - 0.9)]
    assert expected_calibration_error(confidence, correct, bins=3) == pytest.approx(np.mean(gaps))


def test_calibration_error_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    confidence, correct = rng.integers(50, 100, 300) / 100, rng.random(300) < 0.7
    shuffled = rng.permutation(300)
    error = expected_calibration_error(confidence, correct)
    assert expected_calibration_error(confidence[shuffled], correct[shuffled]) == pytest.approx(error)


def test_what_the_threshold_answers():
    predictions = said([0, 0, 1, 1], [0, 1, 1, 1], known=[0.5, 0.4, 0.9, 0.9])
    unknown = said([-1] * 4, [0] * 4, known=[0.5, 0.1, 0.2, 0.3])
    result = figures(predictions, 0.5, unknown)
    assert result["coverage"] == 0.75
    assert result["accuracy_answered"] == 1.0
    assert result["answered_unknown"] == 0.25
    assert result["n_unknown"] == 4
    nothing = figures(predictions, 1.0)
    assert nothing["coverage"] == 0.0
    assert nothing["accuracy_answered"] is None


def test_auroc_of_the_known_against_the_unknown():
    predictions = said([0, 1], [0, 1], known=[0.8, 0.9])
    assert figures(predictions, unknown=said([-1], [0], known=[0.7]))["auroc_unknown"] == 1.0
    same = figures(predictions, unknown=said([-1, -1], [0, 0], known=[0.8, 0.9]))
    assert same["auroc_unknown"] == 0.5
    assert "answered_unknown" not in same


def test_figures_need_labels():
    with pytest.raises(ValueError, match="label"):
        figures(said([0, -1], [0, 0]))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_temperature_is_recovered(temperature):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(8_000, 5)) * 2
    true = torch.tensor(logits).softmax(1).numpy()
    labels = (true.cumsum(1) < rng.random((len(true), 1))).sum(1)
    scaled = logits * temperature
    assert fit_temperature(scaled, labels) == pytest.approx(temperature, rel=0.08)
    probabilities = torch.tensor(scaled).softmax(1).float().numpy()
    assert fit_temperature(probabilities, labels) == pytest.approx(temperature, rel=0.08)

    names, paths = list("abcde"), [""] * len(labels)
    before = Predictions(paths, labels, probabilities, probabilities.max(1), names)
    after = before.with_temperature(temperature)
    assert after.probabilities == pytest.approx(true, abs=1e-4)
    assert after.known == pytest.approx(true.max(1), abs=1e-4)
    assert after.probabilities.dtype == np.float32


def test_the_chosen_threshold_answers_its_share():
    n = 200
    predictions = said([0] * n, [0] * n, known=np.linspace(0.01, 1, n))
    threshold = choose_threshold(predictions, coverage=0.95)
    assert predictions.answered(threshold).mean() == pytest.approx(0.95)


def test_the_chosen_threshold_rises_until_the_answers_are_right():
    known = np.linspace(0.01, 1, 200)
    predictions = said([0] * 200, (known < 0.4).astype(int), known=known)  # the unsure are wrong
    answered = predictions.answered(choose_threshold(predictions, accuracy=0.9))
    assert predictions.correct[answered].mean() >= 0.9
    assert answered.mean() == pytest.approx(0.605 / 0.9, abs=0.01)
    hopeless = said([0, 0], [1, 1], known=[0.3, 0.6])
    assert choose_threshold(hopeless) == pytest.approx(0.6)


def test_mcnemar_is_exact_and_symmetric():
    labels = np.zeros(20, dtype=int)
    a, b = said(labels, [0] * 20), said(labels, [1] * 6 + [0] * 14)
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(2 / 2**6)
    assert mcnemar(a, a) == 1.0
    with pytest.raises(ValueError, match="same pictures"):
        mcnemar(a, said(labels[:19], [0] * 19))


# --- tables


def test_most_confused_of_a_hand_made_case():
    # 0 is taken for 1 three times of five; 2 for 0 once of two; 1 for 2 once of four
    labels, predicted = [0] * 5 + [1] * 4 + [2] * 2, [1, 1, 1, 0, 0, 1, 1, 1, 2, 0, 2]
    table = most_confused(said(labels, predicted), n=2)
    assert table.to_dict("list") == {
        "label": ["Old Tower 0", "Old Tower 2"],
        "prediction": ["Old Tower 1", "Old Tower 0"],
        "count": [3, 1],
        "share": [0.6, 0.5],
    }
    assert most_confused(said([0, 1], [0, 1])).empty


def test_compare_shows_what_is_there_and_dashes():
    full = {"accuracy": 0.9321, "top5": 0.987, "file_mb": 12.34, "parameters": 3_412_002}
    table = compare({"scratch": {"accuracy": 0.8}, "transfer": full})
    assert list(table.index) == ["scratch", "transfer"]
    assert list(table.columns) == ["accuracy", "top-5", "file (MB)", "parameters"]
    assert list(table.loc["scratch"]) == ["80.0%", "–", "–", "–"]
    assert list(table.loc["transfer"]) == ["93.2%", "98.7%", "12.3", "3,412,002"]


# --- pictures


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (90, 60), "teal").save(path)
    return str(path)


@pytest.mark.parametrize("classes", [2, 50])
def test_pictures_render_without_warnings(classes, photo):
    predictions = someone_random(4 * classes, classes, paths=[photo] * 4 * classes)
    unknown = said([-1] * 9, [0] * 9, classes=classes, known=np.linspace(0.1, 0.6, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.plot_all(predictions, unknown, threshold=0.5)
        for figure in drawn.values():
            file = io.BytesIO()
            figure.savefig(file)
            assert len(file.getvalue()) < 700_000
    assert set(drawn) == {"confusion", "reliability", "mistakes", "per_class", "rejection"}


def test_pictures_of_a_perfect_network_and_of_extreme_thresholds(photo):
    perfect = said([0, 1, 2], [0, 1, 2], confidence=1.0)
    unknown = said([-1], [0], known=[0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for threshold in (0.0, 2.0):
            plots.plot_all(perfect, unknown, threshold)
        title = plots.plot_mistakes(perfect).get_suptitle()
    assert title == "No mistake in 3 photos"


def test_confusion_writes_each_mistake_and_names_each_class():
    figure = plots.plot_confusion(said([0, 0, 0, 1, 2], [0, 1, 1, 1, 2]))
    axis = figure.axes[0]
    written = {(text.get_position(), text.get_text()) for text in axis.texts}
    assert written == {((0, 0), "1"), ((1, 0), "2"), ((1, 1), "1"), ((2, 2), "1")}
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"Old Tower {i}" for i in range(3)]


def test_mistakes_come_most_confident_first(photo):
    predictions = said([0, 0, 0], [1, 0, 2], confidence=[0.7, 0.99, 0.97])
    predictions.paths[:] = [photo] * 3
    titles = [axis.get_title(loc="left") for axis in plots.plot_mistakes(predictions, n=2).axes]
    assert titles[0] == "said Old Tower 2 (97 %)\nis Old Tower 0"
    assert titles[1] == "said Old Tower 1 (70 %)\nis Old Tower 0"


@pytest.mark.parametrize("epochs", [1, 40])
def test_history_has_three_panels(epochs):
    epoch = np.arange(1, epochs + 1)
    falling = 1 / epoch
    history = pd.DataFrame({"epoch": epoch, "lr": falling, "seconds": 3.0})
    for part in ("train", "valid"):
        history[f"{part}_loss"], history[f"{part}_accuracy"] = falling, 1 - falling / 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.plot_history(history)
    assert len(figure.axes) == 3
    assert f"in epoch {epochs}" in figure.axes[1].get_title(loc="left")


def test_pictures_leave_pyplot_alone():
    before, opened = dict(plt.rcParams), plt.get_fignums()
    plots.plot_confusion(said([0, 1], [0, 1]))
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == opened


# --- an exported model


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
    about = {"classes": [{"class_name": name, "name": name} for name in names], "known_threshold": 0.8}
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
        asked: list = []

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


def test_answers_are_drawn_and_an_unknown_photo_gets_no_name(tiny_export, tmp_path):
    for name, colour in (("known.png", "red"), ("unknown.png", "gray")):
        Image.new("RGB", (60, 40), colour).save(tmp_path / name)
    predictor = Predictor.load(tiny_export)
    figure = plots.plot_answers(predictor, [tmp_path / "known.png", tmp_path / "unknown.png"])
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["", "Taj Mahal — Agra, India", "", "No landmark that I know"]


def test_live_curves_redraw_in_one_place(monkeypatch):
    shown, updated = [], []

    class Handle:
        def update(self, figure):
            updated.append(figure)

    def display(figure, display_id):
        shown.append(figure)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    draw = plots.live_curves()
    columns = ["epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "lr"]
    for epochs in (1, 2, 3):
        draw(pd.DataFrame({column: range(1, epochs + 1) for column in columns}))
    assert (len(shown), len(updated)) == (1, 2)
