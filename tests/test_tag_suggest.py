"""Groups of photos of places that nobody has named: what is in them, and that each is offered once."""

import csv
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from review_table import change, data_of
from tag_library import FakePredictor, plain_space, run, seen, view

from src.inference.predictor import Predictor
from src.inference.report import PhotoReport
from src.landmarks.answer import Answer
from src.landmarks.evidence import Taken
from src.library import suggest
from src.library.suggest import Group, find_groups

pytest.importorskip("sklearn")
pytest_plugins = ("tag_fixtures",)


def report(place, number, known=0.05, **taken):
    answer = Answer((), known, False, seen(place, number))
    return PhotoReport(f"/{place}/{number:03}.jpg", f"{place}-{number}", taken=Taken(**taken), answer=answer)


def noise(count=40):
    return [report(0, number) for number in range(count)]


def contents(place, count=10):
    return {f"{place}-{number}" for number in range(count)}


def found(reports, declined=()):
    return [set(group.contents) for group in find_groups(reports, plain_space(), declined)]


def test_two_places_are_found_among_other_photos_in_any_order():
    reports = noise() + [report(1, number) for number in range(12)] + [report(2, n) for n in range(10)]
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(reports))
        groups = find_groups([reports[i] for i in order], plain_space())
        assert [set(group.contents) for group in groups] == [contents(1, 12), contents(2)]
    assert groups[0].paths == tuple(f"/1/{number:03}.jpg" for number in range(12))


@pytest.mark.parametrize("count", [0, 1, 5, 6, 40])
def test_photos_of_no_place_make_no_group(count):
    assert found(noise(count)) == []


def test_photos_that_were_taken_far_apart_are_never_in_one_group():
    there = [report(1, number, latitude=48.0, longitude=2.0) for number in range(10)]
    elsewhere = [report(1, number, latitude=48.2, longitude=2.0) for number in range(10, 20)]
    nowhere = [report(1, number) for number in range(20, 24)]
    groups = found(noise() + there + elsewhere + nowhere)
    assert len(groups) == 2
    for group in groups:
        numbers = {int(content.partition("-")[2]) for content in group}
        assert not (numbers & set(range(10)) and numbers & set(range(10, 20)))
    assert set().union(*groups) >= contents(1, 20)
    near = [report(1, number, latitude=48.0 + number / 1000, longitude=2.0) for number in range(20)]
    assert found(noise() + near) == [contents(1, 20)]


def test_photos_of_one_walk_are_pulled_together():
    """Some that look a little less alike than is needed: minutes apart they are one group."""
    start = datetime(2024, 5, 3, 12)

    def loosely(number, **taken):
        rows = (np.frombuffer(seen(place, number), np.uint8) for place in (1, 0))
        place, other = (row / 255 for row in rows)
        features = np.round(255 * (0.65 * place + 0.35 * other)).astype(np.uint8).tobytes()
        answer = Answer((), 0.05, False, features)
        return PhotoReport(f"/{number}.jpg", f"1-{number}", taken=Taken(**taken), answer=answer)

    apart = [loosely(number) for number in range(100, 110)]
    together = [loosely(100 + n, time=start + timedelta(minutes=n / 2), camera="c") for n in range(10)]
    alone, walked = (sum(map(len, found(noise() + photos))) for photos in (apart, together))
    assert alone == 0 and walked >= 8


def test_a_burst_counts_once_and_is_no_place_by_itself():
    features = seen(1, 0)
    burst = [
        PhotoReport(f"/burst/{n}.jpg", f"b{n}", answer=Answer((), 0.05, False, features)) for n in range(9)
    ]
    assert found(noise() + burst) == []
    [group] = found(noise() + burst + [report(1, number) for number in range(1, 10)])
    assert group == {f"b{n}" for n in range(9)} | (contents(1) - {"1-0"})
    days = [datetime(2024, 5, 1 + n) for n in range(9)]
    visits = [replace(one, taken=Taken(day, camera="c")) for one, day in zip(burst, days, strict=True)]
    [group] = found(noise() + visits)
    assert group >= {f"b{n}" for n in range(9)}


def test_what_looks_like_no_landmark_at_all_is_no_place():
    alike = [report(1, number, known=0.0001) for number in range(10)]
    assert found(noise() + alike) == []


