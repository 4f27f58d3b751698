"""Drives Shotwell and digiKam without a screen, and reads their databases.

Both have a home of their own that is thrown away, and see no desktop. Each says by photo what it shows of it.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

PATIENCE = 180.0  # seconds for a program to take up a folder; it takes 20 where nothing else runs
SETTLED = 2.0  # seconds without a change in the database after which it is done


def needs(program: str):
    missing = [name for name in (program, "Xvfb") if shutil.which(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"missing: {', '.join(missing)} (Debian: {program}, xvfb)"
    )


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], **options):
    """The program and all that it starts run until the end of the block."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, start_new_session=True, **quiet, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM)  # lets Xvfb clean up
            process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def at_home(home: Path, screen: str) -> dict[str, str]:
    """The environment of a program whose home is this folder."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folders = {"CONFIG_HOME": "config", "DATA_HOME": "data", "CACHE_HOME": "cache", "RUNTIME_DIR": "."}
    return {
        **{"PATH": os.environ["PATH"], "HOME": str(home), "DISPLAY": screen, "LANG": "C.UTF-8", "TZ": "UTC"},
        **{f"XDG_{name}": str(home / folder) for name, folder in folders.items()},
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        **{"GSETTINGS_BACKEND": "keyfile", "GIO_USE_VFS": "local", "NO_AT_BRIDGE": "1"},  # GTK
        **{"QT_QPA_PLATFORM": "xcb", "QTWEBENGINE_DISABLE_SANDBOX": "1"},  # Qt
    }


def rows(database: Path, query: str) -> list[tuple] | None:
    """What is found in a database that a program is writing; None while it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as opened:
            return opened.execute(query).fetchall()
    except sqlite3.OperationalError:
        return None


def wait_for(process, condition) -> None:
    """Until the condition is true; the test fails where the program ends before, or takes too long."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the program has ended"
        assert time.monotonic() < end, "the program takes too long"
        time.sleep(0.25)


def settled(process, database: Path, queries: dict[str, str], read, complete) -> dict[str, dict]:
    """What `read` makes of the rows, once that is complete and the database says the same for some time.

    Nothing is read after the program has ended, which may leave a database that has to be repaired first.
    """
    last: dict[str, list[tuple] | None] = {}
    since = time.monotonic()

    def done() -> bool:
        nonlocal last, since
        found = {key: rows(database, query) for key, query in queries.items()}
        if found != last:
            last, since = found, time.monotonic()
        whole = None not in found.values() and complete(read(found))
        return whole and time.monotonic() - since > SETTLED

    wait_for(process, done)
    return read(last)


def ask_shotwell(folder: Path, home: Path, screen: str, complete) -> dict[str, dict]:
    """By the name of each photo in a folder what Shotwell shows of it, once that is complete."""
    environment = at_home(home, screen)
    settings = home / "config" / "glib-2.0" / "settings" / "keyfile"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "[org/yorba/shotwell/preferences/files]\n"
        f"auto-import=true\nimport-dir='{folder}'\n"
        "[org/yorba/shotwell/preferences/ui]\nshow-welcome-dialog=false\n"
    )
    queries = {
        "photos": "SELECT id, filename, title, comment, exposure_time FROM PhotoTable",
        "tags": "SELECT name, photo_id_list FROM TagTable",
    }
    with running(["shotwell", "-d", str(home / "library")], environment) as process:
        return settled(process, home / "library" / "data" / "photo.db", queries, _by_shotwell, complete)


def _by_shotwell(rows: dict[str, list[tuple]]) -> dict[str, dict]:
    found = {}
    for number, path, title, comment, taken in rows["photos"]:
        mine = [name for name, ids in rows["tags"] if f"thumb{number:016x}," in (ids or "")]
        said = {"title": title, "comment": comment, "taken": taken}
        found[Path(path).name] = {"tags": sorted(tag.removeprefix("/") for tag in mine), **said}
    return found


_DIGIKAM = {
    "taken": "SELECT imageid, creationDate FROM ImageInformation",
    "stars": "SELECT imageid, rating FROM ImageInformation",
    "place": "SELECT imageid, latitudeNumber, longitudeNumber FROM ImagePositions",
    "titles": "SELECT imageid, comment FROM ImageComments WHERE type = 3",
    "captions": "SELECT imageid, comment FROM ImageComments WHERE type = 1",
    "rights": "SELECT imageid, property, value FROM ImageCopyright WHERE value NOT NULL",
    "town": "SELECT imageid, value FROM ImageProperties WHERE property = 'city'",
    "faces": "SELECT imageid, value FROM ImageTagProperties WHERE property = 'tagRegion'",
}


def ask_digikam(folder: Path, home: Path, screen: str, complete) -> dict[str, dict]:
    """The same of digiKam, which also reads sidecars."""
    environment = at_home(home, screen)
    database = home / "digikam4.db"
    (home / "config").mkdir()
    (home / "config" / "digikamrc").write_text(
        "[General Settings]\nVersion=7.9.0\n[Album Settings]\nShow Splash=false\nScan At Start=true\n"
        "[Metadata Settings]\nUse XMP Sidecar For Reading=true\n"
    )
    command = ["digikam", "--database-directory", str(home)]
    with running(command, environment) as process:  # makes its tables, and asks for a folder
        wait_for(process, lambda: rows(database, "SELECT 1 FROM Settings WHERE keyword = 'Locale'"))
    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        root = ("photos", 0, 1, f"volumeid:?path={folder}", "/")
        columns = "label, status, type, identifier, specificPath"
        opened.execute(f"INSERT INTO AlbumRoots ({columns}) VALUES (?, ?, ?, ?, ?)", root)
    queries = {
        "photos": "SELECT id, name FROM Images",
        "pairs": "SELECT imageid, tagid FROM ImageTags",
        "tree": "SELECT id, pid, name FROM Tags",
        **_DIGIKAM,
    }
    with running(command, environment) as process:
        return settled(process, database, queries, _by_digikam, complete)


def _by_digikam(rows: dict[str, list[tuple]]) -> dict[str, dict]:
    tree = {number: (above, name) for number, above, name in rows["tree"]}

    def path(tag: int) -> str:
        above, name = tree.get(tag, (0, ""))  # not yet there
        return f"{path(above)}/{name}" if above else name

    found = {}
    for photo, name in rows["photos"]:
        found[name] = {"tags": sorted(path(tag) for owner, tag in rows["pairs"] if owner == photo)}
        for key in _DIGIKAM:
            found[name][key] = [row[1:] for row in rows[key] if row[0] == photo]
    return found
