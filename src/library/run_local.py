"""The tagger's work on this machine: threads read the photos and ask the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from src.inference.answers import Answering
from src.inference.report import PhotoReport
from src.library.catalog import Catalog
from src.library.read_ahead import THREADS, ahead, answer_or_error, answer_row, finding, report_or_error
from src.progress import Tally


def answer_all(
    catalog: Catalog, predictor: Answering, model: str, workers: int | None, threshold: float
) -> None:
    """Ask the model about every photo that it has not answered for; each answer is safe from a kill at once.

    The threads that read photos also ask, so that no core waits while there is either to do.

    Args:
        catalog: knows the photos, and gets the answers.
        predictor: the model.
        model: its name in the catalog.
        workers: how many threads; if None, one more than there are cores, as some always wait, up to 5.
        threshold: the smallest ``known`` that is counted as a landmark meanwhile.
    """
    workers = workers or THREADS
    pool = ThreadPoolExecutor(workers)
    try:
        paths = catalog.unanswered(model)
        reading = ((path, pool.submit(report_or_error, path, predictor.short_side)) for path in paths)
        jobs = _answering(catalog, predictor, model, pool, ahead(reading, 2 * workers))
        with Tally(catalog.count_unanswered(model)) as tally:
            for path, report in ahead(jobs, workers):
                result = report if isinstance(report, str) else answer_row(report)
                catalog.save(path, model, result)
                tally.add(finding(result, threshold))
    finally:
        pool.shutdown(cancel_futures=True)


def _answering(
    catalog: Catalog,
    predictor: Answering,
    model: str,
    pool: ThreadPoolExecutor,
    reports: Iterable[tuple[str, PhotoReport | str]],
) -> Iterator[tuple[str, Future]]:
    """A job for each photo; nothing is to do for what cannot be read, was moved, or is there twice."""
    for path, report in reports:
        if isinstance(report, str) or catalog.has_answer(report.digest, model):
            done: Future = Future()
            done.set_result(report)
            yield path, done
        else:
            yield path, pool.submit(answer_or_error, report, predictor)
