"""The plots: drawn without warnings, and what is written on them."""

import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from known_answers import said
from PIL import Image

from src.evaluation import plots
from src.evaluation.predictions import Predictions
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
