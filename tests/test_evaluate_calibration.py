"""The temperature and the threshold that are chosen on validation pictures."""

import numpy as np
import pytest
import torch
from known_answers import said

from src.evaluation.calibration import choose_threshold, fit_temperature
from src.evaluation.statistics import wilson_interval


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
