"""The catalog: an SQLite file that remembers photos, answers and what was written, across runs and kills.

Answers belong to the content of a file and to a model, so a photo that was moved, renamed or copied is not
asked about again. Each change is one transaction: a kill at any moment leaves the catalog as it was before
or after it. A power cut may take the last answers too, which are asked for again, but nothing of what is
known of written files. The open catalog is locked; the lock is the kernel's, so a killed process does not
keep it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from src.inference.report import PhotoReport
from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import Taken
from src.landmarks.table import Landmark
from src.landmarks.tags import Tags
from src.library.catalog_file import now, open_catalog, transaction
from src.library.decisions import Decision, Sight, keep, load, sights
from src.library.records import COLUMNS, Record
from src.library.writes import Writes, read_tags
from src.photos.files import Found

PAGE = 500  # rows that are held at a time
_UNANSWERED = """
FROM files WHERE run = :run AND error IS NULL AND NOT EXISTS
(SELECT 1 FROM answers WHERE answers.hash = files.hash AND model = :model
AND (NOT :features OR features <> x''))
"""


@dataclass(frozen=True)
class Shown:
    """A record to be looked through: the photo's digest, a JPEG, and guesses as class and probability."""

    record: Record
    content: str
    thumbnail: bytes | None
    guesses: tuple[tuple[str, float], ...]


