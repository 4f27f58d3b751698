"""Landmarks of a person's own: taught with a few photos, and weighed against those that the network knows.

Nothing is trained. A photo is compared with the examples of each own landmark in the export's `Space`; seven
signs say whether it shows the most similar one, and a logistic regression weighs them. Its weights were
fitted once, on landmarks that a network was trained without (`benchmarks/own_landmarks.py`), and never on
photos of the places that a person teaches.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from src.inference.answers import GUESSES, Answering
from src.inference.space import Space, unit, unpacked
from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import Taken, out_of_sight
from src.landmarks.table import Landmark, describe

RIVALS = 10  # own landmarks whose examples are looked at one by one: those with the nearest means
ENOUGH = 5  # photos of a landmark, from which on more of them help little
STRANGERS = 5  # photos of no landmark, the nearest ones, whose mean cosine to an own landmark counts
SHOWN = 3  # own landmarks among the guesses, at most: the most similar ones; and names in a sentence
BATCH = 500  # photos that are compared at a time: some 10 MB
SURE = 1.5  # evidence beyond what is needed, from which a photo of a library is an example there
ADOPTED = 60  # such photos of an own landmark at most, the surest ones
NEGLIGIBLE = 0.01  # probability below which an answer stays as it was
# Of the signs in `_signs`, where the network names nothing, and where it names a landmark; and the
# evidence from which an own one is named then: one with a single example, and others, of which more is known.
# Fitted by benchmarks/own_landmarks.py, which prints them.
WEIGHTS = np.array(
    [[-4.12, 11.65, 8.66, 7.77, 0.786, -0.0651, -11.65], [2.96, 9.89, 9.06, -4.39, 1.87, -0.219, -7.04]],
    np.float32,
)
NEEDED = ((1.01, -0.06), (2.26, 1.43))
# Cosines to photos of no landmark, where an export has none: of a photo, and of a place; halfway between
# those of landmarks (0.08 and 0.1 in the middle) and of others (0.44 and 0.5)
CROWD, COMMON = 0.25, 0.3
MISFIT = 0.08  # 5 % of photos are less similar to the mean of their landmark, and most photos of other places
ALIKE = 0.45  # 1 of 1,000 pairs of means is more similar
ALIKE_KNOWN = 0.75  # 1 % of the means are more similar to that of a built-in landmark


class OwnError(ValueError):
    """Own landmarks cannot be used or changed; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Example:
    """A photo that a landmark was taught with.

    Attributes:
        content: its digest, as in `PhotoReport`.
        name: of its file, for people.
        features: what the network saw on it, see `src.inference.space.packed`.
        path: where it was, absolute, so that another export can look at it again; empty where that is not
            known, as in the app.
    """

    content: str
    name: str
    features: bytes
    path: str = ""


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


@dataclass(frozen=True, eq=False)
class Similar:
    """An own landmark by its number, and the signs ``(7,)`` that a photo shows it, see `WEIGHTS`."""

    number: int
    signs: np.ndarray


