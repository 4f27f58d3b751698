"""Landmarks of a person's own in `src.tag`, weighed with `--own`."""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from tag_library import LANDMARKS, run, table
from tag_own_library import (
    HOUSE,
    ORANGE,
    PINK,
    POND,
    Colours,
    example_of,
    features_of,
    names,
    say,
    teach,
)

from src import tag
from src.inference.own import Own, Taught
from src.inference.own_file import NAME, save_own
from src.inference.report import PhotoReport, content_of, final_answers
from src.inference.space import packed
from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark

pytest_plugins = ("tag_fixtures",)


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


def test_photos_of_a_library_are_judged_by_each_other_but_for_those_a_person_decided_on(album, monkeypatch):
    offered = []

    def watched(own, photos):
        seen = [list(some) for some in photos]
        offered.append({content for some in seen for content, *_ in some})
        return adapted(own, seen)

    adapted = Own.adapted
    monkeypatch.setattr(Own, "adapted", watched)
    teach(HOUSE, example_of(PINK))
    run(album)
    pink = content_of((album / "pink1.jpg").read_bytes())
    assert pink in offered[-1] and len(offered[-1]) > 5
    say(("pink1.jpg", "no", ""))
    run(album, "--write", "sidecar")
    assert offered[-1] == offered[0] - {pink}
    runs = len(offered)
    run(album, "--no-outings")
    assert len(offered) == runs
