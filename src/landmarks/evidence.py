"""Photos of one outing help each other: what was taken minutes or metres apart shows one place.

Each photo's answer is weighed once more by those of its neighbours (Bayes' rule). It only re-ranks what
the network itself considered: a neighbour can raise or lower a guess, never bring in a new one. What a
single neighbour can do is bounded, so that a wrong one does not drag the others along.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from src.landmarks.answer import Answer
from src.landmarks.table import Landmark

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
MINUTES = 10.0  # after so long a neighbour counts 1/e of what it counts at once
KILOMETRES = 0.3  # and at such a distance between the cameras
REACH_KM = 1.5  # landmarks this near can be photographed on one walk
TRUST = 0.1  # how far the nearest neighbour is believed; chosen on validation pictures
NEIGHBOURS = 4  # nearest ones that are asked: more of them would be one witness heard many times
WINDOW = 8  # photos before and after in time, and in latitude, among which these are looked for


@dataclass(frozen=True)
class Taken:
    """When and where a photo was taken, as far as its file says."""

    time: datetime | None = None  # the camera's clock, without a zone
    latitude: float | None = None  # degrees, WGS84
    longitude: float | None = None


@dataclass(frozen=True)
class Revised:
    """An answer after its neighbours were heard, and what it was before."""

    answer: Answer
    before: Answer
    neighbours: int

    @property
    def change(self) -> float:
        """By how much ``known`` rose (or fell, below zero)."""
        return self.answer.known - self.before.known


def revise(
    answers: Sequence[Answer], moments: Sequence[Taken], threshold: float, classes: int
) -> list[Revised]:
    """Weigh the answers of photos by those of their neighbours in time and place.

    Args:
        answers: one for each photo.
        moments: when and where each was taken, in the same order.
        threshold: the smallest ``known`` at which an answer is given.
        classes: how many landmarks the network knows.

    All photos are heard as they were before, so their order does not matter.
    """
    revised, candidates = [], _candidates(moments)
    for i, answer in enumerate(answers):
        nearness = [(trust(moments[i], moments[j]), j) for j in candidates[i]]
        heard = sorted((pair for pair in nearness if pair[0] > 0.01), reverse=True)[:NEIGHBOURS]
        voices = [(believed, answers[j]) for believed, j in heard]
        after = _weigh(answer, voices, threshold, classes) if voices else answer
        revised.append(Revised(after, answer, len(heard)))
    return revised


def _candidates(moments: Sequence[Taken]) -> list[set[int]]:
    """For each photo those next to it in time or latitude: all pairs of a library would be too many."""
    found: list[set[int]] = [set() for _ in moments]
    timed = sorted((i for i, m in enumerate(moments) if m.time), key=lambda i: moments[i].time)
    placed = (i for i, m in enumerate(moments) if m.latitude is not None)
    for order in (timed, sorted(placed, key=lambda i: moments[i].latitude)):
        for position, i in enumerate(order):
            found[i].update(order[max(0, position - WINDOW) : position + WINDOW + 1])
    return [others - {i} for i, others in enumerate(found)]


def trust(a: Taken, b: Taken) -> float:
    """How far two photos are believed to show one place, in [0, `TRUST`]; places count more than clocks."""
    if None not in (a.latitude, b.latitude):
        return TRUST * math.exp(-distance_km(a.latitude, a.longitude, b.latitude, b.longitude) / KILOMETRES)
    if None not in (a.time, b.time):
        return TRUST * math.exp(-abs((a.time - b.time).total_seconds()) / 60 / MINUTES)
    return 0.0


def distance_km(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """Great-circle distance in kilometres between two points in degrees (haversine formula)."""
    phi1, phi2 = math.radians(latitude1), math.radians(latitude2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(longitude2 - longitude1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def _weigh(answer: Answer, heard: list[tuple[float, Answer]], threshold: float, classes: int) -> Answer:
    weights = []
    for guess in answer.guesses:
        weight = guess.probability
        for believed, neighbour in heard:
            weight *= 1 - believed + believed * _ratio(guess.landmark, neighbour, classes)
        weights.append(weight)
    nothing = max(0.0, 1 - sum(guess.probability for guess in answer.guesses))
    total = sum(weights) + nothing
    guesses = [
        replace(guess, probability=weight / total)
        for guess, weight in zip(answer.guesses, weights, strict=True)
    ]
    guesses.sort(key=lambda guess: -guess.probability)
    known = guesses[0].probability
    return Answer(tuple(guesses), known, known >= threshold)


def _ratio(landmark: Landmark, neighbour: Answer, classes: int) -> float:
    """How much likelier the neighbour is on a walk at this landmark than anywhere; 1 says nothing."""
    near = sum(guess.probability for guess in neighbour.guesses if _on_one_walk(landmark, guess.landmark))
    nothing = max(0.0, 1 - sum(guess.probability for guess in neighbour.guesses))
    return near * classes + nothing


@lru_cache(maxsize=100_000)
def _on_one_walk(a: Landmark, b: Landmark) -> bool:
    if a.class_name == b.class_name:
        return True
    if None in (a.latitude, b.latitude):
        return False
    radii = ((a.extent_km or 0) + (b.extent_km or 0)) / 2
    return distance_km(a.latitude, a.longitude, b.latitude, b.longitude) <= REACH_KM + radii
