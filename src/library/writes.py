"""What the catalog knows of written files: which tags are where, or may be; no power cut takes any of it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from src.landmarks.tags import Tags
from src.library.catalog_file import now, transaction

_COLUMNS = "writes.path, target, root, writes.tags, done, content"


@dataclass(frozen=True)
class Write:
    """Tags that were written, or were about to be when a kill came (`done` is False).

    `content` is the digest of the photo then, None where an earlier version of this program wrote them.
    """

    photo: str
    target: str
    root: str | None  # the folder of all copies; None for a sidecar
    tags: Tags
    done: bool
    content: str | None


class Writes:
    """The writes of an open catalog."""

    def __init__(self, db: sqlite3.Connection):
        self._db = db

    def find(self, photo: str, target: str) -> Write | None:
        """What is known of one target of a photo."""
        where = "path = ? AND target = ?"
        return next(self._where(where, (os.fsencode(photo), os.fsencode(target))), None)

    def keys(self) -> list[tuple[str, str]]:
        """Photo and target of all that was written, or may have been, in their order."""
        rows = self._db.execute("SELECT path, target FROM writes ORDER BY path, target")
        return [(os.fsdecode(path), os.fsdecode(target)) for path, target in rows]

    def below(self, folder: str) -> list[Write]:
        """What was written, or may have been, for photos below a folder."""
        prefix = os.fsencode(folder.rstrip(os.sep) + os.sep)
        return list(self._where("substr(path, 1, ?) = ? ORDER BY target", (len(prefix), prefix)))

    def of_records(self, root: str | None) -> Iterator[tuple[Write, str, str]]:
        """Those into one folder of copies, or into sidecars, for photos that this run has read.

        Each comes with the photo's digest and its landmark, which is empty where it has none now. No write
        may be saved meanwhile.
        """
        rows = self._db.execute(
            f"SELECT {_COLUMNS}, thumbnail_of, landmark FROM writes"
            " JOIN records ON records.path = writes.path"
            " WHERE root IS ? AND error = '' ORDER BY writes.path, target",
            (root and os.fsencode(root),),
        )
        return ((_write(row), digest, landmark) for *row, digest, landmark in rows)

    def save(self, *writes: Write) -> None:
        """Save at once that something is about to be written, or is (`done`)."""
        time = now()
        rows = []
        for write in writes:
            root = write.root and os.fsencode(write.root)
            paths = os.fsencode(write.photo), os.fsencode(write.target), root
            done = time if write.done else None
            rows.append((*paths, json.dumps(asdict(write.tags)), time, done, write.content))
        self._execute_on_disk(
            "INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE"
            " SET tags = excluded.tags, done = excluded.done, content = excluded.content",
            *rows,
        )

    def forget(self, write: Write) -> None:
        """Forget what was undone."""
        row = (os.fsencode(write.photo), os.fsencode(write.target))
        self._execute_on_disk("DELETE FROM writes WHERE path = ? AND target = ?", row)

    def _where(self, condition: str, values: tuple) -> Iterator[Write]:
        return map(_write, self._db.execute(f"SELECT {_COLUMNS} FROM writes WHERE {condition}", values))

    def _execute_on_disk(self, statement: str, *rows: tuple) -> None:
        """Change what no power cut may take: it is on the disk before the file that it speaks of changes."""
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            with transaction(self._db):
                self._db.executemany(statement, rows)
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")


def read_tags(facts: str) -> Tags:
    """Tags from the JSON that a catalog has of them."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(facts).items()
    }
    return Tags(**values)


def _write(row: tuple | list) -> Write:
    path, target, root, tags, done, content = row
    root = root and os.fsdecode(root)
    return Write(os.fsdecode(path), os.fsdecode(target), root, read_tags(tags), done is not None, content)
