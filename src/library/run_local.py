"""The tagger's work on this machine: threads read the photos and ask the network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from src.inference.answers import Answering
from src.library.catalog import Catalog
from src.library.scan import Photo, ahead, progress, read_or_error


def answer_all(catalog: Catalog, predictor: Answering, model: str, workers: int | None, many: bool) -> None:
    """Ask the model about every photo that it has not answered for; each answer is safe from a kill at once.

    The threads that read photos also ask, so that no core waits while there is either to do.

    Args:
        catalog: knows the photos, and gets the answers.
        predictor: the model.
        model: its name in the catalog.
        workers: how many threads; if None, one more than there are cores, as some always wait, up to 5.
        many: whether it pays to build the faster network.
    """
    workers = workers or min(4, os.cpu_count() or 1) + 1
    if many:
        from src.inference.openvino import fastest  # here, as it brings torch

        predictor = fastest(predictor, workers)
    pool = ThreadPoolExecutor(workers)
    try:
        paths = catalog.unanswered(model)
        reading = ((path, pool.submit(read_or_error, path, predictor.short_side)) for path in paths)
        photos = progress(ahead(reading, 2 * workers), catalog.count_unanswered(model))
        for (path, photo), answers in ahead(_ask(catalog, predictor, model, pool, photos), workers):
            with catalog.transaction():
                if answers:
                    guesses = [(guess.landmark.class_name, guess.probability) for guess in answers[0].guesses]
                    catalog.save_answer(photo, model, answers[0].known, guesses)
                catalog.save_read(path, photo.hash)
    finally:
        pool.shutdown(cancel_futures=True)


def _ask(
    catalog: Catalog,
    predictor: Answering,
    model: str,
    pool: ThreadPoolExecutor,
    photos: Iterable[tuple[str, Photo | str]],
) -> Iterator[tuple[tuple[str, Photo], Future]]:
    """The question for each photo that could be read; none for what was moved, or is there twice."""
    for path, photo in photos:
        if isinstance(photo, str):
            catalog.save_read(path, None, photo)
        else:
            wanted = [] if catalog.has_answer(photo.hash, model) else [photo.picture]
            yield (path, photo), pool.submit(predictor.predict, wanted)
