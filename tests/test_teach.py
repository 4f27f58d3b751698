"""The command `src.teach`, with a real export: places of a person's own are learned, listed, forgotten."""

import subprocess
import sys
from pathlib import Path

import pytest
from teach_photos import FILE, PINK, RED, YELLOW, landmarks, named, photo

pytest_plugins = ("teach_fixtures",)

ROOT = Path(__file__).parents[1]


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


def test_the_position_is_the_middle_of_the_photos_own(run, here):
    places = [(48, 9), (49, 10), (48, 11), (50, 10), (0, 0), None]
    for n, at in enumerate(places):
        photo(here / "house" / f"{n}.jpg", seed=n, at=at)
    status, said, _ = run("House", "house")
    assert status == 0
    assert said[0] == "House is known by 6 photos, at 48.50000, 10.00000."
    assert said[1] == "The position is the middle of 4 photos."
    assert (landmarks()["House"].landmark.latitude, landmarks()["House"].landmark.longitude) == (48.5, 10)


def test_the_position_of_a_single_photo(run, here):
    assert run("House", photo(here / "1.jpg", at=(48, 9)))[1][1] == "The position is that of 1 photo."


def test_a_position_where_the_day_begins(run, here):
    for n, longitude in enumerate((179, -179, -178)):
        photo(here / "house" / f"{n}.jpg", seed=n, at=(-17, longitude))
    run("House", "house")
    assert landmarks()["House"].landmark.longitude == -179


def test_a_position_that_is_given_counts_and_stays(run, photos, here):
    far = photo(here / "far.jpg", seed=7, at=(48, 9))
    status, said, _ = run("House", *photos[:4], far, "--at", "-33.8568, 151.2153")
    assert status == 0
    assert said[0] == "House is known by 5 photos, at -33.85680, 151.21530."
    assert "far.jpg was taken too far away to show the place: is it the right one?" in said
    run("House", photos[4], "--add", "--city", "Sydney")
    landmark = landmarks()["House"].landmark
    assert (landmark.latitude, landmark.longitude, landmark.city) == (-33.8568, 151.2153, "Sydney")


@pytest.mark.parametrize("text", ["91,0", "0,181", "0,0", "nan,3", "48", "48,9,1", "north,9", "", "48;9"])
def test_what_is_no_position(run, photos, text):
    status, _, errors = run("House", *photos, f"--at={text}")
    assert status == 2
    assert errors[-1].endswith(
        ("is no place on Earth: give degrees, latitude first", "without spaces, as 48.137,11.575")
    )
    assert not FILE.exists()


# What does not fit


def test_a_photo_of_something_else_is_pointed_out(run, photos, here):
    other = photo(here / "other.jpg", PINK)
    status, said, _ = run("House", *photos, other)
    assert status == 0
    assert "5 of 6 photos are recognised by the others." in said
    assert "other.jpg looks unlike the other photos: does it show the place?" in said


def test_of_photos_of_one_name_the_folder_is_said(run, here):
    """As cameras begin their numbers again."""
    for n in range(4):
        photo(here / "house" / f"{n}.jpg", seed=n, at=(48, 9))
    photo(here / "trip" / "1.jpg", PINK, at=(50, 9))
    _, said, _ = run("House", "house", "trip")
    assert "trip/1.jpg looks unlike the other photos: does it show the place?" in said
    assert "trip/1.jpg was taken too far away to show the place: is it the right one?" in said


def test_landmarks_that_look_alike_are_pointed_out(run, photos, here):
    run("House", *photos)
    _, said, _ = run("Barn", photos[0], photo(here / "barn.jpg", seed=8), photo(here / "2.jpg", RED))
    assert "One of these photos is also one of House: is that right?" in said
    _, said, _ = run("Shed", photo(here / "shed.jpg", seed=9))
    assert "Shed looks like House, Barn: their photos may be taken for each other's." in said


def test_of_many_that_look_alike_some_are_named(run, here):
    for n in range(4):
        run(f"House {n}", photo(here / f"{n}.jpg", seed=n))
    _, said, _ = run("Shed", photo(here / "shed.jpg", seed=9))
    [line] = [sentence for sentence in said if "looks like" in sentence]
    assert line == (
        "Shed looks like House 0, House 1, House 2 and 1 more: their photos may be taken for each other's."
    )


def test_a_built_in_landmark_is_taught_better(run, here, tiny_export):
    status, said, _ = run("taj mahal", photo(here / "1.jpg", PINK), photo(here / "2.jpg", PINK, seed=1))
    assert status == 0
    assert said[:2] == [
        "Taj Mahal is known by 2 photos.",
        "The export knows it already: these photos teach it better.",
    ]
    assert named(tiny_export, PINK) == "Taj Mahal"
    status, _, errors = run("Taj Mahal", here / "1.jpg", "--at", "48,9", "--add")
    assert status == 2
    assert errors == ["Taj Mahal is known with its place and tags: give only its photos."]


def test_a_built_in_landmark_stays_where_it_is(run, here):
    _, said, _ = run(
        "Taj Mahal", photo(here / "there.jpg", RED, at=(27, 78)), photo(here / "1.jpg", RED, 1, (48, 9))
    )
    assert said[0] == "Taj Mahal is known by 2 photos."
    assert landmarks()["Taj Mahal"].landmark.latitude is None
    assert [line.split()[0] for line in said if "too far away" in line] == ["1.jpg"]


# What was taught before


def test_a_name_that_is_there_needs_a_word(run, photos, here):
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


def test_places_are_listed_and_forgotten(run, photos, here):
    run("The house", *photos, "--at", "48.4,9.99", "--tags", "family,home", "--city", "Ulm")
    run("barn", photo(here / "barn.jpg", PINK))
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
    assert run("--list") == (0, ["my_landmarks.npz has no landmark: teach it one."], [])


@pytest.mark.parametrize("step", [["--list"], ["--forget", "a"], ["--renew"], ["--export-training", "set"]])
def test_steps_need_the_file(run, step):
    status, _, errors = run(*step)
    assert status == 2
    assert errors == [
        "my_landmarks.npz is not there: teach it a landmark first, or name another file with --into."
    ]
    assert list(Path().iterdir()) == []


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
