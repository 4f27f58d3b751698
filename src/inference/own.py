"""Landmarks of a person's own: taught with a few photos, and weighed against those that the network knows.

Nothing is trained. A photo is compared with the examples of each own landmark in the export's `Space`; four
signs say whether it shows the most similar one, and a logistic regression weighs them. Its weights were
fitted once, on landmarks that a network was trained without (`benchmarks/own_landmarks.py`), and never on
photos of the places that a person teaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from src.inference.space import Space, unit, unpacked
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

GUESSES = 5
RIVALS = 10  # own landmarks whose examples are looked at one by one: those with the nearest means
SHOWN = 3  # own landmarks among the guesses, at most
NEGLIGIBLE = 0.01  # probability below which an answer stays as it was
# Similarity, its lead over other own landmarks, its lead over built-in ones, and 1 / number of examples: the
# weights and the two thresholds are fitted by benchmarks/own_landmarks.py --fit.
WEIGHTS = np.array([12.0, 4.7, 6.65, 1.1], np.float32)
SILENT, ANSWERED = 6.0, 7.3  # evidence from which an own landmark is named: over silence, over another name
MISFIT = 0.15  # cosine: 99 % of photos of other places are less similar to a landmark's mean
ALIKE = 0.6  # cosine of two means: as similar as half of all photos are to the mean of their own landmark


@dataclass(frozen=True)
class Example:
    """A photo that a landmark was taught with.

    Attributes:
        content: its digest, as in `PhotoReport`.
        name: of its file, for people.
        features: what the network saw on it, see `src.inference.space.packed`.
    """

    content: str
    name: str
    features: bytes


@dataclass(frozen=True)
class Taught:
    """An own landmark; no two of its examples have the same content."""

    landmark: Landmark
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Fit:
    """How well an own landmark is known now, found by leaving out each of its examples in turn.

    Attributes:
        recognised: examples that the others name rightly; None with a single one, which nothing can tell of.
        misfits: names of examples that look unlike the others.
        alike: names of landmarks that look like this one.
    """

    recognised: int | None
    misfits: tuple[str, ...]
    alike: tuple[str, ...]


class Own:
    """Own landmarks in the space of one export, ready to be compared with.

    Args:
        space: of the export.
        taught: own landmarks by their names.
        built_in: the export's landmarks, in its order.
        threshold: the smallest ``known`` at which an answer is given.
    """

    def __init__(
        self, space: Space, taught: Mapping[str, Taught], built_in: Sequence[Landmark], threshold: float
    ) -> None:
        self._space, self._threshold = space, threshold
        known = {landmark.name: landmark for landmark in built_in}
        # a built-in landmark that is taught better stays the built-in one
        self.landmarks = [known.get(one.landmark.name, one.landmark) for one in taught.values()]
        names = [landmark.name for landmark in built_in]
        self._built_in = [names.index(name) if name in known else -1 for name in taught]
        self._names, self._known = list(taught), names
        rows = [example.features for one in taught.values() for example in one.examples]
        places = space.whitened(unpacked(rows, len(space.center)))
        ends = np.cumsum([len(one.examples) for one in taught.values()])
        self._examples = np.split(places, ends[:-1]) if rows else []
        self._names_of = [[example.name for example in one.examples] for one in taught.values()]
        means = [unit(examples.mean(axis=0)) for examples in self._examples]
        self._means = np.stack(means) if means else np.zeros((0, len(space.center)), np.float32)

    def judge(self, answers: Sequence[Answer]) -> list[Answer]:
        """The answers with own landmarks among their guesses, where a photo looks like one.

        Answers without features, as of a model that gives none, stay as they are.
        """
        judged = list(answers)
        rows = [i for i, answer in enumerate(answers) if len(answer.features) == len(self._space.center)]
        if not rows or not self._examples:
            return judged
        places = self._space.whitened(unpacked([answers[i].features for i in rows], len(self._space.center)))
        for i, place, near in zip(rows, places, places @ self._means.T, strict=True):
            judged[i] = self._judge(answers[i], place, near)
        return judged

    def _judge(self, answer: Answer, place: np.ndarray, near: np.ndarray) -> Answer:
        candidates = np.argsort(-near, kind="stable")[:RIVALS]
        similar = [(near[c] + (self._examples[c] @ place).max()) / 2 for c in candidates]
        ranked = sorted(zip(similar, candidates, strict=True), key=lambda pair: -pair[0])
        built_in = self._space.means @ place
        guesses = []
        for number, (similarity, c) in enumerate(ranked[:SHOWN]):
            rival = ranked[1 if number == 0 else 0][0] if len(ranked) > 1 else 0.0
            evidence = self._evidence(similarity, rival, self._rival(built_in, c), len(self._examples[c]))
            guesses.append(Guess(self.landmarks[c], self._probability(evidence, answer)))
        if guesses[0].probability < NEGLIGIBLE:
            return answer
        return _merged(answer, guesses, self._threshold)

    def _rival(self, built_in: np.ndarray, c: int) -> float:
        """How similar a photo is to the nearest built-in landmark other than an own one."""
        if self._built_in[c] >= 0:
            built_in = np.delete(built_in, self._built_in[c])
        return float(built_in.max(initial=0.0))

    def _evidence(self, similarity: float, own_rival: float, built_in: float, examples: int) -> float:
        signs = similarity, similarity - max(own_rival, 0.0), similarity - built_in, 1 / examples
        return float(WEIGHTS @ np.array(signs, np.float32))

    def _probability(self, evidence: float, answer: Answer) -> float:
        """The evidence as a probability that reaches the export's threshold where an own one is to be named.

        Which share of a library shows own landmarks is not known, and the odds are moved by it anyway.
        """
        needed = ANSWERED if answer.recognised else SILENT
        threshold = min(max(self._threshold, 1e-6), 1 - 1e-6)
        return 1 / (1 + math.exp(needed - evidence - math.log(threshold / (1 - threshold))))

    def fit(self, name: str) -> Fit:
        """How well one of the own landmarks is known, see `Fit`."""
        c = self._names.index(name)
        examples, names = self._examples[c], self._names_of[c]
        others = np.concatenate([np.delete(self._means, c, axis=0), self._space.means])
        their_names = [*(n for n in self._names if n != name), *self._known]
        similar = others @ self._means[c]
        alike = [n for n, s in zip(their_names, similar, strict=True) if s > ALIKE and n != name]
        if len(examples) == 1:
            return Fit(None, (), tuple(alike))
        recognised, misfits = 0, []
        for i, place in enumerate(examples):
            rest = np.delete(examples, i, axis=0)
            mean = float(unit(rest.mean(axis=0)) @ place)
            similarity = (mean + float((rest @ place).max())) / 2
            own_rival = float((np.delete(self._means, c, axis=0) @ place).max(initial=0.0))
            rival = self._rival(self._space.means @ place, c)
            recognised += self._evidence(similarity, own_rival, rival, len(rest)) >= SILENT
            if mean < MISFIT:
                misfits.append(names[i])
        return Fit(recognised, tuple(misfits), tuple(alike))


def _merged(answer: Answer, own: list[Guess], threshold: float) -> Answer:
    """The answer with own guesses before the others, which share what these leave."""
    total = sum(guess.probability for guess in own)
    own = [replace(guess, probability=guess.probability / max(1.0, total)) for guess in own]
    left = max(0.0, 1 - total)
    shares = {guess.landmark: left * guess.probability for guess in answer.guesses}
    for guess in own:  # one that is built in as well keeps what it had
        shares[guess.landmark] = max(guess.probability, shares.get(guess.landmark, 0.0))
    best = sorted(shares.items(), key=lambda pair: -pair[1])[:GUESSES]
    guesses = [Guess(landmark, probability) for landmark, probability in best]
    merged = Answer.judged(guesses, guesses[0].probability, threshold)
    return replace(merged, features=answer.features)
