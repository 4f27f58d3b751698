"""Which photos a run takes, how it goes on beside other work, and how it ends before its time."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from conftest import encode, quarters
from metadata_samples import CAMERA, TAJ, packet, with_exif
from tag_library import contents, photo, run, table

from src import progress, tag
from src.library import choose
from src.photos.write_tags import sidecar

pytest_plugins = ("tag_fixtures",)


def names():
    return [Path(row["path"]).name for row in table()]


# ---- --since ---------------------------------------------------------------------------------------------


def test_photos_since_a_day(tmp_path, fake, capsys):
    """By the camera's clock, a Takeout's JSON, or the file's time; what cannot be read is not passed over."""
    folder = tmp_path / "library"
    photo(folder / "eve.jpg", "red", "2024:04:30 23:59:59")
    photo(folder / "day.jpg", "red", "2024:05:01 00:00:00", side=65)
    photo(folder / "takeout.jpg", "red", side=66)
    (folder / "takeout.jpg.json").write_text('{"photoTakenTime": {"timestamp": "1714521600"}}')  # 2024-05-01
    photo(folder / "before.jpg", "red", side=67)
    (folder / "before.jpg.json").write_text('{"photoTakenTime": {"timestamp": "1714521599"}}')
    for name, stamp in (("file.jpg", 1714608000), ("old file.jpg", 1714400000)):
        photo(folder / name, "red", side=len(name) + 70)
        os.utime(folder / name, (stamp, stamp))
    (folder / "text.jpg").write_text("no photo")
    before = contents(folder)
    assert run(folder, "--since", "2024-05-01") == 1
    assert names() == ["day.jpg", "file.jpg", "takeout.jpg", "text.jpg"]
    assert fake.asked == 3, "the model does not see the others"
    assert "Left out, as they were taken before 2024-05-01: 3." in capsys.readouterr().out
    assert contents(folder) == before
    run(folder)
    assert len(names()) == 7
    run(folder, "--since", "2030-01-01")
    assert names() == ["text.jpg"]
    run(folder, "--since", "1990-01-01")
    assert len(names()) == 7 and fake.asked == 6


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "01.05.2024"])
def test_a_day_that_is_none(library, text, capsys):
    with pytest.raises(SystemExit):
        run(library, "--since", text)
    assert f"{text} is no day such as 2024-05-01" in capsys.readouterr().err


# ---- --only-missing --------------------------------------------------------------------------------------

WORDS = packet("<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>")
TREE = "<rdf:Seq><rdf:li>a/b</rdf:li></rdf:Seq>"
SPOT = "<exif:GPSLatitude>48,0.0N</exif:GPSLatitude><exif:GPSLongitude>2,0.0E</exif:GPSLongitude>"
BOTH = packet("<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>", SPOT)


@pytest.mark.parametrize(
    ("inside", "beside", "complete"),
    [
        ({}, None, False),
        ({"xmp": WORDS}, None, False),
        ({"gps": CAMERA}, None, False),
        ({"xmp": packet(SPOT)}, None, False),
        ({"xmp": BOTH}, None, True),
        ({"gps": CAMERA, "xmp": WORDS}, None, True),
        ({"gps": CAMERA}, WORDS, True),
        ({"xmp": WORDS}, packet(SPOT), True),
        ({}, BOTH, True),
        ({"gps": CAMERA}, packet(f"<digiKam:TagsList>{TREE}</digiKam:TagsList>"), True),
        ({"gps": CAMERA}, packet("<dc:subject><rdf:Bag><rdf:li/></rdf:Bag></dc:subject>"), False),
        ({"gps": CAMERA}, b"no XMP", False),
    ],
)  # fmt: skip
def test_only_photos_that_lack_keywords_or_a_position(tmp_path, fake, inside, beside, complete, capsys):
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(with_exif(inside.pop("gps", None), **inside))
    if beside:
        (folder / "a.jpg.xmp").write_bytes(beside)
    photo(folder / "b.jpg", "red")
    run(folder, "--only-missing")
    assert names() == (["b.jpg"] if complete else ["a.jpg", "b.jpg"])
    assert ("as they were with keywords and a position: 1." in capsys.readouterr().out) is complete


def test_what_was_written_here_does_not_make_a_photo_complete(library):
    assert run(library, "--write", "sidecar", "--only-missing") == 0
    first = contents(library)
    assert run(library, "--write", "sidecar", "--only-missing") == 0
    assert len(names()) == 4 and contents(library) == first
    assert b"GPSLatitude" in sidecar(encode(quarters()), TAJ), "there is a position in what is written"
    assert run(library, "--undo") == 0
    assert not list(library.rglob("*.xmp"))


def test_no_choice_on_a_cluster(library, capsys):
    pytest.importorskip("ray")
    for option in (["--since", "2024-05-01"], ["--only-missing"]):
        assert run(library, "--engine", "ray", "--out", "t.parquet", *option) == 2
        assert "--engine ray looks at all photos" in capsys.readouterr().err


# ---- Folders that can only be read -----------------------------------------------------------------------


