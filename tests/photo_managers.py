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

PATIENCE = 60.0  # seconds for a program to take up a folder; it takes 20
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


def rows(database: Path, query: str) -> list[tuple]:
    """What is found in a database that a program is writing; nothing while it is not there."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as opened:
            return opened.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def wait_for(process, condition) -> None:
    """Until the condition is true; the test fails where the program ends before, or takes too long."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the program has ended"
        assert time.monotonic() < end, "the program takes too long"
        time.sleep(0.25)


def wait_until_settled(process, database: Path, queries: list[str]) -> None:
    """Until a database says the same for some time."""
    last, since = None, time.monotonic()

    def settled() -> bool:
        nonlocal last, since
        found = [rows(database, query) for query in queries]
        if found != last:
            last, since = found, time.monotonic()
        return time.monotonic() - since > SETTLED

    wait_for(process, settled)


def ask_shotwell(folder: Path, home: Path, screen: str, count: int) -> dict[str, dict]:
    """By the name of each photo in a folder what Shotwell shows of it."""
    environment = at_home(home, screen)
    settings = home / "config" / "glib-2.0" / "settings" / "keyfile"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "[org/yorba/shotwell/preferences/files]\n"
        f"auto-import=true\nimport-dir='{folder}'\n"
        "[org/yorba/shotwell/preferences/ui]\nshow-welcome-dialog=false\n"
    )
    database = home / "library" / "data" / "photo.db"
    photos = "SELECT id, filename, title, comment, exposure_time FROM PhotoTable"
    tags = "SELECT name, photo_id_list FROM TagTable"
    with running(["shotwell", "-d", str(home / "library")], environment) as process:
        wait_for(process, lambda: len(rows(database, photos)) == count)
        wait_until_settled(process, database, [photos, tags])
    found = {}
    for number, path, title, comment, taken in rows(database, photos):
        mine = [name for name, ids in rows(database, tags) if f"thumb{number:016x}," in (ids or "")]
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


def ask_digikam(folder: Path, home: Path, screen: str, count: int) -> dict[str, dict]:
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
    photos, pairs = "SELECT id, name FROM Images", "SELECT imageid, tagid FROM ImageTags"
    with running(command, environment) as process:
        wait_for(process, lambda: len(rows(database, photos)) == count)
        wait_until_settled(process, database, [photos, pairs, *_DIGIKAM.values()])
    tree = {number: (above, name) for number, above, name in rows(database, "SELECT id, pid, name FROM Tags")}

    def path(tag: int) -> str:
        above, name = tree[tag]
        return f"{path(above)}/{name}" if above else name

    found = {}
    for photo, name in rows(database, photos):
        tags = sorted(path(tag) for owner, tag in rows(database, pairs) if owner == photo)
        found[name] = {"tags": tags}
        for key, query in _DIGIKAM.items():
            found[name][key] = [row[1:] for row in rows(database, query) if row[0] == photo]
    return found
