"""Landmarks of a person's own in `src.tag`: weighed with `--own`, learned from the review with `--learn`."""

import csv
import json
import re
import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import encode
from PIL import Image
from tag_library import LANDMARKS, FakePredictor, photo, run, table

from src import tag
from src.inference.answers import Scores
from src.inference.own import Example, Own, Taught
from src.inference.own_file import NAME, changing, load_own, save_own
from src.inference.predictor import Predictor
from src.inference.report import PhotoReport, final_answers
from src.inference.space import Space, packed
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark
from src.library import learn as learning

pytest_plugins = ("tag_fixtures",)

EXPORT = "colours"
HOUSE, POND = "Grandma's house", "Mill pond"
PINK, ORANGE = (250, 150, 200), (250, 230, 20)
WIDTH = 64
ROW = Path("tags.review.csv")


def features_of(colour):
    """A feature for each of 64 colours: photos of two colours have nothing in common."""
    bins = [min(value // 64, 3) for value in colour]
    return np.eye(WIDTH, dtype=np.float32)[16 * bins[0] + 4 * bins[1] + bins[2]]


class Colours(FakePredictor):
    """As the fake of all tests, and what it saw is the colour."""

    info = FakePredictor.info | {"own_space": EXPORT}

    def predict(self, pictures):
        return [
            replace(self.answer(picture), features=packed(self.scores(picture)[2])) for picture in pictures
        ]

    def scores(self, picture):
        colour = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return Scores(np.zeros(3, np.float32), 0.5, features_of(colour))

    def space(self):
        means = np.stack([features_of(colour) for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200))])
        nothing = np.zeros((WIDTH, 1), np.float32)
        return Space(
            center=nothing[:, 0],
            axes=nothing,
            factors=np.ones(1),
            means=means,
            crowd=nothing.T[:0],
            cohort=nothing.T[:0],
        )


@pytest.fixture
def album(library, monkeypatch):
    """The library with four pink photos and two orange ones, of which the network knows none."""
    monkeypatch.setattr(Predictor, "load", lambda path: Colours())
    monkeypatch.setattr(Colours, "asked", 0)
    for number in range(4):
        photo(library / f"pink{number}.jpg", PINK, side=60 + number)
    for number in range(2):
        photo(library / f"orange{number}.jpg", ORANGE, side=70 + number)
    return library


def names(path="tags.csv"):
    return {Path(row["path"]).name: row["landmark"] for row in table(path) if "below" not in row["path"]}


def say(*decisions, review=True, table=ROW):
    """Decide on photos as the page does: the name of the file, yes or no, and the landmark."""
    if review:
        run("library", "--review", "--out", table.name.replace(".review", ""))
    page = table.with_suffix(".html").read_text("utf-8")
    shown = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["photos"]
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = {row[6]: row for row in csv.reader(file)}
    for name, approve, correct in decisions:
        [one] = [one for one in shown if one["name"] == name and "below" not in one["folder"]]
        [ending] = csv.reader([one["ending"]])
        rows[ending[3]] = [approve, one["landmark"], correct, *ending]
    with open(table, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows.values())


def own(path=NAME):
    return load_own(Path(path), EXPORT)


def examples(name, path=NAME):
    return [example.name for example in own(path)[name].examples]


def example_of(colour, content="1", name="app.jpg"):
    return Example(content, name, packed(features_of(colour)))


def teach(name, *taught, path=NAME, **facts):
    before = own(path) if Path(path).exists() else {}
    save_own(Path(path), before | {name: Taught(Landmark(name, name, **facts), taught)}, EXPORT)


# ---- --own


