"""Evidence beside the picture: where the camera stood, and what was photographed minutes or metres away.

A photo's own position rules out what cannot be seen from there and supports what is near. Then the answers
of its neighbours in time and place update its own (Bayes' rule). Both only re-rank what the model itself
considered: they raise or lower a guess, never bring in a new one. What a position or a single neighbour can
do is bounded, whatever the number of landmarks, so that a wrong one does not drag the others along, and
copies of one file count once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from statistics import median
from typing import Any

from src.landmarks.answer import Answer
from src.landmarks.table import Landmark

EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG
MINUTES = 10.0  # after so long a neighbour counts 1/e of what it counts at once
KILOMETRES = 0.3  # and at such a distance between the cameras
REACH_KM = 1.5  # landmarks this near can be photographed on one walk
SIGHT_KM = 30.0  # beyond its extent, nothing is photographed from farther away than this
# Of likelihoods, for a landmark within sight of the camera. With the transfer export, had the 2,141 test
# photos said where they were taken, 91.5 instead of 89.2 % would be answered (99.2 instead of 98.7 % of
# these rightly); of 345 photos of no landmark at all 1, as without, had each been taken at the very landmark
# that it looks most like. 10 would make that 92.9 % and 4.
NEAR_RATIO = 3.0
TRUST = 0.1  # probability that the nearest neighbour shows the same place; chosen on validation pictures
LARGEST_RATIO = 50.0  # of likelihoods, as TRUST was chosen with 50 landmarks: more of them prove no more
NEIGHBOURS = 4  # nearest ones that count: more of them would be one observation counted many times
WINDOW = 8  # photos before and after in time, and in latitude, among which these are searched


@dataclass(frozen=True)
class Taken:
    """When and where a photo was taken, as far as its file says.

    Attributes:
        time: with a zone where the instant is known; else what the camera's clock said.
        latitude, longitude: degrees, WGS84.
        camera: whose clock it is (make, model, serial number); empty where that is not said.
    """

    time: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera: str = ""

    @property
    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude; None where they are unknown."""
        return None if self.latitude is None or self.longitude is None else (self.latitude, self.longitude)


@dataclass(frozen=True)
class Revised:
    """A photo's final answer, and what the model says of its picture alone.

    Attributes:
        answer: after all evidence.
        alone: the model's own.
        neighbours: how many other photos counted.
        too_far_km: from the camera to the landmark that the picture alone looks most like, where that is too
            far to be seen; else None.
    """

    answer: Answer
    alone: Answer
    neighbours: int = 0
    too_far_km: float | None = None

    @property
    def change(self) -> float:
        """By how much ``known`` rose (or fell, below zero)."""
        return self.answer.known - self.alone.known


def revise(
    answers: Sequence[Answer],
    taken: Sequence[Taken],
    digests: Sequence[str],
    threshold: float,
    classes: int,
    *,
    together: bool = True,
    shots: Sequence[str] | None = None,
) -> list[Revised]:
    """Update the answers of photos by their own positions and by their neighbours in time and place.

    Neighbours count with what is known of each alone, so the order of photos does not matter.

    Args:
        answers: what the model says of each photo alone.
        taken: when and where each was taken, in the same order.
        digests: hash of each file's content: copies of one file are one observation.
        threshold: the smallest ``known`` at which an answer is given.
        classes: how many landmarks the model knows.
        together: whether neighbours count.
        shots: what files of one shot have in common, as an edited copy and its original: they are no
            neighbours of each other, and count once; if None, it is their content.
    """
    shots = shots or digests
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    placed = {i: at_position(answers[i], taken[i], threshold) for i in first.values()}
    nearby = _Nearby({i: taken[i] for i in first.values()} if together else {})
    updated = {}
    for digest, i in first.items():
        weights = ((same_place(taken[i], taken[j]), j) for j in nearby.to(i))
        nearest: dict[str, tuple[float, Answer]] = {}
        for weight, j in sorted((pair for pair in weights if pair[0] > 0.01), reverse=True):
            if shots[j] != shots[i]:
                nearest.setdefault(shots[j], (weight, placed[j]))
        neighbours = list(nearest.values())[:NEIGHBOURS]
        answer = _posterior(placed[i], neighbours, threshold, classes) if neighbours else placed[i]
        best = answers[i].guesses[0].landmark
        far = distance_between(taken[i], best) if out_of_sight(taken[i], best) else None
        updated[digest] = Revised(answer, answers[i], len(neighbours), far)
    return [updated[digest] for digest in digests]


def out_of_sight(taken: Taken, landmark: Landmark) -> bool:
    """Whether a camera stood too far from a landmark to see it; False where a position is unknown."""
    kilometres = distance_between(taken, landmark)
    return kilometres is not None and kilometres > (landmark.extent_km or 0) / 2 + SIGHT_KM


def at_position(answer: Answer, taken: Taken, threshold: float) -> Answer:
    """The answer in the light of where the camera stood.

    What is out of sight gets probability 0, and what it had goes to "no landmark that is known" instead of
    the other guesses: a look-alike of one landmark is no evidence for another. Landmarks in sight gain.
    """
    weights = []
    for guess in answer.guesses:
        near = distance_between(taken, guess.landmark) is not None
        weights.append(0.0 if out_of_sight(taken, guess.landmark) else NEAR_RATIO if near else 1.0)
    if set(weights) <= {1.0}:
        return answer
    supported = [guess.probability * weight for guess, weight in zip(answer.guesses, weights, strict=True)]
    likely = sum(guess.probability for guess, weight in zip(answer.guesses, weights, strict=True) if weight)
    return _reweighed(answer, supported, max(0.0, 1 - likely), threshold)


