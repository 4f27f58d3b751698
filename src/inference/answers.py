"""What a network says of a picture, whichever process holds it; needs no torch, and travels with exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from src.landmarks.table import Landmark

GUESSES = 5


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
    """What a network says of one picture.

    Attributes:
        guesses: the five likeliest landmarks, best first (fewer where the network knows fewer).
        known: in [0, 1], how surely the picture shows one of the known landmarks at all.
        recognised: whether ``known`` reaches the threshold; if not, the answer is "no landmark that I
            know" and the guesses only say what comes closest.
    """

    guesses: tuple[Guess, ...]
    known: float
    recognised: bool


class Answering:
    """What can be asked about pictures; `Predictor` and `SharedPredictor` are such.

    Attributes:
        info: the contents of the export's ``model.json``.
        landmarks: what is known of each class, in the network's order.
    """

    def __init__(self, info: dict) -> None:
        self.info = info
        self.landmarks = [Landmark.from_dict(entry) for entry in info["classes"]]

    @property
    def known_threshold(self) -> float:
        """The smallest ``known`` at which an answer is given."""
        return self.info["known_threshold"]

    @property
    def short_side(self) -> int:
        """Pixels to which a photo may be shrunk before the network's own resizing: twice what it sees.

        Of 41 photos of 12 megapixels, decoded at a quarter of their size, all kept their likeliest landmark
        and its probability within 0.02; decoded at an eighth, 5 % changed.
        """
        return 2 * self.info["size"]

    def predict(self, pictures: Sequence[Image.Image]) -> list[Answer]:
        """Answer for upright pictures of any size, one by one: the same whatever else is asked."""
        raise NotImplementedError

    def heat(self, picture: Image.Image) -> np.ndarray:
        """Where in the middle square of a picture the likeliest landmark is seen: ``(h, w)`` in [0, 1]."""
        raise NotImplementedError

    def _answer(self, probabilities: np.ndarray, known: float) -> Answer:
        best = np.argsort(-probabilities, kind="stable")[:GUESSES]
        shown = known / float(probabilities[best[0]])
        guesses = (Guess(self.landmarks[i], shown * float(probabilities[i])) for i in best)
        return Answer(tuple(guesses), known, known >= self.known_threshold)