def read_only(monkeypatch, *folders):
    allowed = os.access

    def access(path, mode):
        return Path(path) not in folders and allowed(path, mode)

    monkeypatch.setattr(choose.os, "access", access)


def test_a_library_that_can_only_be_read_is_said_before_photos_are_looked_at(
    library, monkeypatch, capsys, fake
):
    read_only(monkeypatch, library, library / "below")
    assert run(library, "--write", "sidecar") == 2
    said = f"No sidecars can be written in {library}, which can only be read; change its permissions, or take"
    assert said in capsys.readouterr().err
    assert fake.asked == 0 and not Path("tags.csv").exists()
    assert run(library) == 0, "to look is allowed"


def test_one_folder_that_can_only_be_read_stops_no_other(library, monkeypatch, capsys):
    read_only(monkeypatch, library / "below")
    assert run(library, "--write", "sidecar") == 0
    said = f"No sidecars can be written in {library / 'below'}, which can only be read.\n"
    assert capsys.readouterr().err == said


def test_a_place_for_copies_that_can_only_be_read(library, monkeypatch, capsys, tmp_path, fake):
    pytest.importorskip("exiv2")
    read_only(monkeypatch, tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    assert run(library, "--write", "copy", "--to", tmp_path / "disk" / "new" / "copies") == 2
    assert "copies cannot be written; give a folder on a disk that can be" in capsys.readouterr().err
    assert fake.asked == 0


def test_a_disk_that_is_mounted_read_only(tmp_path, fake, capsys):
    folder = tmp_path / "disk"
    photo(folder / "a.jpg", "red")
    mount = [["mount", "--bind", str(folder), str(folder)], ["mount", "-o", "remount,ro,bind", str(folder)]]
    if os.name != "posix" or any(subprocess.run(step, capture_output=True).returncode for step in mount):
        pytest.skip("only root may mount")
    try:
        assert run(folder, "--write", "sidecar") == 2
        assert "which can only be read" in capsys.readouterr().err and fake.asked == 0
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# ---- Progress --------------------------------------------------------------------------------------------


def test_a_log_gets_a_line_each_minute(library, monkeypatch, capsys):
    now = [0.0]

    def clock():
        now[0] += 20.0
        return now[0]

    monkeypatch.setattr(progress.time, "monotonic", clock)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert run(library) == 0
    [line] = sys.stderr.getvalue().splitlines()
    assert line == "3 of 4 photos: 3 with a landmark; 0.05 a second, 1 min left."


def test_a_short_run_says_nothing_meanwhile(library, capsys):
    (library / "text.jpg").write_text("no photo")
    run(library)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_what_was_found(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.Tally(3) as tally:
        for found in ("with a landmark", "", "unreadable"):
            tally.add(found)
    shown = screen.getvalue()
    assert re.search(r"3/3 \[.*photo/s, 1 unreadable, 1 with a landmark\]", shown)


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "1 min"), (1430, "24 min"), (3599, "1 h 00 min"), (90_000, "25 h 00 min")]
)
def test_durations(seconds, text):
    assert progress._duration(seconds) == text


# ---- Ctrl-C, and the background --------------------------------------------------------------------------


def interrupted(library, *arguments, after):
    """Run in a process that gets Ctrl-C after so many seconds; its exit status, and what it says of it."""
    said = Path("said.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of the parent
        child = os.fork()
    if child == 0:
        status = 99
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdout, sys.stderr = io.StringIO(), open(said, "w")  # noqa: SIM115
            status = run(library, *arguments)
            sys.stderr.flush()
        finally:
            os._exit(status)
    time.sleep(after)
    os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text()


def test_ctrl_c_ends_with_a_summary_and_the_next_run_goes_on(library, fake, monkeypatch):
    for number in range(60):
        photo(library / f"{number}.jpg", (200, number, 40), side=300 + number)
    assert run(library, "--out", "whole.csv") == 0
    quick = fake.predict

    def slow(self, pictures):
        time.sleep(0.05)
        return quick(self, pictures)

    with monkeypatch.context() as patched:
        patched.setattr(fake, "predict", slow)
        status, said = interrupted(library, "--workers", "1", after=1.2)
    assert status == 130
    match = re.fullmatch(
        r"(\d+) of 64 photos: (\d+) with a landmark\.\nStopped; start again to go on\.\n", said
    )
    assert match and 0 < int(match[2]) <= int(match[1]) < 64
    fake.asked = 0
    assert run(library) == 0
    assert 64 - int(match[1]) - 4 <= fake.asked <= 64 - int(match[1]), "what was saved is not asked again"
    assert Path("tags.csv").read_bytes() == Path("whole.csv").read_bytes()


def test_a_run_in_the_background_leaves_the_cores_to_others(library, monkeypatch):
    steps = []
    monkeypatch.setattr(tag.os, "nice", steps.append)
    assert run(library) == 0 and steps == []
    assert run(library, "--nice") == 0 and steps == [19]
    monkeypatch.delattr(tag.os, "nice")
    assert run(library, "--nice") == 2