class Own:
    """Own landmarks in the space of one export, ready to be compared with.

    Args:
        space: of the export.
        taught: own landmarks by their names.
        built_in: the export's landmarks, in its order.
        threshold: the smallest ``known`` at which an answer is given.

    Raises:
        OwnError: features of an example are not those of this space.
    """

    def __init__(
        self, space: Space, taught: Mapping[str, Taught], built_in: Sequence[Landmark], threshold: float
    ) -> None:
        self._space, self._threshold = space, threshold
        self._contents = {example.content for one in taught.values() for example in one.examples}
        if any(len(e.features) != len(space.center) for one in taught.values() for e in one.examples):
            raise OwnError("The own landmarks do not fit this export: teach them again from their photos.")
        names = [landmark.name for landmark in built_in]
        # a built-in landmark that is taught better stays the built-in one, also where a table renames it
        numbers = {describe(one.class_name).name: i for i, one in enumerate(built_in)}
        numbers |= {name: i for i, name in enumerate(names)}
        self._built_in = [numbers.get(name, -1) for name in taught]
        self.landmarks = [
            built_in[i] if i >= 0 else one.landmark
            for i, one in zip(self._built_in, taught.values(), strict=True)
        ]
        self._names, self._known = list(taught), names
        rows = [example.features for one in taught.values() for example in one.examples]
        places = self._placed(rows)
        ends = np.cumsum([len(one.examples) for one in taught.values()])
        self._examples = np.split(places, ends[:-1]) if rows else []
        self._names_of = [called(one.examples) for one in taught.values()]
        means = [unit(examples.mean(axis=0)) for examples in self._examples]
        self._means = np.stack(means) if means else np.zeros((0, len(space.center)), np.float32)
        self._common = self._commonness(self._means)

    @classmethod
    def beside(cls, model: Answering, taught: Mapping[str, Taught]) -> Own:
        """Own landmarks beside those of a model that has a space."""
        return cls(model.space(), taught, model.landmarks, model.known_threshold)

    def adapted(self, photos: Iterable[Sequence[tuple[str, Answer, Taken]]]) -> Own:
        """These own landmarks for one library: its photos that surely show one are examples of it, too.

        Self-training (pseudo-labels: Lee, ICML workshop 2013): photos that look like the few examples find
        others that look like these. It is to judge the library with that it was made with, and kept nowhere.

        Args:
            photos: of each its digest, the model's answer, and where it was taken; some at a time. Copies
                count once, and examples are no others.
        """
        surest: list[dict[str, tuple[float, bytes]]] = [{} for _ in self.landmarks]
        for some in photos:
            for i, (best, *_) in self.compare([answer for _, answer, _ in some]):
                (content, answer, taken), found = some[i], surest[best.number]
                evidence, landmark = self._evidence(best, answer), self.landmarks[best.number]
                if evidence >= SURE and content not in self._contents and not out_of_sight(taken, landmark):
                    found[content] = evidence, answer.features
                    if len(found) > ADOPTED:
                        del found[min(found, key=lambda one: found[one][0])]
        own = copy(self)
        own._examples, own._means = list(self._examples), self._means.copy()
        for c, found in enumerate(surest):
            if found:
                places = self._placed([features for _, features in found.values()])
                own._examples[c] = np.concatenate([self._examples[c], places])
                own._means[c] = unit(own._examples[c].mean(axis=0))
        own._common = self._commonness(own._means)
        return own

    def judge(self, answers: Sequence[Answer]) -> list[Answer]:
        """The answers with own landmarks among their guesses, where a photo looks like one.

        Answers without features, as of a model that gives none, stay as they are.
        """
        judged = list(answers)
        for i, similar in self.compare(answers):
            guesses = [self._guess(one, answers[i]) for one in similar]
            if guesses[0].probability >= NEGLIGIBLE:
                judged[i] = _merged(answers[i], guesses, self._threshold)
        return judged

    def compare(self, answers: Sequence[Answer]) -> Iterator[tuple[int, list[Similar]]]:
        """Each answer with features, by its number, and the own landmarks that its photo looks most like."""
        width = len(self._space.center)
        rows = [i for i, answer in enumerate(answers) if len(answer.features) == width]
        if not rows or not self._examples:
            return
        for batch in (rows[start : start + BATCH] for start in range(0, len(rows), BATCH)):
            places = self._placed([answers[i].features for i in batch])
            sides = (places @ side.T for side in (self._means, self._space.means, self._space.crowd))
            for i, place, near, built_in, crowd in zip(batch, places, *sides, strict=True):
                yield i, self._similar(place, near, built_in, crowd, answers[i].known)

    def _placed(self, rows: list[bytes]) -> np.ndarray:
        """Features in the space, ``(N, F)``."""
        width = len(self._space.center)
        places = np.empty((len(rows), width), np.float32)
        for start in range(0, len(rows), BATCH):
            some = unpacked(rows[start : start + BATCH], width)
            places[start : start + BATCH] = self._space.whitened(some)
        return places

    def _commonness(self, means: np.ndarray) -> np.ndarray:
        """How near photos of no landmark come to own ones with these means ``(N, F)``: ``(N,)``.

        Some places look like many others. So scores are normalised by a cohort of impostors for speakers, too
        (Auckenthaler et al., Digital Signal Processing 10, 2000).
        """
        nearest = np.sort(self._space.cohort @ means.T, axis=0)[-STRANGERS:]
        return nearest.mean(axis=0) if len(nearest) else np.full(len(means), COMMON, np.float32)

    def _similar(
        self, place: np.ndarray, near: np.ndarray, built_in: np.ndarray, crowd: np.ndarray, known: float
    ) -> list[Similar]:
        """Of the own landmarks with the nearest means the most similar ones, best first."""
        count = min(RIVALS, len(near))
        candidates = np.argpartition(-near, count - 1)[:count]
        pairs = [(float(near[c] + (self._examples[c] @ place).max()) / 2, int(c)) for c in candidates]
        pairs.sort(key=lambda pair: (-pair[0], pair[1]))
        similar = []
        for number, (similarity, c) in enumerate(pairs[:SHOWN]):
            rival = pairs[1 if number == 0 else 0][0] if len(pairs) > 1 else 0.0
            rivals = self._rivals(c, rival, built_in, crowd)
            signs = _signs(similarity, rivals, len(self._examples[c]), known, float(self._common[c]))
            similar.append(Similar(c, signs))
        return similar

    def _rivals(self, c: int, rival: float, built_in: np.ndarray, crowd: np.ndarray) -> tuple[float, ...]:
        """The similarity to what else a photo may show than own landmark ``c``.

        That is another own one, a built-in one (one that is both is no rival of its own), or no landmark.
        """
        others = np.delete(built_in, self._built_in[c]) if self._built_in[c] >= 0 else built_in
        nobody = float(crowd.max(initial=0.0)) if len(crowd) else CROWD
        return max(rival, 0.0), float(others.max(initial=0.0)), nobody

    def _guess(self, similar: Similar, answer: Answer) -> Guess:
        """An own landmark with a probability that reaches the threshold where it is to be named.

        Which share of a library shows own landmarks is not known, and moves the odds anyway (Bayes' rule).
        """
        log_odds = self._evidence(similar, answer) + _log_odds(self._threshold)
        return Guess(self.landmarks[similar.number], 1 / (1 + math.exp(-log_odds)))

    def _evidence(self, similar: Similar, answer: Answer) -> float:
        """That the photo shows an own landmark, as log odds, beyond what it takes to name it."""
        spoken = answer.recognised and answer.guesses[0].landmark != self.landmarks[similar.number]
        several = len(self._examples[similar.number]) > 1
        return float(WEIGHTS[int(spoken)] @ similar.signs) - NEEDED[int(spoken)][int(several)]

    def fit(self, name: str) -> Fit:
        """How well one of the own landmarks is known, see `Fit`."""
        c = self._names.index(name)
        examples, names = self._examples[c], self._names_of[c]
        others = np.concatenate([np.delete(self._means, c, axis=0), self._space.means])
        their_names = [*(n for n in self._names if n != name), *self._known]
        similar = others @ self._means[c]
        limits = np.repeat([ALIKE, ALIKE_KNOWN], [len(self._means) - 1, len(self._known)])
        alike = [their_names[i] for i in np.flatnonzero(similar > limits) if their_names[i] != name]
        if len(examples) == 1:
            return Fit(None, (), tuple(alike))
        recognised, misfits = 0, []
        for i, place in enumerate(examples):
            rest = np.delete(examples, i, axis=0)
            middle = unit(rest.mean(axis=0))
            mean, common = float(middle @ place), float(self._commonness(middle[None])[0])
            similarity = (mean + float((rest @ place).max())) / 2
            own_rival = float((others[: len(self._means) - 1] @ place).max(initial=0.0))
            rivals = self._rivals(c, own_rival, self._space.means @ place, self._space.crowd @ place)
            signs = _signs(similarity, rivals, len(rest), 0.5, common)
            recognised += float(WEIGHTS[0] @ signs) >= NEEDED[0][int(len(rest) > 1)]
            if mean < MISFIT:
                misfits.append(names[i])
        return Fit(recognised, tuple(misfits), tuple(alike))