def test_what_was_declined_is_not_offered_again_nor_what_is_mostly_of_it():
    reports = noise() + [report(1, number) for number in range(10)]
    most = [f"1-{number}" for number in range(6)]
    assert found(reports, most) == []
    assert found(reports, most[:3]) == [contents(1) - set(most[:3])]


def test_dates_and_examples():
    times = [datetime(2024, 5, 3, 12) + timedelta(hours=5 * number) for number in range(10)]
    [group] = find_groups(
        noise() + [report(1, n, time=t, camera="c") for n, t in enumerate(times)], plain_space()
    )
    assert group.title == "10 photos, 2024-05-03 to 2024-05-05"
    assert group.examples == "000.jpg, 003.jpg, 006.jpg"
    assert Group(("/a.jpg",) * 3, ("1", "2", "3"), "2024-05-03").title == "3 photos, 2024-05-03"


def test_the_command_lists_groups_and_offers_none_of_them_twice(places, capsys):
    assert run(places, "--suggest") == 0
    out = capsys.readouterr().out
    assert "10 photos: house0.png, house3.png, house6.png" in out
    assert "10 photos: church0.png, church3.png, church6.png" in out
    assert "Name them, or say that they are none: --review makes a page" in out

    assert run(places, "--suggest", "--review") == 0
    assert "Name them in tags.review.html." in capsys.readouterr().out
    decide("house", approve="yes", correct="Grandma's house")
    decide("church", approve="no", correct="")
    assert run(places, "--suggest") == 0
    out = capsys.readouterr().out
    assert "No photos look like a place that nobody has named." in out
    assert "Grandma's house: 10" in out
    for number in range(10, 14):
        view(places / f"church{number}.png", 2, number)  # of what was declined
    assert run(places, "--suggest") == 0
    assert "No photos look like" in capsys.readouterr().out


def decide(name, **cells):
    """Add rows to the table, as the page does."""
    photos = [shown for shown in data_of()["photos"] if shown["name"].startswith(name)]
    with open("tags.review.csv", "a", encoding="utf-8", newline="") as file:
        for shown in photos:
            csv.writer(file, lineterminator=",").writerow([cells["approve"], "", cells["correct"]])
            file.write(shown["ending"])


def test_the_review_shows_groups_first_and_copies_with_them(places, monkeypatch):
    (places / "below").mkdir()
    (places / "below" / "copy.png").write_bytes((places / "house0.png").read_bytes())
    monkeypatch.setattr("src.library.review.PAGE", 30)
    assert run(places, "--review") == 0
    data = data_of()
    assert data["groups"] == ["10 photos", "10 photos"]
    groups = {shown["name"]: shown["group"] for shown in data["photos"]}
    assert groups["copy.png"] == groups["house0.png"] != groups["church0.png"]
    assert [shown["group"] is None for shown in data["photos"]] == [False] * 21 + [True] * 9
    assert {shown["group"] for shown in data_of("tags.review-2.html")["photos"]} == {None}
    change("taj.jpg", correct="Taj Mahal")
    assert run(places, "--review") == 0


def test_only_the_photos_that_look_most_like_landmarks_are_compared(places, monkeypatch, capsys):
    monkeypatch.setattr(suggest, "MOST", 5)
    assert run(places, "--suggest") == 0
    assert "5 of 50 photos were compared: those that look most like landmarks." in capsys.readouterr().out


def test_without_scikit_learn_or_a_space_a_sentence_says_so(places, monkeypatch, capsys):
    real = suggest.find_spec
    monkeypatch.setattr(
        "src.library.suggest.find_spec", lambda name: None if name == "sklearn" else real(name)
    )
    assert run(places, "--suggest") == 2
    assert "--suggest needs scikit-learn: pip install scikit-learn." in capsys.readouterr().err
    assert run(places, "--review") == 0
    assert data_of()["groups"] == []
    monkeypatch.undo()


def test_an_export_without_a_space_is_one_sentence(library, capsys):
    assert run(library, "--suggest") == 2
    assert "model.pt cannot compare places that it does not know" in capsys.readouterr().err
    assert run(library, "--review") == 0
    assert FakePredictor().space_id == "" and Predictor.load(Path("model.pt")).space_id == ""
