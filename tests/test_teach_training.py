"""Photos of own landmarks as a data set to train with, as `src.teach` makes it."""

import re
from pathlib import Path

from teach_photos import PINK, RED, YELLOW, photo

from src.data.folders import load_pictures

pytest_plugins = ("teach_fixtures",)


def files(root="set"):
    return sorted(path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file())


def test_photos_become_a_data_set(run, photos, here):
    run("Grandma's house", *photos)
    run("taj mahal", photo(here / "t1.jpg", RED), photo(here / "t2.jpg", RED, seed=1))
    run("Single", photo(here / "single.jpg", PINK))
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
    pictures = load_pictures("set", sizes=(32,), workers=0, cache=here / "cache")
    assert pictures.class_names == ["00.Taj_Mahal", "03.Grandma's_house"]
    assert len(pictures.test.dataset) == 2


def test_a_data_set_that_is_there_is_added_to(run, photos, here):
    kept = photo(here / "set" / "train" / "07.Old_Bridge" / "1.jpg", RED)
    photo(here / "set" / "test" / "07.Old_Bridge" / "2.jpg", RED)
    run("Old Bridge", *photos[:3])
    run("House", *photos)
    run("--export-training", "set")
    before = {name: (here / "set" / name).stat().st_mtime_ns for name in files()}
    assert {name.split("/")[1] for name in files()} == {"07.Old_Bridge", "08.House"}
    assert len(files("set/train/07.Old_Bridge")) + len(files("set/test/07.Old_Bridge")) == 5
    assert kept.is_file()
    run("House", photo(here / "6.jpg", seed=6), "--add")
    photos[0].unlink()
    status, said, _ = run("--export-training", "set")
    assert status == 0
    assert said[0] == "House: 1 photo to 08.House; 1 photo not found where taught"
    assert said[1] == "Old Bridge: 0 photos to 07.Old_Bridge; 1 photo not found where taught"
    assert len(files()) == len(before) + 1
    assert before == {name: (here / "set" / name).stat().st_mtime_ns for name in before}


def test_places_whose_folders_would_have_one_name_stay_apart(run, here):
    for name, colour in (("Cafe A/B", YELLOW), ("Cafe A:B", PINK)):
        run(name, *(photo(here / f"{colour[2]}{n}.jpg", colour, seed=n) for n in range(3)))
    lines = run("--export-training", "set")[1]
    folders = [line.rsplit(" to ", 1)[1] for line in lines[:2]]
    assert folders[0] == "03.Cafe_A-B" and re.fullmatch(r"04\.Cafe_A-B_[0-9a-f]{6}", folders[1])
    assert run("--export-training", "set")[1][0].startswith("Cafe A/B: 0 photos to 03.")
    assert len(files()) == 6


def test_without_any_class_there_is_nothing_to_train_with(run, photos):
    run("House", photos[0])
    assert run("--export-training", "set")[1] == ["House: left out, as it takes two photos"]


def test_hidden_files_of_a_data_set_count_as_no_photos(run, photos, here):
    (here / "set" / "train" / "03.House").mkdir(parents=True)
    for name in (".DS_Store", ".hidden.jpg", "._1.jpg", ".4.jpg"):
        (here / "set" / "train" / "03.House" / name).touch()
    run("House", *photos)
    run("--export-training", "set")
    assert (len(files("set/train")), len(files("set/test"))) == (4 + 4, 1)


def test_no_photo_is_both_trained_and_tested_with(run, here):
    for n in range(23):
        photo(here / "house" / f"{n}.jpg", seed=n)
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
