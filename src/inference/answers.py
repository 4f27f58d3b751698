"""What can be asked of a model, whichever process or library runs it; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from src.inference.space import Space, packed
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark, class_key, describe, own_rows

GUESSES = 5
NOTHING = np.empty(0, np.float32)


class InferenceError(RuntimeError):
    """There is no answer for a picture; the message is one sentence, fit to be shown."""


class Scores(NamedTuple):
    """What a network says of one picture.

    Attributes:
        probabilities: calibrated, of the classes, ``(classes,)``.
        known: in [0, 1], how surely it shows one of them at all.
        features: what the last layer saw, ``(F,)``; empty where the export has no `Space` to put it in.
    """

    probabilities: np.ndarray
    known: float
    features: np.ndarray = NOTHING


class Answering:
    """The one protocol of all runtimes: a runtime gives `scores`, and `heat` where it can.

    Attributes:
        info: the contents of the export's ``model.json``.
        landmarks: what is known of each class, in the model's order.
    """

    def __init__(self, info: dict) -> None:
        self.info = info
        self.landmarks = [Landmark.from_dict(entry) for entry in info["classes"]]

    @property
    def class_names(self) -> list[str]:
        """The classes as the data set names them, in the model's order."""
        return [landmark.class_name for landmark in self.landmarks]

    @property
    def known_threshold(self) -> float:
        """The smallest ``known`` at which an answer is given."""
        return self.info["known_threshold"]

    @property
    def space_id(self) -> str:
        """Tells in which `Space` features are; empty where the export has none, so nothing can be taught."""
        return self.info.get("own_space", "")

    def space(self) -> Space:
        """Where own landmarks are compared; to be asked for only where there is a `space_id`."""
        raise NotImplementedError

    @property
    def short_side(self) -> int:
        """Pixels to which a photo may be shrunk before the model's own resizing: 1.5 times its input size.

        JPEG of 12 megapixels is decoded at an eighth then, not at a quarter. Of 319 labelled photos that were
        enlarged to this size, with noise and without, as many are named rightly and as many are answered.
        """
        return 3 * self.info["size"] // 2

    def describe_with(self, table: Mapping[str, Landmark]) -> None:
        """Replace the export's facts of landmarks by the user's rows of a table of `read_landmarks`.

        Landmarks without such a row keep the export's facts.

        Raises:
            ValueError: no row of the user's is for a class of this model.
        """
        rows = own_rows(table)
        names = self.class_names
        if rows and not any(class_key(name) in rows for name in names):
            raise ValueError(
                f'No row is for a class of this model, as "{next(iter(rows))}" is not; '
                f'write the class as the data set does, such as "{class_key(names[0])}".'
            )
        self.landmarks = [
            describe(landmark.class_name, rows) if class_key(landmark.class_name) in rows else landmark
            for landmark in self.landmarks
        ]

    def predict(self, pictures: Sequence[Image.Image]) -> list[Answer]:
        """Answer for upright pictures of any size, one by one: the same whatever else is asked.

        Raises:
            InferenceError: the process that holds the model gives no answer.
        """
        return [self._answer(self.scores(picture)) for picture in pictures]

    def scores(self, picture: Image.Image) -> Scores:
        """What the network says of one upright picture."""
        raise NotImplementedError

    def heat(self, picture: Image.Image) -> np.ndarray:
        """Where in the middle square of a picture the likeliest landmark is seen: ``(h, w)`` in [0, 1]."""
        raise NotImplementedError

    def _answer(self, scores: Scores) -> Answer:
        probabilities, known, features = scores
        best = np.argsort(-probabilities, kind="stable")[:GUESSES]
        largest = float(probabilities[best[0]])
        # what the others have of the rest; with that of the best they are never more than 1
        share = min(known / largest, (1 - known) / (1 - largest)) if largest < 1 else 0.0
        guesses = [
            Guess(self.landmarks[i], share * float(probabilities[i]) if n else known)
            for n, i in enumerate(best)
        ]
        return Answer.judged(guesses, known, self.known_threshold, packed(features))
