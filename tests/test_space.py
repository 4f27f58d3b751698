"""The space in which own landmarks are compared: whitening, and features packed into bytes."""

import io

import numpy as np
import pytest

from src.inference.space import COHORT, GROUPS, RANK, SHRINKAGE, Space, fit_space, packed, unit, unpacked


def samples(places=6, each=30, width=5, seed=0):
    """Places apart along all axes but the last, along which photos of each place differ most."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(places, width)) * [*[1.0] * (width - 1), 0.0]
    owners = np.repeat(np.arange(places), each)
    noise = generator.normal(size=(len(owners), width)) * [*[0.2] * (width - 1), 2.0]
    return centers[owners] + noise, owners


def test_space_is_that_of_within_class_covariance_normalisation():
    """Against the formula with the inverse square root of the whole shrunk covariance."""
    features, owners = samples()
    space = fit_space(features, owners)
    placed = features / np.linalg.norm(features, axis=1, keepdims=True)
    spread = np.concatenate([placed[owners == o] - placed[owners == o].mean(axis=0) for o in range(6)])
    covariance = spread.T @ spread / len(spread)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / 5 * np.eye(5)
    variances, axes = np.linalg.eigh(covariance)
    moved = (placed - placed.mean(axis=0)) @ axes / np.sqrt(variances) @ axes.T
    expected = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    assert space.whitened(features) == pytest.approx(expected, abs=1e-4)
    means = np.stack([expected[owners == o].mean(axis=0) for o in range(6)])
    assert space.means == pytest.approx(means / np.linalg.norm(means, axis=1, keepdims=True), abs=1e-4)


def test_places_that_were_never_met_are_told_apart_better_than_without():
    space = fit_space(*samples())
    features, owners = samples(seed=1)
    same = owners[:, None] == owners

    def told_apart(vectors):
        cosines = vectors @ vectors.T
        return cosines[same].mean() - cosines[~same].mean()

    assert told_apart(space.whitened(features)) > told_apart(unit(features)) + 0.1


def test_only_the_directions_of_the_largest_variance_are_shrunk():
    features, owners = samples(width=RANK + 10)
    space = fit_space(features, owners)
    assert space.axes.shape == (RANK + 10, RANK)
    assert space.axes.T @ space.axes == pytest.approx(np.eye(RANK), abs=1e-5)
    assert space.factors.max() <= 1
    assert space.factors.argmin() == RANK - 1
    assert abs(space.axes[-1, -1]) > 0.99  # the last axis is the one along which photos differ most
    assert all(part.dtype == np.float32 for part in (space.center, space.axes, space.factors, space.means))


def test_photos_of_no_landmark_are_grouped_by_what_they_look_like():
    """`GROUPS` of a hundred kinds of photos; fewer where there are fewer photos."""
    features, owners = samples()
    kinds = np.random.default_rng(5).normal(size=(100, 5))
    unknown = np.repeat(kinds, 3, axis=0)
    space = fit_space(features, owners, unknown)
    assert space.crowd.shape == (GROUPS, 5)
    assert np.linalg.norm(space.crowd, axis=1) == pytest.approx(1, abs=1e-5)
    assert (space.whitened(kinds) @ space.crowd.T).max(axis=1).min() > 0.9
    few = fit_space(features, owners, kinds[:2]).crowd
    order = np.argsort(few[:, 0])
    expected = space.whitened(kinds[:2])
    assert few[order] == pytest.approx(expected[np.argsort(expected[:, 0])], abs=1e-5)
    assert fit_space(features, owners).crowd.shape == fit_space(features, owners).cohort.shape == (0, 5)


def test_some_photos_of_no_landmark_are_kept_as_they_are():
    features, owners = samples()
    unknown = np.random.default_rng(5).normal(size=(COHORT + 50, 5))
    space = fit_space(features, owners, unknown)
    distances = np.linalg.norm(space.cohort[:, None] - space.whitened(unknown), axis=2)
    assert len(space.cohort) == COHORT == len(set(distances.argmin(axis=1)))
    assert distances.min(axis=1).max() < 1e-5


def test_length_of_features_says_nothing():
    space, (features, _) = fit_space(*samples()), samples(seed=2)
    assert space.whitened(7 * features) == pytest.approx(space.whitened(features), abs=1e-5)
    assert np.linalg.norm(space.whitened(features), axis=1) == pytest.approx(1, abs=1e-5)


def test_what_saw_nothing_is_somewhere():
    assert unit(np.zeros((2, 3))).tolist() == [[0, 0, 0]] * 2
    assert np.isfinite(fit_space(*samples()).whitened(np.zeros((1, 5)))).all()


def test_a_space_comes_back_from_its_file():
    features, owners = samples()
    space = fit_space(features, owners, samples(seed=1)[0])
    again = Space.from_bytes(space.to_bytes())
    for name in ("center", "axes", "factors", "means", "crowd", "cohort"):
        assert getattr(again, name) == pytest.approx(getattr(space, name), abs=1e-3)
        assert getattr(again, name).dtype == np.float32
    assert again.whitened(features) == pytest.approx(space.whitened(features), abs=2e-3)


def test_what_is_no_space_is_refused():
    file = io.BytesIO()
    np.savez(file, center=np.zeros(3))
    for data in (b"", b"no space", file.getvalue()):
        with pytest.raises((ValueError, KeyError, EOFError)):
            Space.from_bytes(data)


def test_packed_features_keep_their_proportions():
    features = np.array([0.0, 0.5, 1.0, 2.0])
    assert packed(features) == bytes([0, 64, 128, 255])
    assert packed(1000 * features) == packed(features)
    assert packed(np.array([-3.0, 1.0])) == bytes([0, 255])
    assert packed(np.zeros(4)) == bytes(4)
    assert packed(np.array([-1.0, -2.0])) == bytes(2)
    assert packed(np.empty(0, np.float32)) == b""


def test_packed_features_are_told_from_each_other():
    rows = [packed(np.array([1.0, 0.0])), packed(np.array([0.2, 1.0]))]
    assert unpacked(rows, 2).tolist() == [[255, 0], [51, 255]]
    assert unpacked([], 2).shape == (0, 2)