def test_own_landmarks_are_named_without_looking_at_a_photo_again(album, capsys):
    assert run(album) == 0
    asked = Colours.asked
    assert set(names().values()) == {"Taj Mahal", "Eiffel Tower", ""}
    teach(HOUSE, example_of(PINK), latitude=48.0, longitude=11.0, city="Munich", country="Germany")
    assert run(album, "--own", NAME) == 0
    row = next(row for row in table() if row["path"].endswith("pink0.jpg"))
    assert (row["landmark"], row["landmark_alone"]) == (HOUSE, HOUSE)
    assert (row["city"], row["latitude"], row["tags"]) == ("Munich", "48.0", f"{HOUSE};Munich;Germany")
    assert 0.9 < float(row["probability"]) < 1
    assert [names()[f"pink{number}.jpg"] for number in range(4)] == [HOUSE] * 4
    assert (names()["orange0.jpg"], names()["a.jpg"], names()["b.png"]) == ("", "Taj Mahal", "Eiffel Tower")
    said = capsys.readouterr().out
    assert f"Landmarks of your own: 1, in {NAME}." in said and f"{HOUSE}: 4" in said

    teach(HOUSE, example_of(ORANGE))  # the file changed: only the answers are new
    run(album, "--own", NAME)
    assert [names()[name] for name in ("pink0.jpg", "orange0.jpg")] == ["", HOUSE]
    assert Colours.asked == asked


def test_a_file_beside_the_table_or_else_the_model_is_used(album, monkeypatch, capsys):
    Path("models").mkdir()
    shutil.copy("model.pt", "models/model.pt")
    teach(POND, example_of(ORANGE), path=f"models/{NAME}")
    tag.main([str(album), "--model", "models/model.pt"])
    assert names()["orange0.jpg"] == POND
    assert f"Landmarks of your own: 1, in models/{NAME}." in capsys.readouterr().out
    teach(HOUSE, example_of(PINK))
    tag.main([str(album), "--model", "models/model.pt"])
    assert (names()["orange0.jpg"], names()["pink0.jpg"]) == ("", HOUSE)


