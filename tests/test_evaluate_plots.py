"""The plots: drawn without warnings, and what is written on them."""

import io
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from known_answers import said
from PIL import Image

from src.evaluation import plots, plots_unknown
from src.evaluation.metrics import by_kind
from src.evaluation.predictions import Predictions
from src.evaluation.statistics import wilson_interval
from src.inference.predictor import Predictor


def someone_random(n, classes, seed=0, paths=None) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    logits = rng.normal(size=(n, classes)) + 4 * np.eye(classes)[labels] * rng.random((n, 1))
    probabilities = torch.tensor(logits).softmax(1).numpy().astype(np.float32)
    names = [f"{c:02}.A_Rather_Long_Name_of_Landmark_{c}" for c in range(classes)]
    return Predictions(paths or ["x.jpg"] * n, labels, probabilities, probabilities.max(1), names)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (90, 60), "teal").save(path)
    return str(path)


def unknown_photos(folder: Path, kinds: list[str], known: list[float], classes=3) -> Predictions:
    """Photos of no landmark, each in the folder of its kind; all are taken for the first landmark."""
    paths = []
    for number, kind in enumerate(kinds):
        (folder / kind).mkdir(exist_ok=True)
        paths.append(str(folder / kind / f"{number}.jpg"))
        Image.new("RGB", (90, 60), "maroon").save(paths[-1])
    return replace(said([-1] * len(kinds), [0] * len(kinds), classes=classes, known=known), paths=paths)


@pytest.mark.parametrize("classes", [2, 50])
def test_pictures_render_without_warnings(classes, photo, tmp_path):
    predictions = someone_random(4 * classes, classes, paths=[photo] * 4 * classes)
    kinds, known = ["street", "sky", "other_landmark"] * 3, np.linspace(0.1, 0.6, 9).tolist()
    unknown = unknown_photos(tmp_path, kinds, known, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.plot_all(predictions, 0.5, unknown, by_kind(unknown, [tmp_path], 0.5))
        for figure in drawn.values():
            file = io.BytesIO()
            figure.savefig(file)
            assert len(file.getvalue()) < 700_000
    assert set(drawn) == {
        "confusion",
        "reliability",
        "mistakes",
        "per_class",
        "kinds",
        "rejection",
        "unknown",
    }


def test_pictures_of_a_perfect_network_and_of_extreme_thresholds(photo, tmp_path):
    perfect, unknown = said([0, 1, 2], [0, 1, 2], confidence=1.0), unknown_photos(tmp_path, ["sky"], [0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for threshold in (0.0, 2.0):
            plots.plot_all(perfect, threshold, unknown, by_kind(unknown, [tmp_path], threshold))
        drawn = plots.plot_all(perfect, 0.5, None, None)
    assert drawn["mistakes"].get_suptitle() == "No mistake in 3 photos"
    assert not drawn.keys() & {"kinds", "rejection", "unknown"}


def test_other_landmarks_are_counted_apart_from_ordinary_photos(tmp_path):
    unknown = unknown_photos(tmp_path, ["sky", "sky", "other_landmark"], [0.1, 0.7, 0.9])
    figure = plots_unknown.plot_rejection(said([0, 1], [0, 1]), unknown, 0.5)
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles[:3] == [
        "2 photos of the landmarks: 100.0 % answered",
        "2 unknown photos: 50.0 % answered",
        "1 photos of other landmarks: 100.0 % answered",
    ]
    assert titles[-1] == "and 66.7 % of all unknown photos are answered"


def test_kinds_come_worst_first_with_their_intervals(tmp_path):
    kinds = pd.DataFrame({"kind": ["sky", "house"], "photos": [10, 4], "answered": [0.1, 0.5]})
    figure = plots_unknown.plot_kinds(kinds)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["house  (4)", "sky  (10)"]
    assert axis.get_title("left") == "3 of 14 photos of no landmark are answered; by kind"
    assert axis.collections[1].get_offsets()[:, 0].tolist() == [0.5, 0.1]
    low, high = axis.collections[0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx(wilson_interval(2, 4))


def test_the_surest_unknown_photos_come_first_and_say_whether_they_were_answered(tmp_path):
    unknown = unknown_photos(tmp_path, ["sky"] * 3, [0.2, 0.9, 0.6])
    figure = plots_unknown.plot_surest_unknown(unknown, 0.8, n=2)
    titles = [axis.get_title() or axis.get_title("left") for axis in figure.axes]
    assert titles == ["said (90 %)\nOld Tower 0", "silent; nearest (60 %)\nOld Tower 0"]
    assert figure.get_suptitle().startswith("1 of 3 photos of no landmark are answered")


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
