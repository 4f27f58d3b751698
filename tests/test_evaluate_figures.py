"""Figures and tables with known answers."""

import json

import numpy as np
import pytest
from known_answers import said

from src.evaluation.metrics import compare, figures, most_confused, per_class, precision_at
from src.evaluation.predictions import Predictions
from src.evaluation.statistics import expected_calibration_error, mcnemar, wilson_interval


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
