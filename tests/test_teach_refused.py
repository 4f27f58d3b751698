"""What `src.teach` cannot learn or write: one sentence says so, and the file stays as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from teach_photos import FILE, YELLOW, landmarks, photo

from src import teach
from src.inference.predictor import Predictor

pytest_plugins = ("teach_fixtures",)

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments",
    [[], ["House"], ["--list", "--renew"], ["House", "a.jpg", "--list"], ["--list", "House"], ["--add"]],
)
def test_wrong_usage(run, arguments):
    status, _, errors = run(*arguments)
    assert status == 2
    assert "give a name and photos, or one of --list, --forget" in errors[-1]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "The name is empty: give the landmark one."),
        (" \t\n", "The name is empty: give the landmark one."),
        ("x" * 201, f"{'x' * 40}… is too long: take at most 200 letters."),
    ],
)
def test_what_is_no_name(run, photos, name, sentence):
    status, _, errors = run(name, *photos)
    assert (status, errors) == (2, [sentence])
    assert not FILE.exists()


def test_a_photo_where_the_name_belongs(run, photos):
    """As where the name was forgotten: else the first photo would be lost, and its path be the name."""
    status, said, errors = run(*photos)
    assert (status, said) == (2, [])
    assert errors[-1].endswith(f"{photos[0]} is a file: give the name of the place, and then its photos")
    assert not FILE.exists()
    assert run("house", "house")[0] == 0  # a folder may well be called like the place


def test_a_name_that_cannot_be_seen_is_none(run, photos):
    sentence = "The name is empty: give the landmark one."
    assert run("\u200d \u202e", photos[0]) == (2, [], [sentence])


@pytest.mark.parametrize("into", ["", ".", "/"])
@pytest.mark.parametrize("step", [("House", "house"), ("--list",), ("--forget", "House"), ("--renew",)])
def test_what_can_be_no_file(run, photos, into, step):
    status, said, errors = run(*step, f"--into={into}")
    assert (status, said) == (2, [])
    assert errors[-1].endswith(f"{into or 'nothing'} is no file: give one such as my_landmarks.npz")


def test_a_name_is_kept_on_one_line(run, photos):
    assert run("Grandma's\n house\x1b[2J", photos[0])[1][0] == "Grandma's house [2J is known by 1 photo."


def test_photos_that_cannot_be_read_are_said_and_the_others_learned(run, photos, here):
    (here / "text.jpg").write_text("no photo")
    status, said, errors = run("House", *photos, "text.jpg", "missing.jpg")
    assert status == 1
    assert said[0] == "House is known by 5 photos."
    assert [error.split(" ")[0] for error in errors] == ["text.jpg", "missing.jpg"]
    status, said, errors = run("Barn", "text.jpg", "missing.jpg")
    assert (status, said) == (1, [])
    [error] = errors
    assert error.startswith("Nothing can be learned from these photos: text.jpg is not a picture")
    assert list(landmarks()) == ["House"]


def test_a_folder_without_photos(run, here):
    (here / "empty").mkdir()
    assert run("House", "empty") == (1, [], ["empty has no photos: give some."])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(run, photos):
    os.mkfifo("pipe.jpg")
    status, said, errors = run("House", *photos, "pipe.jpg")
    assert (status, errors) == (1, ["pipe.jpg is no ordinary file; give photos."])
    assert said[0] == "House is known by 5 photos."


def test_more_photos_than_a_place_may_have(run, photos, here):
    for n in range(101):
        (here / "many" / f"{n}.jpg").parent.mkdir(exist_ok=True)
        (here / "many" / f"{n}.jpg").write_bytes(b"never opened")
    status, _, errors = run("House", "many")
    assert status == 2
    assert errors == ["These are 101 photos: give House at most 100, the most different ones."]


def test_of_photos_that_are_added_again_copies_do_not_count_against_the_limit(run, photos, monkeypatch):
    monkeypatch.setattr("src.library.teach_own.MOST_EXAMPLES", 6)
    monkeypatch.setattr("src.inference.own_file.MOST_EXAMPLES", 6)
    assert run("House", *photos)[0] == 0
    again = [*photos, photo(Path("sixth.jpg"), YELLOW, seed=90)]
    assert run("House", *again, "--add")[0] == 0
    assert len(landmarks()["House"].examples) == 6
    before = FILE.read_bytes()
    status, _, errors = run("House", photo(Path("seventh.jpg"), YELLOW, seed=91), "--add")
    assert (status, errors) == (2, ["House would have 7 photos: give it 1 to 6."])
    assert FILE.read_bytes() == before


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (["House", "1.jpg"], "Stopped; nothing was changed."),
        (["--renew"], "Stopped; start again to go on."),
        (["--export-training", "set"], "Stopped; start again to go on."),
    ],
)
def test_stopped_by_hand(run, photos, monkeypatch, step, said):
    def stop(_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(teach, "_run", stop)
    assert run(*step) == (130, [], [said])


def test_an_export_that_can_be_taught_nothing(run, photos, monkeypatch):
    monkeypatch.setattr(Predictor, "space_id", "")
    for step in (["House", *photos], ["--renew"]):
        assert run(*step) == (2, [], ["This export is from before places could be taught: take a newer one."])


def test_a_model_that_is_not_there(photos, capsys):
    assert teach.main(["House", str(photos[0]), "--model", "missing.pt"]) == 2
    assert "missing.pt is not there" in capsys.readouterr().err


def test_a_file_that_is_none_is_left_alone(run, photos):
    FILE.write_bytes(b"my diary")
    for step in (["House", *photos], ["--list"], ["--forget", "House"], ["--renew"]):
        status, _, errors = run(*step)
        assert status == 2
        assert errors == [
            "my_landmarks.npz is damaged or no file of own landmarks: take another copy, or teach them again."
        ]
    assert FILE.read_bytes() == b"my diary"


def test_where_nothing_can_be_written(run, photos, here):
    status, said, errors = run("House", *photos, "--into", photos[0] / "mine.npz")
    assert (status, said) == (1, [])
    assert errors[0].startswith("mine.npz cannot be written")


def test_a_full_disk_leaves_the_file_as_it_was(run, photos, monkeypatch):
    run("House", *photos)
    before = FILE.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    status, _, errors = run("Barn", photos[0])
    assert status == 1
    assert errors == ["my_landmarks.npz cannot be written: the disk is full; make room and try again."]
    assert FILE.read_bytes() == before


def test_two_runs_at_once_lose_nothing(photos, tiny_export):
    command = [sys.executable, "-m", "src.teach", "--model", tiny_export, "--into", Path(FILE).absolute()]
    runs = [
        subprocess.Popen([*command, name, photos[n]], cwd=ROOT, stdout=subprocess.DEVNULL)
        for n, name in enumerate(("House", "Barn", "Shed"))
    ]
    assert [run.wait(60) for run in runs] == [0] * 3
    assert sorted(landmarks()) == ["Barn", "House", "Shed"]