class _Nearby:
    """For each photo those next to it in time or latitude: all pairs of a library would be too many."""

    def __init__(self, taken: dict[int, Taken]):
        values: dict[str, dict[int, Any]] = defaultdict(dict)
        for i, one in taken.items():
            if one.time is not None:
                values[f"clock of {one.camera}"][i] = one.time.replace(tzinfo=None)
                if one.time.tzinfo is not None:
                    values["instant"][i] = one.time
            if one.latitude is not None:
                values["latitude"][i] = one.latitude
        self._places: dict[int, list[tuple[list[int], int]]] = defaultdict(list)
        for by_photo in values.values():
            order = sorted(by_photo, key=by_photo.__getitem__)
            for position, i in enumerate(order):
                self._places[i].append((order, position))

    def to(self, i: int) -> set[int]:
        """Up to `WINDOW` photos on both sides of a photo in each order that it is in."""
        found: set[int] = set()
        for order, position in self._places.get(i, ()):
            found.update(order[max(0, position - WINDOW) : position + WINDOW + 1])
        return found - {i}


def minutes_between(a: Taken, b: Taken) -> float | None:
    """Minutes between two photos, where their clocks can be compared.

    That is between instants, or on one camera's clock; cameras that are not named count as one.
    """
    if a.time is None or b.time is None:
        return None
    if a.time.tzinfo is None or b.time.tzinfo is None:
        if a.camera != b.camera:
            return None
        return abs(a.time.replace(tzinfo=None) - b.time.replace(tzinfo=None)) / timedelta(minutes=1)
    return abs(a.time - b.time) / timedelta(minutes=1)


def same_place(a: Taken, b: Taken) -> float:
    """Probability that two photos show one place, in [0, `TRUST`]; positions count more than clocks."""
    kilometres = distance_between(a, b)
    if kilometres is not None:
        return TRUST * math.exp(-kilometres / KILOMETRES)
    minutes = minutes_between(a, b)
    return 0.0 if minutes is None else TRUST * math.exp(-minutes / MINUTES)


def distance_between(a: Taken | Landmark, b: Taken | Landmark) -> float | None:
    """Kilometres between two cameras, landmarks, or one of each; None where a position is unknown."""
    here, there = a.position, b.position
    return distance_km(*here, *there) if here and there else None


def middle_of(taken: Iterable[Taken]) -> tuple[float, float] | None:
    """Latitude and longitude in the middle of where photos were taken; None where none says where that was.

    That is the median of each degree, which a few wrong ones do not move; longitudes may lie on both sides
    of 180°.
    """
    placed = [one.position for one in taken if one.position]
    if not placed:
        return None
    first = placed[0][1]  # around it, as 179° east is near 179° west
    turned = median((longitude - first + 180) % 360 - 180 for _, longitude in placed)
    return median(latitude for latitude, _ in placed), (first + turned + 180) % 360 - 180


def is_on_earth(latitude: float | None, longitude: float | None) -> bool:
    """Whether these are degrees of a place; 0, 0 is none, as of cameras that found no satellite."""
    if latitude is None or longitude is None or latitude == longitude == 0:
        return False
    return abs(latitude) <= 90 and abs(longitude) <= 180  # False for NaN, too


def distance_km(latitude1: float, longitude1: float, latitude2: float, longitude2: float) -> float:
    """Great-circle distance in kilometres between two points in degrees (haversine formula)."""
    phi1, phi2 = math.radians(latitude1), math.radians(latitude2)
    half = math.sin((phi2 - phi1) / 2) ** 2
    half += math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(longitude2 - longitude1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))


def _posterior(
    answer: Answer, neighbours: list[tuple[float, Answer]], threshold: float, classes: int
) -> Answer:
    """The answer with each guess multiplied by the likelihood ratio of every neighbour, normalised."""
    weights = []
    for guess in answer.guesses:
        weight = guess.probability
        for same, neighbour in neighbours:
            weight *= 1 - same + same * _likelihood_ratio(guess.landmark, neighbour, classes)
        weights.append(weight)
    nothing = max(0.0, 1 - sum(guess.probability for guess in answer.guesses))
    return _reweighed(answer, weights, nothing, threshold)


def _reweighed(answer: Answer, weights: list[float], nothing: float, threshold: float) -> Answer:
    """The answer with new weights of its guesses and of what is not among them, as probabilities."""
    total = sum(weights) + nothing
    guesses = [
        replace(guess, probability=weight / total)
        for guess, weight in zip(answer.guesses, weights, strict=True)
    ]
    guesses.sort(key=lambda guess: -guess.probability)
    return Answer.judged(guesses, guesses[0].probability, threshold)


def _likelihood_ratio(landmark: Landmark, neighbour: Answer, classes: int) -> float:
    """How much likelier the neighbour is on a walk at this landmark than anywhere; 1 says nothing."""
    near = sum(guess.probability for guess in neighbour.guesses if _on_one_walk(landmark, guess.landmark))
    nothing = max(0.0, 1 - sum(guess.probability for guess in neighbour.guesses))
    return near * min(classes, LARGEST_RATIO) + nothing


@lru_cache(maxsize=100_000)
def _on_one_walk(a: Landmark, b: Landmark) -> bool:
    if a.class_name == b.class_name:
        return True
    kilometres = distance_between(a, b)
    radii = ((a.extent_km or 0) + (b.extent_km or 0)) / 2
    return kilometres is not None and kilometres <= REACH_KM + radii