def _signs(
    similarity: float, rivals: tuple[float, ...], examples: int, known: float, common: float
) -> np.ndarray:
    """What speaks for an own landmark, ``(7,)``.

    The similarity, and what it is more than that of each rival; how few examples there are; the network's own
    log odds; and how common its looks are.
    """
    leads = (similarity - other for other in rivals)
    return np.array([similarity, *leads, 1 / examples, _log_odds(known), common], np.float32)


def called(examples: Sequence[Example]) -> list[str]:
    """Names of photos for people; with the folder where it is known and several have one name."""
    names = Counter(example.name for example in examples)
    return [
        "/".join(PurePath(one.path).parts[-2:]) if names[one.name] > 1 and one.path else one.name
        for one in examples
    ]


def some_of(names: Sequence[str]) -> str:
    """The first names for people, "A, B, C and 7 more"."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _log_odds(probability: float) -> float:
    """Of a probability that is kept within a millionth of 0 and 1."""
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))


def _merged(answer: Answer, own: list[Guess], threshold: float) -> Answer:
    """The answer with own guesses among the others.

    The best own one keeps its probability, and leaves the rest to the others; but as long as it is not to be
    named, a recognised landmark keeps its own, and is not silenced.
    """
    best, others = own[0], {guess.landmark: guess.probability for guess in own[1:]}
    stays = answer.recognised and best.probability < threshold
    for guess in answer.guesses:  # one that is built in as well counts once
        others[guess.landmark] = max(guess.probability, others.get(guess.landmark, 0.0))
    # the network may be surer of the same landmark
    others[best.landmark] = max(best.probability, others.get(best.landmark, 0.0))
    first = answer.guesses[0] if stays else Guess(best.landmark, others[best.landmark])
    del others[first.landmark]
    share = min(1.0, (1 - first.probability) / max(sum(others.values()), 1e-9))
    ranked = sorted(others.items(), key=lambda pair: -pair[1])[: GUESSES - 1]
    guesses = [first, *(Guess(landmark, share * probability) for landmark, probability in ranked)]
    guesses.sort(key=lambda guess: -guess.probability)
    return Answer.judged(guesses, guesses[0].probability, threshold, answer.features)