def test_what_is_written_and_reviewed_knows_own_landmarks(album):
    teach(HOUSE, example_of(PINK))
    run(album, "--review")
    page = Path("tags.review.html").read_text("utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert {"name": HOUSE, "local": "", "place": ""} in data["names"]
    assert [one["landmark"] for one in data["photos"] if one["name"] == "pink1.jpg"] == [HOUSE]
    assert run(album, "--write", "sidecar") == 0
    written = (album / "pink1.jpg.xmp").read_text()
    assert HOUSE in written and "Predicted by landmark-tagger fake" in written
    say(("orange0.jpg", "yes", "grandma's  HOUSE"))  # found by its name, however that is written
    run(album, "--review")
    assert names()["orange0.jpg"] == HOUSE


def test_a_built_in_landmark_that_is_taught_better_stays_that_landmark(album):
    teach("Taj Mahal", example_of(PINK))
    run(album)
    row = next(row for row in table() if row["path"].endswith("pink0.jpg"))
    assert (row["landmark"], row["city"]) == ("Taj Mahal", "Agra")


def test_answers_of_a_catalog_without_features_are_asked_for_again_only_for_own_landmarks(album):
    run(album)
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("UPDATE answers SET features = NULL")
        db.execute("UPDATE answers SET features = x'' WHERE rowid = 1")
    db.close()
    asked = Colours.asked
    run(album)
    assert Colours.asked == asked
    teach(HOUSE, example_of(PINK))
    run(album)
    assert Colours.asked == 2 * asked and names()["pink0.jpg"] == HOUSE
    run(album)
    assert Colours.asked == 2 * asked


def test_features_are_not_read_without_own_landmarks(album, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "src.library.results.final_answers",
        lambda reports, *rest, **options: (
            seen.extend(report.answer.features for report in reports)
            or final_answers(reports, *rest, **options)
        ),
    )
    run(album)
    assert len(seen) == 10 and not any(seen)


def test_a_smallest_confidence_counts_for_own_landmarks():
    network = Colours()
    blend = np.sqrt(0.06) * features_of(PINK) + np.sqrt(0.94) * features_of((0, 0, 0))
    guesses = (Guess(LANDMARKS[0], 0.01),)
    report = PhotoReport("a.jpg", "a", answer=Answer(guesses, 0.01, False, packed(blend)))
    taught = {HOUSE: Taught(Landmark(HOUSE, HOUSE), (example_of(PINK),))}
    weighed = Own.beside(network, taught)
    shares = {}
    for threshold in (0.05, 0.6, 0.999):
        [revised] = final_answers([report], threshold, 3, own=weighed)
        assert revised.answer.recognised == (revised.answer.known >= threshold)
        shares[threshold] = revised.answer.known
    assert len(set(shares.values())) == 1 and 0.6 < shares[0.6] < 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--own", "missing.npz"], "missing.npz is no file; give that of your own landmarks, or --learn"),
        (["--own", "library"], "library is no file"),
        (["--own", "library", "--learn"], "library is no file"),
        (["--own", "a" * 300], "the name is too long"),
        (["--own", "text.npz"], "text.npz is damaged or no file of own landmarks"),
        (["--own", "other.npz"], "other.npz was made with another export"),
        (["--own", "text.npz", "--learn"], "text.npz is damaged"),
        (["--learn", "--undo"], "give --learn without it"),
    ],
)
def test_wrong_usage(album, arguments, message, capsys):
    Path("text.npz").write_text("a shopping list")
    save_own(Path("other.npz"), {HOUSE: Taught(Landmark(HOUSE, HOUSE), (example_of(PINK),))}, "another")
    before = Path("text.npz").read_bytes(), Path("other.npz").read_bytes()
    assert run(album, *arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("tags.csv").exists()
    assert before == (Path("text.npz").read_bytes(), Path("other.npz").read_bytes())


def test_an_export_that_cannot_be_taught_says_so(library, capsys):
    run(library)
    for arguments, remedy in ((["--learn"], "leave --own and --learn out"), ([], f"move {NAME} away")):
        assert run(library, *arguments) == 2
        assert (
            f"model.pt takes no landmarks of your own; choose another, or {remedy}."
            in capsys.readouterr().err
        )
        teach(HOUSE, example_of(PINK))
    assert run(library, "--own", NAME) == 2


# ---- --learn


def test_what_a_person_named_is_learned_and_others_are_named_alike(album, capsys):
    say(("pink0.jpg", "yes", HOUSE), ("pink1.jpg", "yes", "grandma's  house"), ("orange0.jpg", "yes", POND))
    capsys.readouterr()
    asked = Colours.asked
    assert run(album, "--learn") == 0
    said = capsys.readouterr().out
    assert examples(HOUSE) == ["pink0.jpg", "pink1.jpg"] and examples(POND) == ["orange0.jpg"]
    assert [Path(one.path) for one in own(NAME)[POND].examples] == [album.resolve() / "orange0.jpg"]
    assert names() == {
        **{f"pink{number}.jpg": HOUSE for number in range(4)},
        **{f"orange{number}.jpg": POND for number in range(2)},
        **{"a.jpg": "Taj Mahal", "b.png": "Eiffel Tower"},
    }
    assert Colours.asked == asked  # what was there was not asked again
    assert f"{HOUSE}: 2 new, 2 in all" in said and f"{POND}: 1 new, 1 in all" in said
    assert "Named otherwise now, by what was learned: 3 photos" in said
    assert f"{HOUSE}: 2 (had none)" in said and f"{POND}: 1 (had none)" in said

    before = Path(NAME).stat()
    assert run(album, "--learn") == 0  # again: there is nothing new
    said = capsys.readouterr().out
    assert "Nothing new to learn" in said and "No other photo is named otherwise now." in said
    assert Path(NAME).stat() == before
    assert run(album) == 0 and names()["pink3.jpg"] == HOUSE


def test_a_mere_approval_and_an_empty_review_teach_nothing(album, capsys):
    assert run(album, "--learn") == 0
    say(("pink0.jpg", "no", ""))
    assert run(album, "--learn") == 0
    assert "Nothing new to learn" in capsys.readouterr().out and not Path(NAME).exists()


def test_a_confirmed_landmark_of_the_network_is_taught_better(album):
    say(("a.jpg", "yes", "Taj Mahal"), ("pink0.jpg", "yes", "ताज महल"))
    run(album, "--learn")
    assert examples("Taj Mahal") == ["a.jpg", "pink0.jpg"]
    assert own()["Taj Mahal"].landmark == LANDMARKS[0]
    assert names()["pink1.jpg"] == "Taj Mahal" and names()["b.png"] == "Eiffel Tower"


def test_a_changed_mind_moves_an_example_and_no_takes_it_out(album, capsys):
    say(("pink0.jpg", "yes", HOUSE), ("pink1.jpg", "yes", HOUSE), ("orange0.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert names()["orange1.jpg"] == HOUSE
    say(("orange0.jpg", "yes", POND), ("pink1.jpg", "no", ""))
    capsys.readouterr()
    run(album, "--learn")
    said = capsys.readouterr().out
    assert examples(HOUSE) == ["pink0.jpg"] and examples(POND) == ["orange0.jpg"]
    assert f"{HOUSE}: 2 no more, 1 in all" in said and f"{POND}: 1 new, 1 in all" in said
    assert f"{POND}: 1 (were {HOUSE})" in said and names()["orange1.jpg"] == POND
    say(("pink0.jpg", "no", ""))
    run(album, "--learn")
    assert list(own()) == [POND] and names()["pink2.jpg"] == ""
    assert f"{HOUSE}: 1 no more, none left, so it is forgotten" in capsys.readouterr().out


def test_examples_of_elsewhere_stay_and_a_no_to_another_landmark_is_none_to_theirs(album):
    say(("a.jpg", "no", ""))  # it is no Taj Mahal
    with sqlite3.connect("tags.sqlite") as db:
        [[content]] = db.execute("SELECT hash FROM files WHERE path = ?", (bytes(album / "a.jpg"),))
    db.close()
    teach(HOUSE, example_of((200, 40, 40), content, "a.jpg"), example_of(PINK, "elsewhere"))
    run(album, "--learn")
    assert examples(HOUSE) == ["a.jpg", "app.jpg"]


def test_the_newest_examples_of_a_landmark_are_kept(album, monkeypatch):
    monkeypatch.setattr(learning, "MOST_EXAMPLES", 3)
    teach(HOUSE, example_of(PINK, "1"), example_of(PINK, "2"))
    say(("pink0.jpg", "yes", HOUSE), ("pink1.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert examples(HOUSE) == ["app.jpg", "pink0.jpg", "pink1.jpg"]
    assert own()[HOUSE].examples[0].content == "2"
    say(("pink2.jpg", "yes", HOUSE), ("pink3.jpg", "yes", HOUSE))
    run(album, "--learn")
    kept = examples(HOUSE)
    assert len(kept) == 3 and {"pink2.jpg", "pink3.jpg"} < set(kept)
    before = Path(NAME).stat()
    run(album, "--learn")
    assert Path(NAME).stat() == before


def test_a_photo_that_is_gone_teaches_what_the_catalog_knows_of_it(album, capsys, monkeypatch):
    say(("pink0.jpg", "yes", HOUSE), ("orange0.jpg", "yes", POND))
    run(album)
    (album / "pink0.jpg").unlink()
    photo(album / "orange0.jpg", "blue")  # another photo under its name
    run(album, "--learn")
    assert own()[HOUSE].examples[0].features == packed(features_of(PINK))
    assert own()[POND].examples[0].features == packed(features_of(ORANGE))
    assert names()["pink1.jpg"] == HOUSE and names()["orange0.jpg"] == "Hawa Mahal"
    Path(NAME).unlink()
    ROW.unlink()
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("DELETE FROM answers")
    db.close()
    capsys.readouterr()
    assert run(album, "--learn") == 0
    assert "Of 2 photos nothing is left to learn from" in capsys.readouterr().out
    assert not Path(NAME).exists()


def test_a_photo_is_looked_at_in_several_views(album, monkeypatch):
    looked = []
    monkeypatch.setattr(
        Colours, "scores", lambda self, picture: looked.append(1) or Scores(None, 0.5, features_of(PINK))
    )
    say(("pink0.jpg", "yes", HOUSE))
    looked.clear()
    run(album, "--learn")
    assert len(looked) == 5


def test_it_learns_into_a_file_of_that_name_and_adds_to_what_is_there(album):
    say(("pink0.jpg", "yes", HOUSE))
    run(album, "--learn", "--own", "house.npz")
    assert examples(HOUSE, "house.npz") == ["pink0.jpg"] and not Path(NAME).exists()
    teach(POND, example_of(ORANGE), path="house.npz")
    run(album, "--learn", "--own", "house.npz")
    assert set(own("house.npz")) == {HOUSE, POND} and names()["orange1.jpg"] == POND


def test_two_runs_at_once_lose_nothing(album):
    say(("pink0.jpg", "yes", HOUSE))
    with changing(Path(NAME)):
        learning_run = threading.Thread(target=run, args=(album, "--learn"))
        learning_run.start()
        learning_run.join(1)
        assert learning_run.is_alive() and not Path(NAME).exists()
        teach(POND, example_of(ORANGE))
    learning_run.join(60)
    assert set(own()) == {HOUSE, POND}


def with_gps(path, latitude, longitude, side):
    exif = Image.Exif()
    for tag_number, letters, value in ((1, "NS", latitude), (3, "EW", longitude)):
        exif.get_ifd(0x8825)[tag_number] = letters[value < 0]
        exif.get_ifd(0x8825)[tag_number + 1] = (abs(value), 0.0, 0.0)
    path.write_bytes(encode(Image.new("RGB", (side, side), PINK), "JPEG", exif=exif))


@pytest.mark.parametrize(
    ("spots", "place"),
    [
        ([(48.0, 11.0), (48.1, 11.1), (48.02, 11.3)], (48.02, 11.1)),
        ([(-17.0, 179.9), (-17.0, -179.9), (-17.0, -179.8)], (-17.0, -179.9)),  # Fiji
        ([(48.0, 11.0), (48.0, 11.1), (50.0, 11.1)], (None, None)),  # a boat
    ],
)
def test_a_new_landmark_stands_where_its_photos_were_taken(album, spots, place):
    for number, (latitude, longitude) in enumerate(spots):
        with_gps(album / f"pink{number}.jpg", latitude, longitude, 80 + number)
    say(*((f"pink{number}.jpg", "yes", HOUSE) for number in range(3)))
    run(album, "--learn")
    landmark = own()[HOUSE].landmark
    assert (landmark.latitude, landmark.longitude) == pytest.approx(place, abs=1e-3)


def test_a_place_that_new_examples_contradict_is_given_up_and_others_stay(album, capsys):
    teach(HOUSE, example_of(PINK), latitude=48.0, longitude=11.0)
    with_gps(album / "pink0.jpg", 48.1, 11.0, 80)
    say(("pink0.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert own()[HOUSE].landmark.latitude == 48.0
    with_gps(album / "pink1.jpg", 12.0, 11.0, 81)
    say(("pink1.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert own()[HOUSE].landmark == Landmark(HOUSE, HOUSE)
    assert capsys.readouterr().out.count(f"{HOUSE} has no position any more") == 1


def test_the_place_may_come_from_a_takeout(album):
    said = {"geoData": {"latitude": 48.0, "longitude": 11.0}}
    (album / "pink0.jpg.json").write_text(json.dumps({"title": "pink0.jpg"} | said))
    say(("pink0.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert own()[HOUSE].landmark.latitude == 48.0


def test_the_command_with_a_real_export(library, tiny_export, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(library.parent)
    for number in range(4):
        photo(library / f"white{number}.png", (250, 250, 250 - number), kind="PNG")

    def tagged(*arguments):
        assert tag.main([*map(str, (library, "--model", tiny_export, *arguments))]) == 0
        return names()

    before = tagged("--review")
    assert before["white0.png"] == ""
    say(("white0.png", "yes", HOUSE), ("white1.png", "yes", HOUSE), review=False)
    whites = {f"white{number}.png": HOUSE for number in range(4)}
    assert tagged("--learn") == before | whites
    assert tagged() == before | whites
    assert {row["landmark"] for row in table()} == {HOUSE, "Taj Mahal", "Eiffel Tower", "Hawa Mahal", ""}
