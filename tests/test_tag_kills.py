"""A run that is killed anywhere and started again ends as if nothing had happened."""

import io
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import pytest
from tag_library import FakePredictor, contents, photo, run

from src.library.catalog import Catalog
from src.library.writes import Writes

pytest_plugins = ("tag_fixtures",)


def killed(library, *arguments, after=None, calls=None):
    """Run in a process that is killed after so many seconds, or at the call of that number to the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of the parent
        child = os.fork()
    if child == 0:
        try:
            sys.stdout = sys.stderr = io.StringIO()
            if calls is not None:
                _die_at(calls)
            os._exit(run(library, *arguments))
        finally:
            os._exit(99)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (0, 1)
    return os.WIFSIGNALED(status)


def _die_at(number):
    """Kill this process before its call of this number that changes a file, catalog included."""
    left = [number]

    def counted(function):
        def call(*args, **options):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return call

    for name in ("fsync", "replace", "link", "unlink", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    for kind, names in ((Catalog, ("note", "save", "save_records")), (Writes, ("save", "forget"))):
        for name in names:
            setattr(kind, name, counted(getattr(kind, name)))


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
def test_a_kill_at_any_step_changes_nothing_of_the_result(library, tmp_path, mode):
    arguments = ["--write", mode]
    if mode == "copy":
        arguments += ["--to", str(tmp_path / "copies")]
    original = contents(library)
    assert run(library, *arguments) == 0
    expected = {
        path: data for path, (data, _) in contents(tmp_path).items() if "tags.sqlite" not in path.name
    }
    assert run(library, "--undo") == 0
    Path("tags.sqlite").unlink()
    Path("tags.csv").unlink()

    step = 0
    while killed(library, *arguments, calls=step):
        step += 3  # a new place each time, and what was done stays done, so the end is reached
    assert step > 9
    got = {path: data for path, (data, _) in contents(tmp_path).items() if "tags.sqlite" not in path.name}
    assert got == expected

    step = 0
    while killed(library, "--undo", calls=step):
        step += 1
    assert run(library, "--undo") == 0
    assert contents(library) == original
    assert not list((tmp_path / "copies").glob("*"))


@pytest.mark.parametrize("calls", range(3, 42, 6))
def test_undo_after_a_kill_leaves_nothing_behind(library, calls):
    original = contents(library)
    killed(library, "--write", "sidecar", calls=calls)
    assert run(library, "--undo") == 0
    assert not list(library.rglob("*.xmp"))
    assert {path: contents(library)[path] for path in original} == original


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
def test_a_kill_while_tags_are_taken_back_changes_nothing_of_the_result(library, tmp_path, mode, monkeypatch):
    original = contents(tmp_path)
    arguments = ["--write", mode]
    if mode == "copy":
        arguments += ["--to", str(tmp_path / "copies")]
    assert run(library, *arguments) == 0
    monkeypatch.setattr(FakePredictor, "known_threshold", 0.999)  # nothing is recognised any more
    kills = 0
    while killed(library, *arguments, calls=kills):
        kills += 1  # what was taken back stays so
    assert kills > 9
    after = contents(tmp_path)
    assert {path for path in after if "tags." not in path.name} == set(original)
    assert {path: after[path] for path in original} == original
    with Catalog(Path("tags.sqlite")) as catalog:
        assert catalog.writes.below(str(library)) == []


def test_kills_at_random_moments(library, fake, monkeypatch):
    for number in range(40):
        photo(library / f"{number}.jpg", (200, number, 40), side=300 + number)
    assert run(library, "--out", "whole.csv") == 0
    quick = fake.predict

    def slow(self, pictures):
        time.sleep(0.01)
        return quick(self, pictures)

    monkeypatch.setattr(fake, "predict", slow)
    kills = sum(killed(library, after=delay) for delay in (0.05, 0.11, 0.17, 0.23))
    assert kills
    assert run(library) == 0
    assert Path("tags.csv").read_bytes() == Path("whole.csv").read_bytes()
