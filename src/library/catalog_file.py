"""The catalog's file: opened, locked and checked to be ours, or a sentence that says why that cannot be."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

VERSION = 2
APPLICATION = 0x4C6D5467  # marks the file as ours, in the header where SQLite has a place for that

# Paths are bytes, as file systems have them: SQLite's texts cannot hold names that are no UTF-8.
SCHEMA = """
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    folder BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    hash TEXT,                  -- of the content, NULL until it has been read
    error TEXT,                 -- why it cannot be, tried again by the next run
    run INTEGER NOT NULL        -- the last one that found the file and did not leave it out
);
CREATE TABLE answers (
    hash TEXT NOT NULL,
    model TEXT NOT NULL,
    known REAL NOT NULL,
    guesses TEXT NOT NULL,      -- JSON, pairs of class and probability
    taken TEXT,                 -- by the camera's clock, with its zone if that is known
    latitude REAL,              -- of the camera, degrees
    longitude REAL,
    camera TEXT NOT NULL,       -- whose clock it was
    thumbnail BLOB NOT NULL,    -- JPEG
    answered TEXT NOT NULL,
    features BLOB,              -- what the network saw, see `src.landmarks.answer.Answer`
    PRIMARY KEY (hash, model)
);
CREATE TABLE writes (
    path BLOB NOT NULL,
    target BLOB NOT NULL,       -- the sidecar or copy
    root BLOB,                  -- where the copies go, NULL for a sidecar
    tags TEXT NOT NULL,         -- JSON, the model among them
    planned TEXT NOT NULL,
    done TEXT,                  -- NULL where a kill may have come before or after
    content TEXT,               -- hash of the photo that was tagged, NULL where that is not known
    PRIMARY KEY (target, path)
);
CREATE TABLE records (
    path BLOB PRIMARY KEY,
    landmark TEXT, probability REAL, landmark_alone TEXT, probability_alone REAL, city TEXT, country TEXT,
    latitude REAL, longitude REAL, extent_km REAL, tags TEXT, error TEXT,
    facts TEXT,                 -- JSON, the tags to write
    thumbnail_of TEXT           -- hash
)
"""


# Made where it is missing, too: catalogs of before had none.
DECISIONS = """
CREATE TABLE IF NOT EXISTS decisions (
    content TEXT PRIMARY KEY,   -- hash
    path BLOB NOT NULL,         -- where the photo was then
    landmark TEXT NOT NULL,     -- the model's, empty for none
    approved INTEGER NOT NULL,
    correct TEXT NOT NULL       -- the person's, empty where nothing was said
)
"""


class CatalogError(RuntimeError):
    """The catalog cannot be used; the message is one sentence that names the file and the remedy."""


def explain(error: sqlite3.Error, path: Path) -> str:
    """One sentence for what SQLite says of the catalog at `path`."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # the rest tells apart kinds of it
    remedies = {
        sqlite3.SQLITE_BUSY: "is in use by another run; wait for its end",
        sqlite3.SQLITE_FULL: "cannot grow, the disk is full; make room and start again",
        sqlite3.SQLITE_NOTADB: "is no catalog; move it away, or choose another --out",
        sqlite3.SQLITE_CORRUPT: "is damaged; move it away and start again",
    }
    for refused in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        remedies[refused] = "cannot be written; change its permissions, or choose another --out"
    return f"{path} {remedies.get(code, f'cannot be used ({error}); check the disk and start again')}."


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """What is changed in this context is changed at once, or, where it ends with an error, not at all."""
    db.execute("BEGIN")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def now() -> str:
    """The time for a row, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def open_catalog(path: Path) -> sqlite3.Connection:
    """Open or make the catalog at `path` for this process alone, in autocommit mode.

    Raises CatalogError where it cannot be opened, is none, is of another version or in use.
    """
    try:
        db = sqlite3.connect(path, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise CatalogError(explain(error, path)) from error
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # from the first statement to the end
        db.execute("BEGIN EXCLUSIVE")
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            for statement in SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        if db.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
            raise CatalogError(f"{path} is no catalog; move it away, or choose another --out.")
        [version] = db.execute("PRAGMA user_version").fetchone()
        if version == 1:  # its answers know nothing of zones and cameras: the photos are looked at again
            db.execute("DROP TABLE answers")
            db.execute(f"CREATE TABLE answers{SCHEMA.partition('CREATE TABLE answers')[2].partition(';')[0]}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            version = VERSION
        if version != VERSION:
            raise CatalogError(
                f"{path} is a catalog of version {version}, and this program reads {VERSION}; "
                "use the program that wrote it, or choose another --out."
            )
        db.execute(DECISIONS)
        for table, column, kind in (("answers", "features", "BLOB"), ("writes", "content", "TEXT")):
            if not any(known[1] == column for known in db.execute(f"PRAGMA table_info({table})")):
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")  # catalogs of before had none
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last changes, a kill takes none
        return db
    except (sqlite3.Error, CatalogError) as error:
        db.close()
        raise CatalogError(explain(error, path) if isinstance(error, sqlite3.Error) else error) from error
