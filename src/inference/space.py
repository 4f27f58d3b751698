"""The space in which photos of one place lie together, also of places that the network never met.

A network that was trained on some landmarks gives features in which photos of any place are alike. Along some
directions the photos of one landmark differ much among themselves; whitening shrinks these (within-class
covariance normalisation, Hatch et al., Interspeech 2006; for images Jégou and Chum, ECCV 2012). What it needs
travels in the export, as plain arrays.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields, replace

import numpy as np

SHRINKAGE = 0.3  # of the covariance towards a multiple of the identity; chosen on landmarks left out
GROUPS = 64  # of photos that show no landmark
COHORT = 300  # single photos of these
RANK = 64  # directions that are shrunk; with all of them it is no better


@dataclass(frozen=True, eq=False)
class Space:
    """Whitening of features, and where the built-in landmarks lie; all float32.

    Attributes:
        center: mean of the unit features of training photos, ``(F,)``.
        axes: directions of the largest covariance within landmarks, orthonormal columns ``(F, R)``.
        factors: by what each is shrunk, in (0, 1], ``(R,)``.
        means: unit vectors of the landmarks' means, ``(classes, F)``.
        crowd: unit vectors of the means of groups of photos that show no landmark, ``(G, F)``; perhaps none.
        cohort: unit vectors of some of these photos, ``(U, F)``; perhaps none.
    """

    center: np.ndarray
    axes: np.ndarray
    factors: np.ndarray
    means: np.ndarray
    crowd: np.ndarray
    cohort: np.ndarray

    def whitened(self, features: np.ndarray) -> np.ndarray:
        """Unit vectors ``(N, F)`` of features ``(N, F)``; cosines between them tell places apart."""
        moved = unit(features.astype(np.float32)) - self.center
        return unit(moved - ((moved @ self.axes) * (1 - self.factors)) @ self.axes.T)

    def to_bytes(self) -> bytes:
        """As a file of NumPy, in half precision, as a cosine changes by less than a thousandth."""
        file = io.BytesIO()
        np.savez(file, **{field.name: getattr(self, field.name).astype(np.float16) for field in fields(self)})  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Space:
        """What `to_bytes` gave; raises ValueError or KeyError for anything else."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return cls(*(arrays[field.name].astype(np.float32) for field in fields(cls)))


def fit_space(features: np.ndarray, owners: np.ndarray, unknown: np.ndarray | None = None) -> Space:
    """The space of training photos.

    Args:
        features: ``(P, F)``, some of every landmark.
        owners: their landmarks, ``(P,)``, from 0 without gaps.
        unknown: ``(U, F)``, of photos that show none; scikit-learn groups them.
    """
    placed = unit(features.astype(np.float64))
    means = np.stack([placed[owners == owner].mean(axis=0) for owner in range(owners.max() + 1)])
    spread = placed - means[owners]
    covariance = spread.T @ spread / len(spread)
    variances, axes = np.linalg.eigh(covariance)
    usual = variances.mean()
    variances = (1 - SHRINKAGE) * variances + SHRINKAGE * usual
    rest = variances[:-RANK].mean() if len(variances) > RANK else variances.min()
    factors = np.sqrt(np.minimum(1, rest / np.maximum(variances[-RANK:], np.finfo(float).tiny)))
    parts = placed.mean(axis=0), axes[:, -RANK:], factors, means, means[:0], means[:0]
    found = Space(*(part.astype(np.float32) for part in parts))
    whitened = found.whitened(features)
    means = np.stack([whitened[owners == owner].mean(axis=0) for owner in range(owners.max() + 1)])
    if unknown is not None and len(unknown):
        seen = found.whitened(unknown)
        chosen = np.random.default_rng(0).permutation(len(seen))[:COHORT]
        found = replace(found, crowd=_crowd(seen), cohort=seen[chosen])
    return replace(found, means=unit(means))


def _crowd(seen: np.ndarray) -> np.ndarray:
    from sklearn.cluster import KMeans  # here, as this module travels with the app, and fitting does not

    groups = KMeans(min(GROUPS, len(seen)), random_state=0, n_init=1).fit(seen)
    return unit(groups.cluster_centers_).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors with length 1; those without any stay as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def packed(features: np.ndarray) -> bytes:
    """Features ``(F,)`` in a byte each; only their proportions stay, which is all that `Space` looks at.

    They are means of what a rectifier lets through: what is below zero is taken for zero.
    """
    most = float(features.max(initial=0)) or 1.0
    return np.round(features.clip(0) * (255 / most)).astype(np.uint8).tobytes()


def unpacked(rows: list[bytes], width: int) -> np.ndarray:
    """Features ``(N, F)`` as `packed` gave them."""
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)
