"""Photos of a library read ahead of time, each to its report or to a sentence on why there is none."""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from src.inference.answers import Answering
from src.inference.report import PhotoReport, answer_report, failure, read_report
from src.photos.files import read_photo_file

logger = logging.getLogger(__name__)

THREADS = min(4, os.cpu_count() or 1) + 1  # as some always wait for the disk
THUMBNAIL_SIDE = 240  # pixels, at most, of the longer side

K = TypeVar("K")
T = TypeVar("T")


def ahead(jobs: Iterable[tuple[K, Future[T]]], count: int) -> Iterator[tuple[K, T]]:
    """Each job's name and result in their order, while up to `count` more are under way."""
    waiting: deque[tuple[K, Future[T]]] = deque()
    for job in jobs:
        waiting.append(job)
        if len(waiting) > count:
            name, future = waiting.popleft()
            yield name, future.result()
    for name, future in waiting:
        yield name, future.result()


def in_threads(do: Callable[[K], T], things: Iterable[K]) -> Iterator[tuple[K, T]]:
    """Each thing and what `do` gives for it, in their order; what is not begun at the end is given up."""
    pool = ThreadPoolExecutor(THREADS)
    try:
        yield from ahead(((thing, pool.submit(do, thing)) for thing in things), 2 * THREADS)
    finally:
        pool.shutdown(cancel_futures=True)


def report_or_error(
    path: str, short_side: int, read: Callable[[str], bytes] = read_photo_file
) -> PhotoReport | str:
    """The report of a photo without an answer, or a sentence on what is wrong with the file.

    Args:
        path: the file.
        short_side: pixels to which the picture may be shrunk.
        read: gives the whole file.
    """
    try:
        report = read_report(read(path), path, short_side=short_side, thumbnail_side=THUMBNAIL_SIDE)
        if report.note:
            logger.warning("%s", report.note)
        return report
    except Exception as error:  # one photo must never end a run of a million
        return failure(path, error)


def answer_or_error(report: PhotoReport, predictor: Answering) -> PhotoReport | str:
    """The report with the model's answer, or a sentence on why there is none."""
    try:
        return answer_report(report, predictor)
    except Exception as error:  # as above
        return failure(report.name, error)


def answer_row(report: PhotoReport) -> dict:
    """What is kept of a report, in plain values; ``known`` is None where the model was not asked."""
    answer, taken = report.answer, report.taken
    return {
        "hash": report.digest,
        "known": answer and answer.known,
        "guesses": answer and json.dumps([(g.landmark.class_name, g.probability) for g in answer.guesses]),
        "taken": taken.time and taken.time.isoformat(),
        "latitude": taken.latitude,
        "longitude": taken.longitude,
        "camera": taken.camera,
        "thumbnail": report.thumbnail,
        "features": answer and answer.features,
    }


def finding(result: Mapping | str, threshold: float) -> str:
    """What is said of a photo while others are under way: an answer's row, or a sentence on why none is."""
    if isinstance(result, str):
        return "unreadable"
    return "with a landmark" if (result["known"] or 0) >= threshold else ""
