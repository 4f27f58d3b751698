"""What the tests of own landmarks share: a space that can be looked through, photos and places in it."""

import math

import numpy as np

from src.inference.own import NEEDED, STRANGERS, WEIGHTS, Example, Own, Taught
from src.inference.space import Space, packed
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

WIDTH, THRESHOLD = 12, 0.8
BUILT_IN = [Landmark("00.Taj_Mahal", "Taj Mahal", "Agra"), Landmark("01.Eiffel_Tower", "Eiffel Tower")]
# features are compared as they are; the built-in landmarks are the first two axes, the crowd is the third
AXES = np.eye(WIDTH)
COMMON = 0.2  # cosine of photos of no landmark to places along the fifth and later axes
STRANGER = np.array([0, 0, 0, math.sqrt(1 - 7 * COMMON**2), *[COMMON] * 7, 0])
SPACE = Space(np.zeros(WIDTH), AXES[:, :1], np.ones(1), AXES[:2], AXES[2:3], np.stack([STRANGER] * STRANGERS))


def needed(spoken, known, examples=1):
    """The cosine from which a place with nothing else like it is named: four signs are equal."""
    weights, odds = WEIGHTS[int(spoken)], math.log(known / (1 - known))
    least = NEEDED[int(spoken)][int(examples > 1)] - COMMON * weights[6]
    return float((least - weights[4] / examples - weights[5] * odds) / weights[:4].sum())


def features(*axes, like=1.0, rest=11):
    """Features at the middle of some axes, or so like it (a cosine), and else along the axis `rest`."""
    vector = np.zeros(WIDTH)
    vector[list(axes)] = like / math.sqrt(len(axes)) if axes else 0
    vector[rest] += math.sqrt(1 - like**2)
    return packed(vector)


def taught(name, *examples):
    return Taught(
        Landmark(name, name), tuple(Example(f"{i}", f"{i}.jpg", one) for i, one in enumerate(examples))
    )


def own(*places, threshold=THRESHOLD, space=SPACE):
    return Own(space, {one.landmark.name: one for one in places}, BUILT_IN, threshold)


def answer(seen, *probabilities, threshold=THRESHOLD):
    """What the export says of a photo: by default next to nothing, and then of the Taj Mahal."""
    shares = probabilities or (0.02, 0.01)
    guesses = [Guess(landmark, share) for landmark, share in zip(BUILT_IN, shares, strict=False)]
    guesses.sort(key=lambda guess: -guess.probability)
    return Answer.judged(guesses, guesses[0].probability, threshold, seen)


def named(judged):
    return judged.guesses[0].landmark.name if judged.recognised else None
