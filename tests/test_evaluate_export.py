"""An exported model on photos: they are read as the app reads them, and answered in their order."""

import numpy as np
import pytest
from by_colour import COLOURS
from conftest import encode, quarters
from PIL import Image

from src.data.errors import DataError
from src.evaluation.metrics import milliseconds
from src.evaluation.predictions import predict_export
from src.inference.answers import Answering, Scores
from src.inference.predictor import Predictor
from src.inference.report import read_report

pytest_plugins = ("evaluate_fixtures",)


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


def test_figures_come_from_photos_as_the_app_reads_them(tmp_path):
    class Recording(Answering):
        asked: list[Image.Image] = []

        def scores(self, picture):
            self.asked.append(picture)
            return Scores(np.array([0.9, 0.1], np.float32), 0.9)

    clear = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    files = {"clear.png": encode(clear, "PNG"), "large.jpg": encode(quarters(800, 600))}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    classes = [{"class_name": f"{number}", "name": "A"} for number in range(2)]
    predictor = Recording({"classes": classes, "known_threshold": 0.5, "size": 48})
    predict_export(predictor, [tmp_path / name for name in files])
    side = predictor.short_side
    seen = [read_report(data, name, short_side=side, thumbnail_side=8) for name, data in files.items()]
    for asked, report in zip(predictor.asked, seen, strict=True):
        assert asked.tobytes() == report.picture.tobytes()
    assert predictor.asked[0].getpixel((0, 0)) == (255, 255, 255)
    assert min(predictor.asked[1].size) < 2 * side


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