class Catalog:
    """An open catalog, for one thread; a context that closes it.

    Raises CatalogError where it cannot be opened, is none, is of another version or in use; later, where the
    disk fails, sqlite3.Error, which `explain` puts into words.
    """

    def __init__(self, path: Path):
        self._db = open_catalog(path)
        self.writes = Writes(self._db)  # what was written
        self.run = 0  # the number of this run
        self.features = False  # whether answers count only with what the network saw, which is then read, too

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_error) -> None:
        self._db.close()

    # ---- Photos and answers

    def note(self, found: Iterable[Found]) -> None:
        """Begin a run with these files; what an earlier one knew of an unchanged file stays."""
        statement = """
            INSERT INTO files SELECT :path, :folder, :size, :mtime_ns, NULL, :error, :run
            WHERE NOT EXISTS (SELECT 1 FROM writes WHERE target = :path AND root IS NOT NULL)
            ON CONFLICT (path) DO UPDATE SET run = excluded.run, error = excluded.error,
            hash = CASE WHEN (size, mtime_ns) = (excluded.size, excluded.mtime_ns) THEN hash END,
            size = excluded.size, mtime_ns = excluded.mtime_ns
        """
        with transaction(self._db):
            self.run = self._one("SELECT coalesce(max(run), 0) + 1 FROM files")
            self._db.executemany(statement, map(self._file, found))

    def _file(self, found: Found) -> dict:
        path, error = os.fsencode(found.path), found.error or None
        folder = path.rpartition(os.fsencode(os.sep))[0]
        return asdict(found) | {"path": path, "folder": folder, "error": error, "run": self.run}

    def count_found(self) -> int:
        """How many photos this run found that are files and may be read."""
        return self._one("SELECT count(*) FROM files WHERE run = :run AND error IS NULL", run=self.run)

    def found(self) -> Iterator[tuple[str, int]]:
        """Their paths and times in nanoseconds; some may be left out meanwhile."""
        rows = self._paged(
            "SELECT path, mtime_ns FROM files WHERE run = :run AND error IS NULL AND", run=self.run
        )
        return ((os.fsdecode(path), mtime_ns) for path, mtime_ns in rows)

    def photo_folders(self) -> Iterator[str]:
        """The folders that they are in."""
        statement = "SELECT DISTINCT folder FROM files WHERE run = ? AND error IS NULL ORDER BY folder"
        return (os.fsdecode(folder) for (folder,) in self._db.execute(statement, (self.run,)))

    def leave_out(self, path: str) -> None:
        """Take a photo out of this run; what is known of it stays."""
        self._db.execute("UPDATE files SET run = 0 WHERE path = ?", (os.fsencode(path),))

    def look_again(self, path: str) -> None:
        """Forget what a photo's content was, though size and time of its file may be the same."""
        self._db.execute("UPDATE files SET hash = NULL WHERE path = ?", (os.fsencode(path),))

    def count_unanswered(self, model: str) -> int:
        """How many photos of this run the model has not answered for."""
        return self._one(f"SELECT count(*) {_UNANSWERED}", **self._asked(model))

    def unanswered(self, model: str) -> Iterator[str]:
        """Their paths; answers may be saved meanwhile."""
        pages = self._paged(f"SELECT path {_UNANSWERED} AND", **self._asked(model))
        return (os.fsdecode(path) for (path,) in pages)

    def _asked(self, model: str) -> dict:
        return {"run": self.run, "model": model, "features": self.features}

    def has_answer(self, content: str, model: str) -> bool:
        """Whether the model answered for this content, under whatever name."""
        where = "hash = :hash AND model = :model AND (NOT :features OR features <> x'')"
        asked = {"hash": content, **self._asked(model)}
        return self._one(f"SELECT count(*) FROM answers WHERE {where}", **asked) > 0

    def save(self, path: str, model: str, result: Mapping | str) -> None:
        """Save at once what became of a file: an `answer_row`, or a sentence on why there is none."""
        content, error = (None, result) if isinstance(result, str) else (result["hash"], None)
        with transaction(self._db):
            if not isinstance(result, str) and result["known"] is not None:
                self._db.execute(
                    "INSERT OR REPLACE INTO answers VALUES"
                    " (:hash, :model, :known, :guesses, :taken, :latitude, :longitude, :camera, :thumbnail,"
                    " :now, :features)",
                    {**result, "model": model, "now": now()},
                )
            row = (content, error, os.fsencode(path))
            self._db.execute("UPDATE files SET hash = ?, error = ? WHERE path = ?", row)

    def folders(
        self, model: str, landmarks: Mapping[str, Landmark], threshold: float
    ) -> Iterator[tuple[list[PhotoReport], list[tuple[str, str]]]]:
        """This run's files, folder by folder: reports with answers, and path and error of what has none.

        Args:
            model: its name.
            landmarks: what is known of the classes, by their names.
            threshold: the smallest ``known`` at which a landmark is recognised.
        """
        rows = self._db.execute(
            "SELECT folder, path, files.hash, error, known, guesses, taken, latitude, longitude, camera,"
            " CASE WHEN :features THEN features END FROM files LEFT JOIN answers ON answers.hash = files.hash"
            " AND model = :model WHERE run = :run AND (known IS NOT NULL OR error IS NOT NULL)"
            " ORDER BY folder, path",
            self._asked(model),
        )
        for _, group in groupby(rows, key=lambda row: row[0]):
            reports: list[PhotoReport] = []
            errors: list[tuple[str, str]] = []
            for _, path, content, error, *answer in group:
                if error:
                    errors.append((os.fsdecode(path), error))
                else:
                    reports.append(_report(os.fsdecode(path), content, answer, landmarks, threshold))
            yield reports, errors

    # ---- Records

    def save_records(self, records: Iterable[tuple[Record, Tags | None, str]]) -> None:
        """Save this run's records in the place of those before: each with its tags and its photo's hash."""
        with transaction(self._db):
            self._db.execute("DELETE FROM records")
            marks = ", ".join("?" * (len(COLUMNS) + 2))
            self._db.executemany(f"INSERT INTO records VALUES ({marks})", map(_record_row, records))

    def records(self) -> Iterator[Record]:
        """This run's records by path."""
        return map(_record, self._paged(f"SELECT {', '.join(COLUMNS)} FROM records WHERE"))

    def records_to_review(self, model: str) -> Iterator[Shown]:
        """Records by landmark, doubtful ones first; what has no landmark comes last."""
        rows = self._db.execute(
            f"SELECT {', '.join(f'records.{column}' for column in COLUMNS)}, thumbnail_of, thumbnail, guesses"
            " FROM records LEFT JOIN answers ON hash = thumbnail_of AND model = ?"
            " ORDER BY error <> '', landmark = '', landmark, records.probability, path",
            (model,),
        )
        for *row, content, thumbnail, guesses in rows:
            pairs = tuple((name, probability) for name, probability in json.loads(guesses or "[]"))
            yield Shown(_record(tuple(row)), content, thumbnail, pairs)

    def tags_to_write(self) -> Iterator[tuple[str, str, str, Tags]]:
        """Path, digest, landmark and tags of each record that has tags; writes may be saved meanwhile."""
        rows = self._paged(
            "SELECT path, thumbnail_of, landmark, facts FROM records WHERE facts IS NOT NULL AND"
        )
        return ((os.fsdecode(path), *row, read_tags(facts)) for path, *row, facts in rows)

    def counts(self, column: str) -> list[tuple[str, int]]:
        """How many recognised photos there are of each value of a column, the most frequent first."""
        if column not in COLUMNS:
            raise ValueError(f"There is no column {column!r}.")
        statement = "SELECT {0}, count(*) FROM records WHERE landmark <> '' GROUP BY {0} ORDER BY 2 DESC, 1"
        return self._db.execute(statement.format(column)).fetchall()

    def count_records(self) -> int:
        """How many photos there are in this run."""
        return self._one("SELECT count(*) FROM records")

    def places(self) -> list[tuple[str, float, float, int]]:
        """Each landmark with a place: name, latitude, longitude, and how many photos show it."""
        return self._db.execute(
            "SELECT landmark, latitude, longitude, count(*) FROM records"
            " WHERE latitude IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC"
        ).fetchall()

    # ---- What a person decided

    def decide(self, table: Iterable[Decision]) -> None:
        """Keep a person's decisions in the place of former ones, see `keep`."""
        with transaction(self._db):
            keep(self._db, table)

    def decisions(self) -> dict[str, Decision]:
        """All that was decided, by content."""
        return load(self._db)

    def sights(self, model: str) -> Iterator[Sight]:
        """The photos that were decided on, and what a model saw on each; what comes last is newest."""
        return sights(self._db, model)

    # ---- SQLite

    def _one(self, statement: str, **values) -> int:
        return self._db.execute(statement, values).fetchone()[0]

    def _paged(self, statement: str, **values) -> Iterator[tuple]:
        """Rows by path, their first column, a page at a time, so that tables may change in between."""
        after = b""
        while page := self._db.execute(
            f"{statement} path > :after ORDER BY path LIMIT {PAGE}", values | {"after": after}
        ).fetchall():
            yield from page
            after = page[-1][0]


def _report(
    path: str, digest: str, row: list, landmarks: Mapping[str, Landmark], threshold: float
) -> PhotoReport:
    known, pairs, time, latitude, longitude, camera, features = row
    guesses = tuple(Guess(landmarks[name], probability) for name, probability in json.loads(pairs))
    taken = Taken(time and datetime.fromisoformat(time), latitude, longitude, camera)
    answer = Answer.judged(guesses, known, threshold, features or b"")
    return PhotoReport(path, digest, taken=taken, answer=answer)


def _record_row(entry: tuple[Record, Tags | None, str]) -> tuple:
    record, tags, content = entry
    row = asdict(record) | {"path": os.fsencode(record.path), "tags": json.dumps(record.tags)}
    return (*row.values(), tags and json.dumps(asdict(tags)), content)


def _record(row: tuple) -> Record:
    path, *values, tags, error = row
    named = dict(zip(COLUMNS[1:-2], values, strict=True))
    return Record(os.fsdecode(path), **named, tags=tuple(json.loads(tags)), error=error)
