"""The file of own landmarks: it comes back as it was, also from two runs at once, and stays on failure."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from own_file_samples import BRIDGE, DATA, EXPORT, TAUGHT, about, file_with

from src.files import FileError
from src.inference import own_file
from src.inference.own import Example, Own, OwnError, Taught
from src.inference.own_file import (
    MOST_EXAMPLES,
    MOST_LANDMARKS,
    OtherExportError,
    changing,
    from_any_export,
    from_bytes,
    load_any,
    load_own,
    save_own,
    to_bytes,
)
from src.inference.space import Space, unit
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

ROOT = Path(__file__).parents[1]


def test_own_landmarks_come_back():
    assert from_bytes(DATA, EXPORT) == TAUGHT
    assert from_any_export(DATA) == (EXPORT, TAUGHT)
    assert from_bytes(to_bytes({}, EXPORT), EXPORT) == {}


def test_a_file_from_before_paths_were_kept():
    examples = [
        [{k: v for k, v in one.items() if k != "path"} for one in some] for some in about()["examples"]
    ]
    taught = from_bytes(file_with(examples=examples), EXPORT)
    assert taught["橋"] == BRIDGE
    assert [example.path for example in taught["Grandma's house"].examples] == ["", ""]


def test_another_exports_file_is_told_from_a_damaged_one(tmp_path):
    save_own(tmp_path / "mine.npz", TAUGHT, EXPORT)
    with pytest.raises(
        OtherExportError, match=r"^mine\.npz was made with another export: renew it .*--renew"
    ):
        load_own(tmp_path / "mine.npz", "f" * 16)
    assert load_any(tmp_path / "mine.npz") == (EXPORT, TAUGHT)


def test_an_export_without_a_space_says_so():
    with pytest.raises(OwnError, match="from before places could be taught: take a newer one"):
        from_bytes(DATA, "")


@pytest.mark.parametrize(
    ("taught", "sentence"),
    [
        (
            {"A": Taught(Landmark("A", "A"), (BRIDGE.examples[0],) * (MOST_EXAMPLES + 1))},
            "A would have 101 photos",
        ),
        ({"A": Taught(Landmark("A", "A"), ())}, "A would have 0 photos"),
        ({"A" * 201: Taught(Landmark("A" * 201, "A" * 201), BRIDGE.examples)}, "too long a name"),
        ({str(i): BRIDGE for i in range(MOST_LANDMARKS + 1)}, "at most 10,000 own landmarks"),
    ],
    ids=["examples", "none", "name", "landmarks"],
)
def test_what_could_not_be_read_again_is_not_written(taught, sentence, tmp_path):
    path = tmp_path / "mine.npz"
    save_own(path, TAUGHT, EXPORT)
    with pytest.raises(OwnError, match=sentence):
        save_own(path, taught, EXPORT)
    assert load_own(path, EXPORT) == TAUGHT


def test_too_much_text_is_not_written(monkeypatch):
    monkeypatch.setattr(own_file, "MOST_TEXT", 100)
    with pytest.raises(OwnError, match="more own landmarks than one file can hold"):
        to_bytes(TAUGHT, EXPORT)


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "mine.npz"
    save_own(path, TAUGHT, EXPORT)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match=r"mine\.npz cannot be written: the disk is full"):
        save_own(path, {}, EXPORT)
    monkeypatch.undo()
    assert load_own(path, EXPORT) == TAUGHT
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.npz"]


def test_where_no_lock_can_be_made_nothing_is_begun(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(FileError, match=r"mine\.npz cannot be written"),
        changing(tmp_path / "file" / "mine.npz"),
    ):
        pytest.fail("it was begun")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_two_runs_at_once_wait_for_each_other(tmp_path):
    """Each of four processes adds a landmark; the file is read and written while no other does."""
    code = """
import sys, time
from pathlib import Path
from src.inference.own import Example, Taught
from src.inference.own_file import changing, load_own, save_own
from src.landmarks.table import Landmark
path, name = Path(sys.argv[1]), sys.argv[2]
with changing(path):
    taught = load_own(path, "export") if path.exists() else {}
    time.sleep(0.3)
    save_own(path, {**taught, name: Taught(Landmark(name, name), (Example(name, name, bytes(4)),))}, "export")
"""
    path = tmp_path / "new" / "mine.npz"
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT)
        for name in ("a", "b", "c", "d")
    ]
    assert [run.wait(60) for run in runs] == [0] * 4
    assert sorted(load_own(path, "export")) == ["a", "b", "c", "d"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_lock_is_given_back_after_a_failure(tmp_path):
    with pytest.raises(OwnError), changing(tmp_path / "mine.npz"):
        raise OwnError
    entered = threading.Event()

    def enter():
        with changing(tmp_path / "mine.npz"):
            entered.set()

    threading.Thread(target=enter, daemon=True).start()
    assert entered.wait(10)


def test_ten_thousand_own_landmarks_are_read_and_judged():
    """With as many features as the committed model has."""
    width, generator = 2560, np.random.default_rng(0)
    features = generator.integers(0, 256, (MOST_LANDMARKS, width), np.uint8)
    taught = {}
    for i, row in enumerate(features):
        name = f"Place {i}"
        example = Example(f"{i:032}", "IMG_1.jpg", row.tobytes(), f"/home/somebody/{i}/IMG_1.jpg")
        taught[name] = Taught(Landmark(name, name, "Somewhere"), (example,))
    data = to_bytes(taught, EXPORT)
    start = time.monotonic()
    axes, cohort = np.eye(width, dtype=np.float32), unit(generator.random((300, width), np.float32))
    space = Space(axes[0] * 0, axes[:, :1], axes[0, :1], axes[:2], axes[:0], cohort)
    own = Own(space, from_bytes(data, EXPORT), [Landmark("a", "a"), Landmark("b", "b")], 0.9)
    silent = Answer.judged([Guess(Landmark("a", "a"), 0.01)], 0.01, 0.9, features[1234].tobytes())
    [found] = own.judge([silent])
    assert found.guesses[0].landmark.name == "Place 1234"
    assert time.monotonic() - start < 30  # two seconds on an idle core
