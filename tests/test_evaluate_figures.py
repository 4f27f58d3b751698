"""Predictions, and figures and tables with known answers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from known_answers import said
from torch import nn
from torch.utils.data import DataLoader, Dataset

from src.evaluation.calibration import choose_threshold, fit_temperature
from src.evaluation.metrics import compare, figures, most_confused, per_class, precision_at
from src.evaluation.predictions import Predictions, extract_features, predict
from src.evaluation.statistics import expected_calibration_error, mcnemar, wilson_interval

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


def test_no_answer_to_an_unknown_photo_is_right_where_the_error_of_known_is_measured():
    result = figures(said([0], [0], known=[0.8]), unknown=said([-1], [0], known=[0.1]))
    assert result["ece_known"] == pytest.approx((0.2 + 0.1) / 2)


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


def tags_right(predictions, unknown, threshold):
    """Of the tags in a library, a tenth of whose photos show a landmark, the share that is right.

    If so many unknown photos are answered as there may be.
    """
    answered = predictions.answered(threshold)
    right = predictions.correct[answered].sum() / len(answered)
    wrong = wilson_interval(int((unknown >= threshold).sum()), len(unknown))[1]
    return 0.1 * right / (0.1 * answered.mean() + 0.9 * wrong)


def searched(predictions, unknown, coverage, aim):
    """The threshold that answers no less than it must and reaches the aim, by trying all of them."""
    thresholds = np.unique(predictions.known.astype(np.float64))
    enough = [t for t in thresholds if predictions.answered(t).mean() >= coverage]
    reached = [t for t in thresholds if tags_right(predictions, unknown, t) >= aim]
    return min(reached) if reached and min(reached) in enough else max(enough)


def judged(seed, overlap):
    """Predictions whose surer answers are righter, in steps of 0.02, and `known` of unknown photos."""
    chance = np.random.default_rng(seed)
    known = np.round(chance.beta(5, 1, 150) * 50) / 50
    wrong = (chance.random(150) > 0.5 + 0.5 * known).astype(int)
    unknown = np.round(chance.beta(1, 5 / overlap, 200) * 50) / 50
    return said([0] * 150, wrong, known=known), unknown.astype(np.float32)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("overlap", [0.2, 1.0, 3.0])
def test_the_chosen_threshold_is_that_of_a_search_through_all(coverage, overlap):
    for seed in range(20):
        predictions, unknown = judged(seed, overlap)
        for aim in (0.7, 0.9, 0.97):
            found = choose_threshold(predictions, unknown, coverage, aim)
            assert found == searched(predictions, unknown.astype(np.float64), coverage, aim)


def test_no_lower_threshold_than_the_chosen_one_reaches_the_aim():
    predictions, unknown = judged(0, 0.2)
    threshold = choose_threshold(predictions, unknown, 0.5, 0.75)
    assert tags_right(predictions, unknown, threshold) >= 0.75
    assert predictions.answered(threshold).mean() > 0.5, "the aim decides and not the coverage"
    below = predictions.known[predictions.known < threshold]
    assert all(tags_right(predictions, unknown, lower) < 0.75 for lower in below)


def test_coverage_comes_before_the_aim():
    known = np.linspace(0.01, 1, 100)
    predictions = said([0] * 100, [0] * 100, known=known)
    unknown = np.full(100_000, 0.5)  # all above 0.5 would be right
    assert choose_threshold(predictions, unknown, 0.4) == pytest.approx(0.51)
    assert predictions.answered(choose_threshold(predictions, unknown, 0.9)).mean() == 0.9
    assert choose_threshold(predictions, np.ones(100_000), 0.9) == choose_threshold(predictions, unknown, 0.9)


def test_none_of_a_few_unknown_photos_does_not_mean_none_at_all():
    """At 0.51 none is answered; that the aim is reached there only many photos can show."""
    predictions = said([0] * 100, [0] * 100, known=np.linspace(0.01, 1, 100))
    few, many = (choose_threshold(predictions, np.full(n, 0.5), 0.4) for n in (50, 5000))
    assert predictions.answered(few).mean() == 0.4
    assert many == pytest.approx(0.51)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unknown", [None, np.empty(0)])
def test_without_unknown_photos_the_chosen_threshold_answers_its_share(unknown):
    predictions = said([0] * 200, [1] * 200, known=np.linspace(0.01, 1, 200))
    threshold = choose_threshold(predictions, unknown, 0.95)
    assert predictions.answered(threshold).mean() == pytest.approx(0.95)


def test_photos_that_are_equally_known_are_answered_together():
    predictions = said([0] * 10, [0] * 10, known=[0.9] * 4 + [0.7] * 5 + [0.1])
    assert choose_threshold(predictions, coverage=0.5) == pytest.approx(0.7)
    # of 100 photos nine landmarks and nine others get tags at 0.7
    unknown = np.array([0.7] + [0.2] * 9, dtype=np.float32).repeat(10_000)
    assert choose_threshold(predictions, unknown, 0.3, aim=0.49) == pytest.approx(0.7)
    assert choose_threshold(predictions, unknown, 0.3, aim=0.51) == pytest.approx(0.9)


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


# --- precision in a photo library


def test_precision_in_a_library_counts_every_unknown_photo_that_is_answered():
    result = {"coverage": 0.9, "accuracy_answered": 0.98, "answered_unknown": 0.15}
    precision = precision_at(result, (0.1, 1.0))
    # of 1,000 photos 100 show a landmark: 90 answered, 88.2 rightly; 135 of the others are answered
    assert precision == {"10%": pytest.approx(88.2 / 225), "100%": pytest.approx(0.98)}
    assert precision_at(result | {"answered_unknown": 0.0}, (0.01,)) == {"1%": pytest.approx(0.98)}


@pytest.mark.parametrize("missing", ["coverage", "accuracy_answered", "answered_unknown"])
def test_no_precision_without_its_figures(missing):
    result = {"coverage": 0.9, "accuracy_answered": 0.98, "answered_unknown": 0.15}
    assert precision_at(result | {missing: None}) is None
    assert precision_at({key: value for key, value in result.items() if key != missing}) is None
