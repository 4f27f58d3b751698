"""What a model says of a picture, whichever process holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from src.landmarks.table import Landmark


@dataclass(frozen=True)
class Guess:
    """One landmark and the calibrated probability, in [0, 1], that the photo shows it.

    This counts the doubt that the photo shows any landmark at all: a cat may look more like one of
    them than like the others, and still not like a landmark.
    """

    landmark: Landmark
    probability: float


@dataclass(frozen=True)
class Answer:
    """What a model says of one picture.

    Attributes:
        guesses: the five likeliest landmarks, best first (fewer where the model knows fewer).
        known: in [0, 1], how surely the picture shows one of the known landmarks at all.
        recognised: whether ``known`` reaches the threshold; if not, the answer is "no landmark that I
            know" and the guesses only say what comes closest.
        features: what the network saw, for own landmarks, see `src.inference.space.packed`; empty where it
            does not say.
    """

    guesses: tuple[Guess, ...]
    known: float
    recognised: bool
    features: bytes = field(default=b"", repr=False)

    @classmethod
    def judged(
        cls, guesses: Iterable[Guess], known: float, threshold: float, features: bytes = b""
    ) -> Answer:
        """The answer by a threshold in [0, 1]; what is ruled out (0) is not recognised at any threshold."""
        return cls(tuple(guesses), known, 0 < known >= threshold, features)
