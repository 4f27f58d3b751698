"""Groups of photos that show one place which nobody has named, for a person to name or to decline.

Photos are compared in the export's `Space`; when and where they were taken pulls them together or keeps them
apart. HDBSCAN (Campello, Moulavi and Sander, PAKDD 2013) finds what lies closer together than the rest. What
looks too little like any landmark is left out: food, trees and faces are alike as well.

All numbers were chosen on landmarks that a network was trained without (benchmarks/unnamed_places.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from src.inference.answers import Answering
from src.inference.report import PhotoReport
from src.inference.space import Space, unpacked
from src.landmarks.evidence import (
    EARTH_RADIUS_KM,
    TRUST,
    Taken,
    distance_between,
    minutes_between,
    same_place,
)
from src.library.catalog import Catalog
from src.library.decisions import Decision
from src.library.results import print_list
from src.library.takeout import LocalFiles, Takeout, add_takeout

MOST = 20_000  # photos that are compared: those that look most like landmarks
NEIGHBOURS = 24  # of each photo: the most similar ones
BLOCK = 512  # photos that are compared with all others at a time
BURST = 0.8  # cosine: photos that are so similar, and of one moment as far as is known, count once
BURST_MINUTES = 10.0
LEAST, CORE = 5, 4  # such views in a group, and neighbours that make a place dense
SMALLEST = 3  # photos that are offered
KNOWN = 0.01  # median of a group: how surely its photos show a landmark, by the model alone
COHESION = 0.2  # mean cosine of a group's photos
SINGLE = 0.6  # distance to neighbours in a place that is the only one
OUTLIER = 0.15  # mean cosine of a photo and the others of its group below which it is left out
NEAR = 0.1  # by how much photos of one minute or one spot come closer
FAR_KM = 3.0  # photos that were taken farther apart are never in one group
APART = 2.0  # the largest distance of two photos, 1 - cosine


@dataclass(frozen=True)
class Group:
    """Photos of one place that nobody has named, by path.

    Attributes:
        paths: of one file of each content.
        contents: their digests, as in `PhotoReport`.
        dates: from when to when they were taken, "2024-05-03 to 2024-05-05"; empty where none says.
    """

    paths: tuple[str, ...]
    contents: tuple[str, ...]
    dates: str

    @property
    def title(self) -> str:
        """How many photos there are, and from when."""
        return ", ".join(filter(None, (f"{len(self.paths)} photos", self.dates)))

    @property
    def examples(self) -> str:
        """Names of some of the files."""
        names = [Path(path).name for path in self.paths[:: max(1, len(self.paths) // 3)][:3]]
        return ", ".join(names)


def why_not(predictor: Answering, model: Path) -> str:
    """A sentence on why nothing can be suggested with this export; empty where it can."""
    if not find_spec("sklearn"):
        return "--suggest needs scikit-learn: pip install scikit-learn."
    if not predictor.space_id:
        return f"{model} cannot compare places that it does not know; export its run anew."
    return ""


def suggest(
    catalog: Catalog, predictor: Answering, model: str, threshold: float, kept: Mapping[str, Decision]
) -> list[Group]:
    """The groups among the photos of this run that show nothing known and that no person decided on.

    What was declined helps to tell what looks the same, which is not offered either. Of a very large library
    only some photos are compared, and a sentence is printed that says so.

    Args:
        catalog: with the records of this run.
        predictor: of which `why_not` says nothing.
        model: its name in the catalog.
        threshold: the smallest ``known`` that counts as recognised.
        kept: the catalog's decisions, by content.
    """
    declined = {content for content, decision in kept.items() if decision.made and not decision.name}
    nameless = {record.path for record in catalog.records() if not record.landmark and not record.error}
    landmarks = {landmark.class_name: landmark for landmark in predictor.landmarks}
    space = predictor.space()

    seen = set(kept) - declined
    decided = len(seen)

    def candidates() -> Iterator[PhotoReport]:
        takeout = Takeout(LocalFiles())
        for reports, _ in catalog.folders(model, landmarks, threshold):
            for report in add_takeout([one for one in reports if one.name in nameless], takeout):
                width = len(report.answer.features) if report.answer else 0
                if width == len(space.center) and report.digest not in seen:
                    seen.add(report.digest)
                    yield report

    likeliest = heapq.nlargest(MOST, candidates(), key=_known)
    if (count := len(seen) - decided) > MOST:
        print(f"\n{MOST:,} of {count:,} photos were compared: those that look most like landmarks.")
    return find_groups(likeliest, space, declined)


def print_groups(groups: Sequence[Group], page: Path | None) -> None:
    """Print the groups, and where to name them: on the page, or how to make one."""
    print_list("Unnamed places", [(group.title, group.examples) for group in groups])
    if not groups:
        print("\nNo photos look like a place that nobody has named.")
    elif page:
        print(f"Name them in {page}.")
    else:
        print("Name them, or say that they are none: --review makes a page for that.")


def find_groups(reports: Sequence[PhotoReport], space: Space, declined: Collection[str] = ()) -> list[Group]:
    """Groups of photos of one place, the largest first.

    Args:
        reports: each of another content, with answers that have features of `space`.
        space: of the export that gave them.
        declined: digests of photos that a person said to be of no place. Groups that are mostly of these are
            left out, and so are they from other groups.
    """
    if len(reports) <= LEAST:
        return []
    rows = [report.answer.features for report in reports if report.answer]
    places = space.whitened(unpacked(rows, len(space.center)))
    labels = _labels(*_pairs(places), reports)
    found = []
    for label in range(labels.max() + 1):
        together = _alike(np.flatnonzero(labels == label), places)
        for members in _split_by_position(together, reports):
            new = [reports[i] for i in members if reports[i].digest not in declined]
            if len(new) < max(SMALLEST, len(members) / 2) or not _is_place(members, places, reports):
                continue
            new.sort(key=lambda report: report.name)
            paths, contents = zip(*((report.name, report.digest) for report in new), strict=True)
            found.append(Group(paths, contents, _dates(new)))
    return sorted(found, key=lambda group: (-len(group.paths), group.paths))


def _pairs(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each photo with its neighbours: pairs of numbers, ``(2, P)``, and their cosines, ``(P,)``."""
    count, k = len(places), min(NEIGHBOURS, len(places) - 1)
    nearest, cosines = np.empty((count, k), np.int64), np.empty((count, k), np.float32)
    for begin in range(0, count, BLOCK):
        some = slice(begin, begin + BLOCK)
        similar = places[some] @ places.T
        similar[np.arange(len(similar)), np.arange(begin, begin + len(similar))] = -APART  # to itself
        nearest[some] = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        cosines[some] = np.take_along_axis(similar, nearest[some], axis=1)
    ends = np.stack([np.repeat(np.arange(count), k), nearest.ravel()])
    pairs, first = np.unique(np.sort(ends, axis=0), axis=1, return_index=True)
    return pairs, cosines.ravel()[first]


