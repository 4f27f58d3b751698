"""What a person decided of photos: read from tables of the review, kept by content, obeyed for ever.

A decision is a row of `tags.review.csv`. Its column `approve` says whether tags may be written, `correct`
which landmark the photo shows: another than the model's, a name of the person's own, or the same, which
confirms it. The catalog keeps what was decided by the content of the photo, so it holds under another name
and whatever a model says later.
"""

from __future__ import annotations

import codecs
import csv
import os
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from src.files import printable
from src.inference.own_file import LONGEST
from src.landmarks.evidence import Taken
from src.landmarks.table import Landmark, describe
from src.landmarks.tags import Language, Tags, clean, confirmed_tags
from src.library.records import Record, facts_of, unguarded

COLUMNS = ("approve", "landmark", "correct", "probability", "probability_alone", "country", "path", "content")
_YES, _NO = ("yes", "y", "true", "1", "x"), ("no", "n", "false", "0", "")


class ReviewError(ValueError):
    """The table of decisions cannot be used; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Decision:
    """What a person said of one photo.

    Attributes:
        path: of the photo when it was looked at.
        content: its digest, as in `PhotoReport`; empty where the table did not say.
        landmark: what the model saw on it, empty where none was recognised.
        approved: whether tags may be written.
        correct: the landmark that it does show; empty where the person did not say.
    """

    path: str
    content: str
    landmark: str
    approved: bool = True
    correct: str = ""

    @property
    def name(self) -> str:
        """The landmark that the photo is given."""
        return self.correct or self.landmark

    @property
    def made(self) -> bool:
        """Whether a person decided; else the row is as the tagger wrote it."""
        return bool(self.correct) or not self.approved


@dataclass(frozen=True)
class Sight:
    """A photo that a person decided on, and what is known of it.

    Attributes:
        decision: what the person said.
        paths: where files with this content are, or were.
        features: what the network saw, as in `Answer`; empty where it was not asked or does not say.
        taken: when and where, as far as the catalog knows.
    """

    decision: Decision
    paths: tuple[str, ...]
    features: bytes
    taken: Taken


class Names:
    """The landmarks that are known, by their names in English and in the language of the place.

    Args:
        landmarks: those of a model; a person's own come with `add`.
    """

    def __init__(self, landmarks: Iterable[Landmark]):
        self.landmarks = list(landmarks)
        self.by_class = {landmark.class_name: landmark.name for landmark in landmarks}
        self._known: dict[str, Landmark] = {}
        for landmark in landmarks:
            former = describe(landmark.class_name)  # a person's table may have renamed it since
            for name in filter(None, (landmark.name, landmark.name_local, former.name, former.name_local)):
                self._known.setdefault(_folded(name), landmark)

    def add(self, landmark: Landmark) -> None:
        """Know a landmark of a person's own, too, unless one of this name is known."""
        if _folded(landmark.name) not in self._known:
            self.landmarks.append(landmark)
            self._known[_folded(landmark.name)] = landmark

    def find(self, name: str) -> Landmark:
        """The landmark of this name, or a new one of which nothing else is known."""
        name = clean(name)
        return self._known.get(_folded(name)) or Landmark(name, name)

    def resolve(self, decision: Decision) -> Decision:
        """The decision with names as the model has them now."""
        return replace(decision, landmark=self._now(decision.landmark), correct=self._now(decision.correct))

    def _now(self, name: str) -> str:
        known = self._known.get(_folded(name))
        return known.name if known else name


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_table(path: Path) -> list[Decision]:
    """The decisions of a table; one of a former version lacks the columns `correct` and `content`.

    Commas, semicolons and tabs between the cells are understood, and UTF-16, as spreadsheets save one or
    another.

    Raises:
        ReviewError: a column is missing, a decision is neither yes nor no, or a name is too long or of a
            character set that the table does not tell.
        OSError: the file cannot be read.
    """
    with path.open("rb") as start:
        wide = start.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding, errors = ("utf-16", "replace") if wide else ("utf-8-sig", "surrogateescape")
    with open(path, encoding=encoding, errors=errors, newline="") as file:
        head = file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=max(",;\t", key=head.count))
        try:
            if not {"approve", "landmark", "path"} <= set(rows.fieldnames or ()):
                raise ReviewError(f"{path} lacks one of its columns; make it anew with --review.")
            return [_decision(row, f"{path}, line {rows.line_num}") for row in rows]
        except csv.Error as error:
            raise ReviewError(
                f"{path}, line {rows.line_num}: {error}; make it anew with --review."
            ) from error


def _decision(row: Mapping[str, str | None], where: str) -> Decision:
    approve = (row["approve"] or "").strip().lower()
    if approve not in _YES + _NO:
        raise ReviewError(f"{where}: approve is {printable(approve)!r}; write yes or no.")
    correct = clean(unguarded(row.get("correct") or ""))
    if len(correct) > LONGEST:
        raise ReviewError(f"{where}: the name is too long; write at most {LONGEST} characters.")
    path, landmark = (unguarded(row[column] or "") for column in ("path", "landmark"))
    if odd := next((name for name in (correct, clean(landmark)) if "\N{REPLACEMENT CHARACTER}" in name), ""):
        raise ReviewError(f"{where}: {printable(odd)!r} is no UTF-8; save the table as CSV in UTF-8.")
    return Decision(path, (row.get("content") or "").strip(), landmark, approve in _YES, correct)


