"""What a run found: a record for each photo, and the summary that is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from src.files import printable
from src.inference.answers import Answering
from src.inference.own import Own
from src.inference.report import answers_of, final_answers
from src.landmarks.tags import Language, Tags, model_name, tags_for
from src.library.catalog import Catalog
from src.library.records import Record, record_of
from src.library.sidecar_spots import add_sidecar_spots
from src.library.takeout import Files, LocalFiles, Takeout, add_takeout

LINES = 20  # of each list of the summary


def make_records(
    catalog: Catalog,
    predictor: Answering,
    model: str,
    threshold: float,
    together: bool,
    language: Language,
    files: Files | None,
    own: Own | None,
) -> Iterator[tuple[Record, Tags | None, str]]:
    """A record for each photo, with its tags and the digest of its content.

    Args:
        catalog: with an answer or an error for each photo.
        predictor: what the answers came from.
        model: its name in the catalog.
        threshold: the smallest ``known`` that counts as recognised.
        together: whether photos of one folder are evidence for each other, and those that surely show an
            own landmark for all others; what a person decided on is no such evidence.
        language: of the landmark's name in tags, see `tags_for`.
        files: where the photos are, if not in folders of this machine.
        own: the person's own landmarks, if any; they need a catalog with `Catalog.features`.
    """
    name = model_name(predictor.info)
    landmarks = {landmark.class_name: landmark for landmark in predictor.landmarks}
    takeout = Takeout(files or LocalFiles())
    if own and together:
        decided, folders = catalog.decisions(), catalog.folders(model, landmarks, threshold)
        free = ([report for report in reports if report.digest not in decided] for reports, _ in folders)
        own = own.adapted(answers_of(reports) for reports in free)
    for reports, errors in catalog.folders(model, landmarks, threshold):
        if files is None:
            reports = add_sidecar_spots(reports)
        reports = add_takeout(reports, takeout)
        answers = final_answers(reports, threshold, len(landmarks), together=together, own=own)
        for report, revised in zip(reports, answers, strict=True):
            tags = tags_for(revised.answer, name, language)
            yield record_of(report.name, revised, tags), tags, report.digest
        for path, error in errors:
            yield Record(path, error=error), None, ""


def summarise(catalog: Catalog, passed_over: Counter) -> int:
    """Print what was found, and return the exit status."""
    recognised, total = sum(count for _, count in catalog.counts("landmark")), catalog.count_records()
    errors = [(record.path, record.error) for record in catalog.records() if record.error]
    rest = total - recognised - len(errors)
    print(f"{total:,} photos: {recognised:,} with a landmark, {rest:,} without, {len(errors):,} unreadable.")
    for heading, column in (("Landmarks", "landmark"), ("Countries", "country")):
        print_list(heading, [(name or "unknown", f"{count:,}") for name, count in catalog.counts(column)])
    print_list("Unreadable", errors)
    if passed_over:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in passed_over.most_common(8))
        print(f"\nPassed over, as they are no photos by their names: {kinds}.")
    return 1 if errors else 0


def print_list(heading: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print a heading and the first lines of a list, without characters that could steer a terminal."""
    if lines:
        print(f"\n{heading}")
    for name, what in lines[:LINES]:
        print(f"  {printable(name)}: {what}")
    if len(lines) > LINES:
        print(f"  and {len(lines) - LINES:,} more")