def _labels(pairs: np.ndarray, cosines: np.ndarray, reports: Sequence[PhotoReport]) -> np.ndarray:
    """A number of the cluster of each photo, ``(N,)``; -1 where it is in none."""
    from scipy.sparse import coo_array  # here, as all else goes without
    from scipy.sparse.csgraph import connected_components
    from sklearn.cluster import HDBSCAN

    distances, alike = 1 - cosines.astype(np.float64), cosines > BURST
    for number, (i, j) in enumerate(pairs.T.tolist()):
        a, b = reports[i].taken, reports[j].taken
        if (distance_between(a, b) or 0) > FAR_KM:
            distances[number], alike[number] = APART, False
            continue
        distances[number] -= NEAR * same_place(a, b) / TRUST
        if alike[number] and (minutes_between(a, b) or 0) > BURST_MINUTES:
            alike[number] = False

    alike = pairs[:, alike]
    graph = coo_array((np.ones(alike.shape[1]), tuple(alike)), shape=(len(reports), len(reports)))
    count, bursts = connected_components(graph, directed=False)
    if count <= LEAST:
        return np.full(len(reports), -1)

    # Bursts are as far apart as their nearest photos. All are linked to some first ones, too, as each needs
    # that many neighbours and none may stand alone.
    hub = np.stack([axis.ravel() for axis in np.mgrid[: CORE + 1, :count]])
    ends = np.sort(np.concatenate([bursts[pairs], hub], axis=1), axis=0)
    distances = np.concatenate([distances, np.full(hub.shape[1], APART)])
    order = np.argsort(distances, kind="stable")
    order = order[ends[0, order] != ends[1, order]]
    ends, first = np.unique(ends[:, order], axis=1, return_index=True)
    distances = np.maximum(distances[order][first], 1e-6)  # 0 would mean that there is no link
    both = np.concatenate([ends, ends[::-1]], axis=1)
    matrix = coo_array((np.tile(distances, 2), tuple(both)), shape=(count, count)).tocsr()
    labels = np.full(count, -1)
    for alone in (False, True):  # a single place in a library splits off from no other
        if labels.max() < 0:
            clusters = HDBSCAN(
                min_cluster_size=LEAST,
                min_samples=CORE,
                metric="precomputed",
                metric_params={"max_distance": APART},
                # leaves are places, and not what is wider: all towers
                cluster_selection_method="eom" if alone else "leaf",
                cluster_selection_epsilon=SINGLE if alone else 0.0,
                allow_single_cluster=alone,
                copy=True,
            )
            labels = clusters.fit_predict(matrix)
    return labels[bursts]