def keep(db: sqlite3.Connection, table: Iterable[Decision]) -> None:
    """Keep decisions in a catalog by content, in the place of former ones; a row that says nothing forgets.

    Of copies of one photo, what was decided of one counts. A row without a digest is of the file that is at
    its path; one of a photo that no model was asked about is passed over. What names another landmark than
    before counts as new, so what is decided last stands last.
    """
    decided: dict[str, Decision] = {}
    for decision in sorted(table, key=lambda decision: decision.made):  # what forgets comes first
        content, path = decision.content, os.fsencode(decision.path)
        if not content:
            content = (db.execute("SELECT hash FROM files WHERE path = ?", (path,)).fetchone() or ("",))[0]
        decided[content] = decision
    for content, decision in decided.items():
        asked = db.execute("SELECT 1 FROM answers WHERE hash = ?", (content,)).fetchone()
        kept = decision.correct if decision.made and asked else None
        db.execute("DELETE FROM decisions WHERE content = ? AND correct IS NOT ?", (content, kept))
        if kept is not None:
            path = os.fsencode(decision.path)
            row = (content, path, decision.landmark, decision.approved, decision.correct)
            db.execute(
                "INSERT INTO decisions VALUES (?, ?, ?, ?, ?) ON CONFLICT (content) DO UPDATE SET"
                " path = excluded.path, landmark = excluded.landmark, approved = excluded.approved",
                row,
            )


def load(db: sqlite3.Connection) -> dict[str, Decision]:
    """The decisions that a catalog keeps, by content."""
    return {row[0]: _kept(*row) for row in db.execute("SELECT * FROM decisions")}


def sights(db: sqlite3.Connection, model: str) -> Iterator[Sight]:
    """What was decided, in the order in which it was, and what a catalog knows of each photo."""
    rows = db.execute(
        "SELECT decisions.*, features, latitude, longitude, files.path FROM decisions"
        " LEFT JOIN answers ON answers.hash = content AND model = ? LEFT JOIN files ON files.hash = content"
        " ORDER BY decisions.rowid, files.path",
        (model,),
    )
    for first, group in groupby(rows, key=lambda row: row[:-1]):
        *row, features, latitude, longitude = first
        paths = dict.fromkeys(os.fsdecode(one) for one in (row[1], *(more[-1] for more in group)) if one)
        yield Sight(_kept(*row), tuple(paths), features or b"", Taken(None, latitude, longitude))


def _kept(content: str, path: bytes, landmark: str, approved: int, correct: str) -> Decision:
    """A decision as a catalog has it."""
    return Decision(os.fsdecode(path), content, landmark, bool(approved), correct)


def corrected(
    records: Iterable[tuple[Record, Tags | None, str]],
    kept: Mapping[str, Decision],
    names: Names,
    model: str,
    language: Language,
) -> Iterator[tuple[Record, Tags | None, str]]:
    """The records of `make_records`, where a person said what a photo shows with that instead.

    Args:
        records: each with its tags and the digest of its photo.
        kept: the catalog's decisions, by content.
        names: of the landmarks that the model knows; those have a place and tags, other names have none.
        model: the model's name for people.
        language: of the landmark's name in tags, see `tags_for`.
    """
    for record, tags, content in records:
        decision = kept.get(content)
        if decision and decision.correct and not record.error:
            landmark = names.find(decision.correct)
            tags = confirmed_tags(landmark, model, language)
            record = replace(record, probability=1.0, **facts_of(landmark, tags))
        yield record, tags, content


class Verdicts:
    """Whether tags may be written, by what a person decided in a table and what the catalog keeps.

    Args:
        table: the decisions of the tables of the review; None where there is none, so all that nobody
            rejected may be written.
        kept: the catalog's, by content.
    """

    def __init__(self, table: Iterable[Decision] | None, kept: Mapping[str, Decision]):
        self._all = table is None
        self._by_path = {decision.path: decision for decision in table or ()}
        self._by_content = {d.content: d for d in self._by_path.values() if d.content} | dict(kept)

    def find(self, path: str, content: str, landmark: str) -> Decision | None:
        """What was decided of a photo, by its place and its content, and holds as it is given this landmark.

        What a person said of one of its copies counts more than a row that is as the tagger wrote it.
        """
        own = self._by_path.get(path)
        if own is not None and own.content not in ("", content):
            own = None
        decisions = (own, self._by_content.get(content))
        found = [decision for decision in decisions if decision and decision.name == landmark]
        return max(found, key=lambda decision: decision.made, default=None)

    def judge(self, path: str, content: str, landmark: str) -> str:
        """Says approved, rejected or not reviewed: new, or called otherwise than when it was looked at."""
        if decision := self.find(path, content, landmark):
            return "approved" if decision.approved else "rejected"
        return "approved" if self._all else "not reviewed"
