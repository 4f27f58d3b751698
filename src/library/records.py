"""What is said of one photo, and files of that: CSV, JSON, GeoJSON and Parquet.

Records are written one by one as they come, to a file beside the final one that takes its place when it is
whole, so a library of any size fits and a kill leaves the former file.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from src.files import replacing

if TYPE_CHECKING:
    from src.landmarks.evidence import Revised
    from src.landmarks.table import Landmark
    from src.landmarks.tags import Tags

ROW_GROUP = 10_000  # records of a Parquet file that are held at a time
_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")


@dataclass(frozen=True)
class Record:
    """One photo; what could not be read has an `error` and nothing else.

    Attributes:
        path: absolute.
        landmark: its name, empty where none is recognised.
        probability: in [0, 1], calibrated: that the photo shows `landmark`, or if that is empty, that it
            shows what comes closest; 1 where a person said what it shows.
        landmark_alone, probability_alone: what they are without the other photos of the folder.
        city, country: empty where unknown.
        latitude, longitude: of the landmark, in degrees, WGS84.
        extent_km: diameter of what it covers or is photographed from.
        tags: keywords.
        error: one sentence: why the photo could not be read, and what to do.
    """

    path: str
    landmark: str = ""
    probability: float | None = None
    landmark_alone: str = ""
    probability_alone: float | None = None
    city: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    extent_km: float | None = None
    tags: tuple[str, ...] = ()
    error: str = ""


def record_of(path: str, revised: Revised, tags: Tags | None) -> Record:
    """The record of a photo with this answer and its tags."""
    answer, alone = revised.answer, revised.alone
    name = alone.guesses[0].landmark.name if alone.recognised else ""
    if tags is None:
        return Record(path, "", answer.known, name, alone.known)
    facts = facts_of(answer.guesses[0].landmark, tags)
    return Record(path, probability=answer.known, landmark_alone=name, probability_alone=alone.known, **facts)


def facts_of(landmark: Landmark, tags: Tags) -> dict[str, Any]:
    """What a record says of the landmark that is on a photo, by column."""
    columns = ("city", "country", "latitude", "longitude", "extent_km")
    facts = {column: getattr(landmark, column) for column in columns}
    return {"landmark": landmark.name, "tags": tags.keywords, **facts}


COLUMNS = tuple(field.name for field in fields(Record))
_NUMBERS = tuple(field.name for field in fields(Record) if field.type != "str" and field.name != "tags")


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a table of records in the format of the path's suffix, one of `FORMATS`.

    A path that is no Unicode text survives in CSV (as its bytes) and JSON (as lone surrogates, as Python
    has them); in Parquet, which holds Unicode only, such bytes are spelled in hexadecimal digits.

    Raises OSError where it cannot be written; what was there before then stays.
    """
    with replacing(path) as part:
        FORMATS[path.suffix.lower()](part, records)


def guarded(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: where it might, with an apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` made a cell of."""
    return cell.removeprefix("'")


def write_csv(file: TextIO, records: Iterable[Record]) -> None:
    """Write a table of records as CSV to a file that translates no line ends."""
    rows = csv.writer(file)  # lines end in CRLF (RFC 4180), so names with a CR or LF are quoted
    rows.writerow(COLUMNS)
    for record in records:
        row = asdict(record) | {"tags": ";".join(record.tags)}
        rows.writerow(guarded(cell) if isinstance(cell, str) else cell for cell in row.values())


def _write_csv(part: Path, records: Iterable[Record]) -> None:
    with open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write_csv(file, records)


def _write_json(part: Path, records: Iterable[Record]) -> None:
    _write_lines(part, "[", (json.dumps(asdict(record)) for record in records), "]")


def _write_geojson(part: Path, records: Iterable[Record]) -> None:
    """A feature collection (RFC 7946); photos without a place have a null geometry."""
    _write_lines(part, '{"type": "FeatureCollection", "features": [', map(_feature, records), "]}")


def _feature(record: Record) -> str:
    geometry = None
    if record.latitude is not None:
        geometry = {"type": "Point", "coordinates": [record.longitude, record.latitude]}
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": asdict(record)})


def _write_lines(part: Path, head: str, lines: Iterable[str], tail: str) -> None:
    with open(part, "w", encoding="utf-8") as file:
        file.write(head)
        for number, line in enumerate(lines):
            file.write(f"{',' if number else ''}\n{line}")
        file.write(f"\n{tail}\n")


def _write_parquet(part: Path, records: Iterable[Record]) -> None:
    import pyarrow  # here, as no other format needs it
    import pyarrow.parquet

    text = pyarrow.string()
    kinds = {"tags": pyarrow.list_(text)} | dict.fromkeys(_NUMBERS, pyarrow.float64())
    schema = pyarrow.schema([(column, kinds.get(column, text)) for column in COLUMNS])
    rows = (asdict(record) | {"path": _unicode(record.path)} for record in records)
    with pyarrow.parquet.ParquetWriter(part, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _unicode(path: str) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")


FORMATS: dict[str, Callable[[Path, Iterable[Record]], None]] = {
    ".csv": _write_csv,
    ".json": _write_json,
    ".geojson": _write_geojson,
    ".parquet": _write_parquet,
}
