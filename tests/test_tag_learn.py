"""Landmarks of a person's own, learned from the review by `src.tag --learn`."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from tag_library import LANDMARKS, photo, run, table
from tag_own_library import (
    HOUSE,
    ORANGE,
    PINK,
    POND,
    ROW,
    Colours,
    example_of,
    examples,
    features_of,
    names,
    own,
    say,
    teach,
)

from src import tag
from src.inference.answers import Scores
from src.inference.own_file import NAME, changing
from src.inference.space import packed
from src.landmarks.table import Landmark
from src.library import learn as learning

pytest_plugins = ("tag_fixtures",)


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
    assert said.splitlines()[-1] == (
        "Nothing was written to photos: --review shows the new names; till then --write omits them."
    )

    before = Path(NAME).stat()
    assert run(album, "--learn") == 0  # again: there is nothing new
    said = capsys.readouterr().out
    assert "Nothing new to learn" in said and "No other photo is named otherwise now." in said
    assert said.splitlines()[-1].endswith("--review lets you look first, --write writes.")
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
        photo(album / f"pink{number}.jpg", PINK, side=80 + number, at=(latitude, longitude))
    say(*((f"pink{number}.jpg", "yes", HOUSE) for number in range(3)))
    run(album, "--learn")
    landmark = own()[HOUSE].landmark
    assert (landmark.latitude, landmark.longitude) == pytest.approx(place, abs=1e-3)


def test_a_place_that_new_examples_contradict_is_given_up_and_others_stay(album, capsys):
    teach(HOUSE, example_of(PINK), latitude=48.0, longitude=11.0)
    photo(album / "pink0.jpg", PINK, side=80, at=(48.1, 11.0))
    say(("pink0.jpg", "yes", HOUSE))
    run(album, "--learn")
    assert own()[HOUSE].landmark.latitude == 48.0
    photo(album / "pink1.jpg", PINK, side=81, at=(12.0, 11.0))
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