def _alike(members: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The members without those that HDBSCAN takes in though they look unlike the others."""
    cosines = (places[members] @ places[members].sum(axis=0) - 1) / max(1, len(members) - 1)
    return members[cosines >= OUTLIER]


def _split_by_position(members: np.ndarray, reports: Sequence[PhotoReport]) -> Iterable[np.ndarray]:
    """The members without any two that were taken too far apart; what has no position stays with the most."""
    from scipy.cluster.hierarchy import fcluster, linkage

    placed = np.array([i for i in members if reports[i].taken.latitude is not None])
    spots, spot = np.unique(_on_sphere([reports[i].taken for i in placed]), axis=0, return_inverse=True)
    if len(spots) < 2:
        return [members]
    limit = 2 * np.sin(FAR_KM / EARTH_RADIUS_KM / 2)  # as straight lines through the earth
    parts = fcluster(linkage(spots, "complete"), limit, "distance")[spot]
    most = np.bincount(parts).argmax()
    rest = np.setdiff1d(members, placed)
    return [
        np.concatenate([placed[parts == part], rest]) if part == most else placed[parts == part]
        for part in np.unique(parts)
    ]


def _on_sphere(taken: Sequence[Taken]) -> np.ndarray:
    """Points on a sphere of radius 1, ``(N, 3)``, of positions rounded to some 100 m: few where many are."""
    degrees = np.array([(one.latitude, one.longitude) for one in taken], float).reshape(-1, 2)
    latitude, longitude = np.radians(degrees.round(3)).T
    level = np.cos(latitude)
    return np.stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)], axis=1)


def _is_place(members: np.ndarray, places: np.ndarray, reports: Sequence[PhotoReport]) -> bool:
    """Whether they look alike, and like what landmarks look like."""
    count, total = len(members), places[members].sum(axis=0)
    cohesion = (float(total @ total) - count) / (count * (count - 1)) if count > 1 else 0.0
    return cohesion >= COHESION and float(np.median([_known(reports[i]) for i in members])) >= KNOWN


def _known(report: PhotoReport) -> float:
    return report.answer.known if report.answer else 0.0


def _dates(reports: Iterable[PhotoReport]) -> str:
    days = sorted(report.taken.time.date().isoformat() for report in reports if report.taken.time)
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else ""
