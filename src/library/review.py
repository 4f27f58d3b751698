"""What the tagger found, to be looked through by a person before anything is written.

A page in HTML shows it: thumbnails by landmark and a map, complete in itself and without a script. A table in
CSV takes the decisions: tags are written where its column `approve` says yes.
"""

import base64
import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from html import escape
from itertools import groupby, islice
from pathlib import Path

from src.files import printable, replacing
from src.landmarks.worldmap import Place, world_map
from src.library.records import Record, guarded, unguarded

PAGE = 500  # photos: some 3 MB of thumbnails
COLUMNS = ("approve", "landmark", "probability", "probability_alone", "country", "path")
_YES, _NO = ("yes", "y", "true", "1", "x"), ("no", "n", "false", "0", "")

_HEAD = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 80em; padding: 0 1em; }}
  svg {{ background: #d6e7ec; border-radius: 12px; width: 100%; }}
  .lt-land {{ fill: #f6f3ea; stroke: #a8bcc2; stroke-width: 10; }}
  .lt-borders {{ fill: none; stroke: #ddd6c6; stroke-width: 10; }}
  svg circle {{ fill: #c2410ccc; }}
  section {{ content-visibility: auto; contain-intrinsic-size: auto 20em; }}
  section div {{ display: flex; flex-wrap: wrap; gap: 1em; }}
  figure {{ margin: 0; width: 160px; font-size: 13px; overflow-wrap: anywhere; }}
  img {{ background: #eee; display: block; height: 120px; object-fit: contain; width: 160px; }}
</style>
<h1>{title}</h1>
"""


class ReviewError(ValueError):
    """The table of decisions cannot be used; the message is one sentence that says what to do."""


def write_table(path: Path, records: Iterable[Record], decided: Mapping[str, tuple[str, bool]]) -> None:
    """Write the table of decisions: a row for each recognised photo, approved unless `decided` otherwise.

    A decision holds as long as the photo is given the same landmark. Raises OSError.
    """
    with (
        replacing(path) as part,
        # The mark at its start tells spreadsheets that this is UTF-8.
        open(part, "w", encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for record in records:
            if record.landmark:
                landmark, approved = decided.get(record.path, (record.landmark, True))
                approve = "no" if landmark == record.landmark and not approved else "yes"
                cells = [approve, *(getattr(record, column) for column in COLUMNS[1:])]
                rows.writerow(guarded(cell) if isinstance(cell, str) else cell for cell in cells)


def read_table(path: Path) -> dict[str, tuple[str, bool]]:
    """The decisions by path: of which landmark, and whether it is approved.

    Commas, semicolons and tabs between the cells are understood, as spreadsheets save one or another.

    Raises:
        ReviewError: a column is missing, or a decision is neither yes nor no.
        OSError: the file cannot be read.
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        head = file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=max(",;\t", key=head.count))
        try:
            if not {"approve", "landmark", "path"} <= set(rows.fieldnames or ()):
                raise ReviewError(f"{path} lacks one of its columns; make it anew with --review.")
            return {
                unguarded(row["path"] or ""): _decision(row, f"{path}, line {rows.line_num}") for row in rows
            }
        except csv.Error as error:
            raise ReviewError(
                f"{path}, line {rows.line_num}: {error}; make it anew with --review."
            ) from error


def _decision(row: Mapping[str, str | None], where: str) -> tuple[str, bool]:
    approve = (row["approve"] or "").strip().lower()
    if approve not in _YES + _NO:
        raise ReviewError(f"{where}: approve is {printable(approve)!r}; write yes or no.")
    return unguarded(row["landmark"] or ""), approve in _YES


def write_pages(
    path: Path, title: str, shown: Iterable[tuple[Record, bytes | None]], places: Iterable[Place], total: int
) -> None:
    """Write the page and, for more than 500 photos, further ones beside it (tags.review-2.html).

    Args:
        path: of the first page.
        title: its heading.
        shown: records with thumbnails (JPEG) in the order to show them.
        places: what the map shows.
        total: how many records there are.

    Raises OSError.
    """
    shown, count = iter(shown), max(1, -(-total // PAGE))
    for number in range(1, count + 1):
        with replacing(_page(path, number)) as part, open(part, "w", encoding="utf-8") as file:
            file.write(_HEAD.format(title=escape(title)))
            file.write(_links(path, number, count))
            file.write(world_map(map(_readable, places)) if number == 1 else "")
            file.writelines(_sections(islice(shown, PAGE)))
            file.write(_links(path, number, count))
    while (old := _page(path, count := count + 1)).exists():  # of a library that was larger
        old.unlink()


def _readable(place: Place) -> Place:
    return replace(place, landmark=printable(place.landmark))


def _sections(shown: Iterable[tuple[Record, bytes | None]]) -> Iterator[str]:
    for heading, group in groupby(shown, key=lambda entry: _heading(entry[0])):
        yield f"<section><h2>{_text(heading)}</h2><div>\n"
        for record, thumbnail in group:
            yield _figure(record, thumbnail)
        yield "</div></section>\n"


def _heading(record: Record) -> str:
    if record.error:
        return "Could not be read"
    place = ", ".join(part for part in (record.landmark, record.country) if part)
    return place or "No landmark that is known"


def _figure(record: Record, thumbnail: bytes | None) -> str:
    code = base64.b64encode(thumbnail).decode() if thumbnail else ""
    image = f'<img loading="lazy" src="data:image/jpeg;base64,{code}" alt="">' if thumbnail else ""
    # The link leads to the photo itself; as_uri escapes all but plain letters, digits and a few marks.
    return (
        f'<figure><a href="{escape(Path(record.path).as_uri())}">{image}{_text(Path(record.path).name)}</a>'
        f"<figcaption>{_text(record.error or _certainty(record))}</figcaption></figure>\n"
    )


def _certainty(record: Record) -> str:
    """The probability, and what it is without the other photos where that makes a difference."""
    probability, alone = record.probability or 0.0, record.probability_alone or 0.0
    other = record.landmark_alone != record.landmark
    if not other and abs(probability - alone) < 0.005:
        return f"{probability:.0%}"
    name = f"{record.landmark_alone or 'none'} " if other else ""
    return f"{probability:.0%} (alone: {name}{alone:.0%})"


def _text(text: str) -> str:
    return escape(printable(text))


def _page(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_stem(f"{path.stem}-{number}")


def _links(path: Path, number: int, count: int) -> str:
    if count == 1:
        return ""
    pages = range(1, count + 1)
    names = (escape(_page(path, page).name) for page in pages)
    links = (f'<a href="./{name}">{page}</a>' for page, name in zip(pages, names, strict=True))
    return f"<nav>Page {number} of {count}: {' '.join(links)}</nav>\n"
