"""How surely a photo shows what a network takes it for: the signs, and how they are weighed."""

import numpy as np
import pytest
import torch

from src.models.open_set import NEIGHBOURS, LargestProbability, OpenSetScore

CLASSES, FEATURES, AXES = 4, 6, 5
CHANCE = np.random.default_rng(0)


def some(*shape):
    return CHANCE.normal(size=shape).astype(np.float32)


PHOTOS, LOGITS = some(10, FEATURES), some(10, CLASSES)
EXAMPLES, UNKNOWN = some(23, FEATURES), some(7, FEATURES)
OWNERS = np.concatenate([np.repeat(np.arange(CLASSES), NEIGHBOURS), CHANCE.integers(0, CLASSES, 11)])
CENTER, PRINCIPAL = some(FEATURES) / 10, np.linalg.qr(some(FEATURES, AXES))[0]


@pytest.fixture
def score():
    arrays = CENTER, PRINCIPAL, EXAMPLES, OWNERS, UNKNOWN
    return OpenSetScore(*map(torch.from_numpy, arrays))


@pytest.fixture
def photos():
    """Features and logits of ten photos."""
    return torch.from_numpy(PHOTOS), torch.from_numpy(LOGITS)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def cosines(photo, others):
    """Of centred features on the principal axes, the largest first."""
    first, second = (unit((unit(one) - CENTER) @ PRINCIPAL) for one in (photo, others))
    return np.sort(second @ first)[::-1]


def written_out(photo, logits, known=range(CLASSES)):
    """The four signs of one photo, where only some of the classes are known."""
    shares = np.exp(logits) / np.exp(logits[known]).sum()
    best = max(known, key=lambda one: shares[one])
    mine, rest = np.equal(OWNERS, best), np.isin(OWNERS, known) & np.not_equal(OWNERS, best)
    own, others, unknown = (
        cosines(photo, examples)[:3].mean() for examples in (EXAMPLES[mine], EXAMPLES[rest], UNKNOWN)
    )
    return [logits[best], np.log(shares[best] / (1 - shares[best])), own - unknown, own - others]


@pytest.mark.parametrize("sign", range(4))
def test_signs_are_those_that_are_written_down(score, photos, sign):
    expected = [written_out(*photo)[sign] for photo in zip(PHOTOS, LOGITS, strict=True)]
    assert score.signs(*photos)[:, sign].numpy() == pytest.approx(np.array(expected), abs=1e-4)


@pytest.mark.parametrize("sign", range(4))
def test_a_class_that_is_hidden_changes_nothing_but_what_is_known(score, photos, sign):
    hidden = np.arange(10) % CLASSES
    rest = [np.flatnonzero(np.arange(CLASSES) != one) for one in hidden]
    expected = [written_out(*photo)[sign] for photo in zip(PHOTOS, LOGITS, rest, strict=True)]
    found = score.signs(*photos, torch.from_numpy(hidden))[:, sign]
    assert found.numpy() == pytest.approx(np.array(expected), abs=1e-4)


def test_known_is_what_the_weights_make_of_the_signs(score, photos):
    assert score(*photos).tolist() == [0.5] * 10
    weights = np.array([0.3, -0.2, 4.0, -3.0])
    score.set_weights(weights.tolist(), -0.6)
    expected = 1 / (1 + np.exp(0.6 - score.signs(*photos).numpy() @ weights))
    assert score(*photos).numpy() == pytest.approx(expected, abs=1e-5)


def test_photos_of_a_batch_do_not_change_each_other(score, photos):
    one_by_one = zip(*(part.split(1) for part in photos), strict=True)
    alone = torch.cat([score.signs(*one) for one in one_by_one])
    assert torch.allclose(alone, score.signs(*photos), atol=1e-5)


@pytest.fixture
def apart():
    """A score whose classes, and unknown photos at last, each have an axis of their own."""
    near = torch.eye(CLASSES + 1).repeat_interleave(NEIGHBOURS, 0)
    near = near + torch.from_numpy(some(*near.shape)) / 20
    owners = torch.arange(CLASSES).repeat_interleave(NEIGHBOURS)
    examples, unknown = near[: len(owners)], near[len(owners) :]
    return OpenSetScore(torch.zeros(CLASSES + 1), torch.eye(CLASSES + 1), examples, owners, unknown)


def test_a_photo_is_known_the_less_the_nearer_it_is_to_the_unknown_ones(apart):
    apart.set_weights([0.0, 0.0, 1.0, 0.0], 0.0)
    own, unknown = torch.eye(CLASSES + 1)[[1, CLASSES]]
    shares = torch.linspace(0, 1, 5)[:, None]
    known = apart((1 - shares) * own + shares * unknown, torch.tensor([[0.0, 5.0, 0.0, 0.0]] * 5))
    assert (known.diff() < 0).all()
    assert known[0] > 0.5 > known[-1]


def test_a_photo_is_known_the_less_the_nearer_it_is_to_another_landmark(apart):
    apart.set_weights([0.0, 0.0, 0.0, 1.0], 0.0)
    own, other = torch.eye(CLASSES + 1)[[1, 2]]
    shares = torch.linspace(0, 1, 5)[:, None]
    known = apart((1 - shares) * own + shares * other, torch.tensor([[0.0, 5.0, 0.0, 0.0]] * 5))
    assert (known.diff() < 0).all()
    assert known[0] > 0.5 > known[-1]


def test_the_odds_of_a_network_that_is_quite_sure_are_no_infinity(score, photos):
    odds = score.signs(photos[0][:1], torch.tensor([[500.0, 0.0, 0.0, 0.0]]))[0, 1]
    assert odds.item() == pytest.approx(np.log(1e6), abs=1e-3)


def test_weights_travel_with_the_state(score, photos):
    score.set_weights([0.3, -0.2, 4.0, -3.0], -0.6)
    empty = (torch.zeros_like(torch.from_numpy(a)) for a in (CENTER, PRINCIPAL, EXAMPLES, OWNERS, UNKNOWN))
    other = OpenSetScore(*empty)
    other.load_state_dict(score.state_dict())
    assert torch.equal(other(*photos), score(*photos))


def test_the_largest_probability_is_calibrated():
    logits = torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 2.0]])
    odds = np.exp(np.array([0.5, 1.5, 0.0]))
    known = LargestProbability(2.0)(torch.empty(2, 0), logits)
    assert known.numpy() == pytest.approx([odds[1] / odds.sum(), 1 / 3])
