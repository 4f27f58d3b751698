"""The command `src.teach`, with a real export: places of a person's own are learned, listed, forgotten."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import encode
from metadata_samples import rational
from PIL import Image

from src import teach
from src.data.folders import load_pictures
from src.inference.own import Own
from src.inference.own_file import load_any, load_own, save_own
from src.inference.predictor import Predictor
from src.inference.report import answer_report, final_answers, read_report

ROOT = Path(__file__).parents[1]
YELLOW, PINK, RED = (235, 235, 30), (235, 30, 235), (235, 30, 30)
FILE = Path("my_landmarks.npz")


def photo(path, colour=YELLOW, seed=0, at=None):
    """A photo of one colour with noise, and perhaps where it was taken, in whole degrees."""
    noise = np.random.default_rng(seed).integers(-20, 20, (48, 64, 3))
    picture = Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
    exif = Image.Exif()
    if at:
        exif[0x8825] = {
            1: "S" if at[0] < 0 else "N",
            2: rational(abs(at[0]), 0, 0),
            3: "W" if at[1] < 0 else "E",
            4: rational(abs(at[1]), 0, 0),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(picture, exif=exif))
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(tiny_export, capsys):
    """Run the command: exit status, lines of its output and of its errors."""

    def run(*arguments):
        try:
            status = teach.main(["--model", str(tiny_export), *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


@pytest.fixture
def photos(folder):
    """Five photos of a yellow house."""
    return [photo(folder / "house" / f"IMG_{n}.jpg", seed=n) for n in range(5)]


def landmarks(path=FILE):
    return load_any(Path(path))[1]


def named(tiny_export, colour, path=FILE):
    """What a photo is named with the own landmarks of the file."""
    predictor = Predictor.load(tiny_export)
    taught = load_own(path, predictor.space_id)
    own = Own.beside(predictor, taught)
    data = photo(Path("asked.jpg"), colour, seed=99).read_bytes()
    report = answer_report(read_report(data, "asked.jpg", short_side=64, thumbnail_side=1), predictor)
    [found] = final_answers([report], predictor.known_threshold, 3, own=own)
    return found.answer.guesses[0].landmark.name if found.answer.recognised else None


def test_a_place_is_learned_from_its_photos(run, photos, tiny_export):
    status, said, errors = run("Grandma's house", *photos, "--tags", "family, garden,family", "--city", "Ulm")
    assert (status, errors) == (0, [])
    assert said == [
        "Grandma's house is known by 5 photos.",
        "It has no position, as no photo says where it was taken: --at LAT,LON gives it one.",
        "5 of 5 photos are recognised by the others.",
        "my_landmarks.npz has it: python -m src.tag PHOTOS --own my_landmarks.npz",
    ]
    [one] = landmarks().values()
    assert one.landmark.class_name == one.landmark.name == "Grandma's house"
    assert (one.landmark.city, one.landmark.tags) == ("Ulm", ("family", "garden"))
    assert [(example.name, example.path) for example in one.examples] == [(p.name, str(p)) for p in photos]
    assert named(tiny_export, YELLOW) == "Grandma's house"
    assert named(tiny_export, RED) == "Taj Mahal"
    assert named(tiny_export, PINK) is None


def test_folders_are_looked_through_and_options_may_stand_anywhere(run, photos):
    photo(Path("house/below/6.jpg"), seed=6)
    status, said, _ = run("--into", "other.npz", "House", "--tags", "home", "house", "--city", "Ulm")
    assert status == 0
    assert said[0] == "House is known by 6 photos."
    assert len(landmarks("other.npz")["House"].examples) == 6
    assert not FILE.exists()


def test_one_photo_is_enough_and_more_are_advised(run, photos, tiny_export):
    status, said, _ = run("House", photos[0])
    assert status == 0
    assert said[0] == "House is known by 1 photo."
    assert said[2:4] == [
        "How well it is recognised shows only with a second photo.",
        "With 5 photos, as different as those to be found, it is recognised better.",
    ]
    assert named(tiny_export, YELLOW) == "House"


def test_copies_count_once(run, photos):
    Path("copy.jpg").write_bytes(photos[0].read_bytes())
    _, said, _ = run("House", "house", "copy.jpg", photos[1])
    assert said[0] == "House is known by 5 photos."
    assert "Passed over as copies: 1." in said
    _, said, _ = run("House", "copy.jpg", "--add")
    assert said[0] == "House is known by 5 photos."
    assert "Passed over as copies: 1." in said


# Where it is


def test_the_position_is_the_middle_of_the_photos_own(run, folder):
    places = [(48, 9), (49, 10), (48, 11), (50, 10), (0, 0), None]
    for n, at in enumerate(places):
        photo(folder / "house" / f"{n}.jpg", seed=n, at=at)
    status, said, _ = run("House", "house")
    assert status == 0
    assert said[0] == "House is known by 6 photos, at 48.50000, 10.00000."
    assert said[1] == "The position is the middle of 4 photos."
    assert (landmarks()["House"].landmark.latitude, landmarks()["House"].landmark.longitude) == (48.5, 10)


def test_a_position_where_the_day_begins(run, folder):
    for n, longitude in enumerate((179, -179, -178)):
        photo(folder / "house" / f"{n}.jpg", seed=n, at=(-17, longitude))
    run("House", "house")
    assert landmarks()["House"].landmark.longitude == -179


def test_a_position_that_is_given_counts_and_stays(run, photos, folder):
    far = photo(folder / "far.jpg", seed=7, at=(48, 9))
    status, said, _ = run("House", *photos[:4], far, "--at", "-33.8568, 151.2153")
    assert status == 0
    assert said[0] == "House is known by 5 photos, at -33.85680, 151.21530."
    assert "far.jpg was taken too far away to show the place: is it one of it?" in said
    run("House", photos[4], "--add", "--city", "Sydney")
    landmark = landmarks()["House"].landmark
    assert (landmark.latitude, landmark.longitude, landmark.city) == (-33.8568, 151.2153, "Sydney")


@pytest.mark.parametrize("text", ["91,0", "0,181", "0,0", "nan,3", "48", "48,9,1", "north,9", "", "48;9"])
def test_what_is_no_position(run, photos, text):
    status, _, errors = run("House", *photos, f"--at={text}")
    assert status == 2
    assert errors[-1].endswith(
        ("is no place on Earth: give degrees, latitude first", "such as 48.137,11.575")
    )
    assert not FILE.exists()


# What does not fit


def test_a_photo_of_something_else_is_pointed_out(run, photos, folder):
    other = photo(folder / "other.jpg", PINK)
    status, said, _ = run("House", *photos, other)
    assert status == 0
    assert "5 of 6 photos are recognised by the others." in said
    assert "other.jpg looks unlike the other photos: does it show the place?" in said


def test_landmarks_that_look_alike_are_pointed_out(run, photos, folder):
    run("House", *photos)
    _, said, _ = run("Barn", photos[0], photo(folder / "barn.jpg", seed=8), photo(folder / "2.jpg", RED))
    assert "House was taught with one of these photos, too: is that right?" in said
    _, said, _ = run("Shed", photo(folder / "shed.jpg", seed=9))
    assert "Shed looks like House: their photos may be taken for each other's." in said


def test_a_built_in_landmark_is_taught_better(run, folder, tiny_export):
    status, said, _ = run("taj mahal", photo(folder / "1.jpg", PINK), photo(folder / "2.jpg", PINK, seed=1))
    assert status == 0
    assert said[:2] == [
        "Taj Mahal is known by 2 photos.",
        "The export knows it already: these photos teach it better.",
    ]
    assert named(tiny_export, PINK) == "Taj Mahal"
    status, _, errors = run("Taj Mahal", folder / "1.jpg", "--at", "48,9", "--add")
    assert status == 2
    assert errors == ["Taj Mahal is known with its place and tags: give only its photos."]


def test_a_built_in_landmark_stays_where_it_is(run, folder):
    _, said, _ = run(
        "Taj Mahal", photo(folder / "there.jpg", RED, at=(27, 78)), photo(folder / "1.jpg", RED, 1, (48, 9))
    )
    assert said[0] == "Taj Mahal is known by 2 photos."
    assert landmarks()["Taj Mahal"].landmark.latitude is None
    assert [line.split()[0] for line in said if "too far away" in line] == ["1.jpg"]


# What was taught before


def test_a_name_that_is_there_needs_a_word(run, photos, folder):
    run("House", *photos[:2], "--tags", "home", "--city", "Ulm")
    before = FILE.read_bytes()
    status, _, errors = run("house", *photos)
    assert status == 2
    assert errors == [
        "House is there already, with 2 photos: give --add for more, or --replace to begin anew."
    ]
    assert FILE.read_bytes() == before
    assert run("HOUSE", *photos[2:4], "--add", "--tags", "red")[0] == 0
    one = landmarks()["House"]
    assert len(one.examples) == 4
    assert (one.landmark.tags, one.landmark.city) == (("red",), "Ulm")
    assert run("house", photos[4], "--replace")[0] == 0
    assert list(landmarks()) == ["house"]
    one = landmarks()["house"]
    assert (len(one.examples), one.landmark.tags, one.landmark.city) == (1, (), "")
    assert run("House", photos[4], "--add", "--replace")[0] == 2


def test_places_are_listed_and_forgotten(run, photos, folder):
    run("The house", *photos, "--at", "48.4,9.99", "--tags", "family,home", "--city", "Ulm")
    run("barn", photo(folder / "barn.jpg", PINK))
    assert run("--list") == (
        0,
        ["barn: 1 photo", "The house: 5 photos, at 48.40000, 9.99000; Ulm; family, home"],
        [],
    )
    assert run("--forget", "the HOUSE") == (
        0,
        ["The house and what was seen on its photos are forgotten."],
        [],
    )
    assert b"IMG_1" not in FILE.read_bytes()
    assert run("--list")[1] == ["barn: 1 photo"]
    status, _, errors = run("--forget", "the house")
    assert status == 2
    assert errors == ["my_landmarks.npz has no landmark the house: see what it has with --list."]
    run("--forget", "barn")
    assert run("--list") == (0, [], [])


@pytest.mark.parametrize("step", [["--list"], ["--forget", "a"], ["--renew"], ["--export-training", "set"]])
def test_steps_need_the_file(run, step):
    status, _, errors = run(*step)
    assert status == 2
    assert errors == [
        "my_landmarks.npz is not there: teach it a landmark first, or name another file with --into."
    ]
    assert list(Path().iterdir()) == []


# What cannot be


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


def test_a_name_is_kept_on_one_line(run, photos):
    assert run("Grandma's\n house\x1b[2J", photos[0])[1][0] == "Grandma's house [2J is known by 1 photo."


def test_photos_that_cannot_be_read_are_said_and_the_others_learned(run, photos, folder):
    (folder / "text.jpg").write_text("no photo")
    status, said, errors = run("House", *photos, "text.jpg", "missing.jpg")
    assert status == 1
    assert said[0] == "House is known by 5 photos."
    assert [error.split(" ")[0] for error in errors] == ["text.jpg", "missing.jpg"]
    status, said, errors = run("Barn", "text.jpg", "missing.jpg")
    assert (status, said) == (1, [])
    [error] = errors
    assert error.startswith("Nothing can be learned from these photos: text.jpg is not a picture")
    assert list(landmarks()) == ["House"]


def test_a_folder_without_photos(run, folder):
    (folder / "empty").mkdir()
    assert run("House", "empty") == (1, [], ["empty has no photos: give some."])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_not_waited_for(run, photos):
    os.mkfifo("pipe.jpg")
    status, said, errors = run("House", *photos, "pipe.jpg")
    assert (status, errors) == (1, ["pipe.jpg is no ordinary file; give photos."])
    assert said[0] == "House is known by 5 photos."


def test_more_photos_than_a_place_may_have(run, photos, folder):
    for n in range(101):
        (folder / "many" / f"{n}.jpg").parent.mkdir(exist_ok=True)
        (folder / "many" / f"{n}.jpg").write_bytes(b"never opened")
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


def test_where_nothing_can_be_written(run, photos, folder):
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


# Another export


@pytest.fixture
def former(run, photos, folder):
    """A file that another export made, with more features: of a house, a barn, and one taught in the app."""
    run("House", *photos, "--tags", "home")
    run("Barn", photo(folder / "barn.jpg", PINK), photo(folder / "barn2.jpg", PINK, seed=1))
    run("Shed", photo(folder / "shed.jpg", (30, 235, 235)))
    taught = {name: seen_by_another(one, path=name != "Shed") for name, one in load_any(FILE)[1].items()}
    save_own(FILE, taught, "another export")
    return taught


def seen_by_another(one, path):
    examples = [
        replace(example, features=bytes(7), path=example.path if path else "") for example in one.examples
    ]
    return replace(one, examples=tuple(examples))


def test_the_file_of_another_export_is_not_added_to(run, photos, former):
    before = FILE.read_bytes()
    status, _, errors = run("New", photos[0])
    assert status == 2
    assert errors == [
        "my_landmarks.npz was made with another export: renew it (python -m src.teach --renew), or teach its "
        "landmarks again from their photos."
    ]
    assert FILE.read_bytes() == before
    assert [line.split(":")[0] for line in run("--list")[1]] == ["Barn", "House", "Shed"]
    assert run("--forget", "Barn")[0] == 0
    assert load_any(FILE)[0] == "another export"


def test_it_is_renewed_from_photos_that_are_where_they_were(run, photos, former, tiny_export):
    before = FILE.read_bytes()
    Path("barn2.jpg").write_bytes(b"another file")
    status, said, errors = run("--renew")
    assert (status, errors) == (0, [])
    assert said == [
        "my_landmarks.npz fits the export; landmarks in it: 2.",
        "Barn has lost photos that are not where they were.",
        "Shed must be taught again: none of its photos is where it was.",
        "What was there before is kept in my_landmarks.before.npz.",
    ]
    assert Path("my_landmarks.before.npz").read_bytes() == before
    taught = landmarks()
    assert [len(taught[name].examples) for name in ("House", "Barn")] == [5, 1]
    assert taught["House"].landmark == former["House"].landmark
    assert named(tiny_export, YELLOW) == "House"
    assert run("--renew")[1] == ["my_landmarks.npz fits the export; landmarks in it: 2."]


def test_what_was_kept_before_is_never_replaced(run, former):
    Path("my_landmarks.before.npz").write_bytes(b"kept")
    before = FILE.read_bytes()
    assert run("--renew")[1][-1] == "What was there before is kept in my_landmarks.before1.npz."
    assert Path("my_landmarks.before.npz").read_bytes() == b"kept"
    assert Path("my_landmarks.before1.npz").read_bytes() == before


def test_nothing_is_kept_where_nothing_is_lost(run, former):
    run("--forget", "Shed")
    assert run("--renew")[1] == ["my_landmarks.npz fits the export; landmarks in it: 2."]
    assert not Path("my_landmarks.before.npz").exists()


def test_where_no_photo_is_left_nothing_is_renewed(run, former, photos):
    before = FILE.read_bytes()
    for path in (*photos, Path("barn.jpg"), Path("barn2.jpg")):
        path.unlink()
    status, _, errors = run("--renew")
    assert status == 2
    assert errors[0].startswith("None of the photos that my_landmarks.npz was made from is where it was")
    assert FILE.read_bytes() == before


# Photos to train with


def files(root="set"):
    return sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file())


def test_photos_become_a_data_set(run, photos, folder):
    run("Grandma's house", *photos)
    run("taj mahal", photo(folder / "t1.jpg", RED), photo(folder / "t2.jpg", RED, seed=1))
    run("Single", photo(folder / "single.jpg", PINK))
    status, said, _ = run("--export-training", "set")
    assert status == 0
    assert said == [
        "Grandma's house: 5 photos to 03.Grandma's_house",
        "Single: left out, as it takes two photos",
        "Taj Mahal: 2 photos to 00.Taj_Mahal",
        "Train with: python -m src.train --model transfer --data set",
    ]
    counts = {}
    for name in files():
        counts[name.rpartition("/")[0]] = counts.get(name.rpartition("/")[0], 0) + 1
    assert counts == {
        "train/00.Taj_Mahal": 1,
        "test/00.Taj_Mahal": 1,
        "train/03.Grandma's_house": 4,
        "test/03.Grandma's_house": 1,
    }
    contents = {path.read_bytes() for path in Path("set").rglob("*.jpg")}
    assert {path.read_bytes() for path in photos} < contents
    pictures = load_pictures("set", sizes=(32,), workers=0, cache=folder / "cache")
    assert pictures.class_names == ["00.Taj_Mahal", "03.Grandma's_house"]
    assert len(pictures.test.dataset) == 2


def test_a_data_set_that_is_there_is_added_to(run, photos, folder):
    kept = photo(folder / "set" / "train" / "07.Old_Bridge" / "1.jpg", RED)
    photo(folder / "set" / "test" / "07.Old_Bridge" / "2.jpg", RED)
    run("Old Bridge", *photos[:3])
    run("House", *photos)
    run("--export-training", "set")
    before = {name: (folder / "set" / name).stat().st_mtime_ns for name in files()}
    assert {name.split("/")[1] for name in files()} == {"07.Old_Bridge", "08.House"}
    assert len(files("set/train/07.Old_Bridge")) + len(files("set/test/07.Old_Bridge")) == 5
    assert kept.is_file()
    run("House", photo(folder / "6.jpg", seed=6), "--add")
    photos[0].unlink()
    status, said, _ = run("--export-training", "set")
    assert status == 0
    assert said[0] == "House: 1 photo to 08.House; 1 photo not found where taught"
    assert said[1] == "Old Bridge: 0 photos to 07.Old_Bridge; 1 photo not found where taught"
    assert len(files()) == len(before) + 1
    assert before == {name: (folder / "set" / name).stat().st_mtime_ns for name in before}


def test_places_whose_folders_would_have_one_name_stay_apart(run, folder):
    for name, colour in (("Cafe A/B", YELLOW), ("Cafe A:B", PINK)):
        run(name, *(photo(folder / f"{colour[2]}{n}.jpg", colour, seed=n) for n in range(3)))
    lines = run("--export-training", "set")[1]
    folders = [line.rsplit(" to ", 1)[1] for line in lines[:2]]
    assert folders[0] == "03.Cafe_A-B" and re.fullmatch(r"04\.Cafe_A-B_[0-9a-f]{6}", folders[1])
    assert run("--export-training", "set")[1][0].startswith("Cafe A/B: 0 photos to 03.")
    assert len(files()) == 6


def test_hidden_files_of_a_data_set_count_as_no_photos(run, photos, folder):
    (folder / "set" / "train" / "03.House").mkdir(parents=True)
    for name in (".DS_Store", ".hidden.jpg", "._1.jpg", ".4.jpg"):
        (folder / "set" / "train" / "03.House" / name).touch()
    run("House", *photos)
    run("--export-training", "set")
    assert (len(files("set/train")), len(files("set/test"))) == (4 + 4, 1)


def test_no_photo_is_both_trained_and_tested_with(run, folder):
    for n in range(23):
        photo(folder / "house" / f"{n}.jpg", seed=n)
    run("House", "house")
    run("--export-training", "set")
    train, test = files("set/train"), files("set/test")
    assert not set(train) & set(test)
    assert (len(train), len(test)) == (18, 5)


def test_a_changed_photo_is_not_taken(run, photos):
    run("House", *photos)
    photo(photos[0], PINK)
    assert (
        run("--export-training", "set")[1][0] == "House: 4 photos to 03.House; 1 photo not found where taught"
    )


# How fast


def test_help_needs_no_model():
    code = (
        "import sys, src.teach; print(*sorted({'numpy', 'torch', 'PIL', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_torch_is_not_needed(photos, tiny_export):
    code = (
        "import sys, src.teach; status = src.teach.main(sys.argv[1:]);"
        "print(status, *sorted({'torch', 'voila', 'pyarrow'} & set(sys.modules)))"
    )
    run = [
        sys.executable,
        "-c",
        code,
        "--model",
        tiny_export,
        "--into",
        Path(FILE).absolute(),
        "House",
        *photos,
    ]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
