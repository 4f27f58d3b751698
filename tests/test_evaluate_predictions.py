"""The table of predictions, and how a network is asked for it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from known_answers import said
from torch import nn
from torch.utils.data import DataLoader, Dataset

from src.evaluation.metrics import figures
from src.evaluation.predictions import Predictions, extract_features, predict


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


class Elsewhere(nn.Module):
    """Its weights are not on the CPU, and neither may be its pictures."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, device="meta"))

    def features(self, x):
        assert x.device == self.weight.device
        return torch.zeros(len(x), 2)

    def forward(self, x):
        return self.features(x)


def test_a_network_is_asked_on_the_device_where_it_is():
    loader = DataLoader(Vectors([[1, 0]] * 3, [0, 1, 0]), batch_size=2)
    assert len(predict(Elsewhere(), loader, ["a", "b"])) == 3
    assert extract_features(Elsewhere(), loader).shape == (3, 2)
