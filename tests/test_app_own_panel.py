"""Places of a person's own in the app: how well they are known, saved, loaded, removed, given at first."""

import io
import json

import numpy as np
import pytest
from app_library import FakePredictor, button, inside, send, sent, text
from app_own_library import (
    CYAN,
    CYAN_TOO,
    GARDEN,
    RED,
    asking,
    headline,
    own_app,
    own_predictor,
    panel,
    teach,
)

from src import host
from src.app.correcting import Correcting
from src.app.my_landmarks import LIMIT
from src.app.page import LandmarkApp, make_app
from src.app.wording import fit_text
from src.inference.own import Fit
from src.inference.own_file import load_own

app, predictor = own_app, own_predictor


def load(app, data, name="my_landmarks.npz"):
    send(app, (name, data))
    return panel(app)


def test_save_and_load_in_another_visit(app, predictor, monkeypatch):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], **GARDEN)
    messages = sent(app, monkeypatch)
    button(app, "Save my landmarks").click()
    [(about, [saved])] = messages
    assert (about["name"], about["type"]) == ("my_landmarks.npz", "application/octet-stream")

    other = LandmarkApp(predictor)
    send(other, ("b.jpg", CYAN_TOO), ("red.jpg", RED))
    assert "Loaded 1 place from my_landmarks.npz. 1 photo is answered otherwise now." in load(other, saved)
    assert [headline(card) for card in other.cards] == ["Grandma's garden", "Taj Mahal — Agra, India"]
    assert other.mine.taught == app.mine.taught
    assert load(other, saved).count("1 place, 1 photo") == 1  # once more adds nothing


def test_loading_adds_to_what_was_taught(app, predictor):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], "Garden", "1, 2")
    other = LandmarkApp(predictor)
    send(other, ("b.jpg", CYAN_TOO), ("c.jpg", RED))
    teach(other.cards[0], "Garden", "3, 4")
    teach(other.cards[1], "Shed")
    load(other, app.mine.to_bytes())
    assert {name: len(one.examples) for name, one in other.mine.taught.items()} == {"Garden": 2, "Shed": 1}
    assert other.mine.taught["Garden"].landmark.latitude == 3.0


def test_photos_beside_a_file_of_landmarks_are_counted_alone(app, predictor):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], **GARDEN)
    other = LandmarkApp(predictor)
    send(other, ("b.jpg", CYAN_TOO), ("my_landmarks (1).npz", app.mine.to_bytes()))
    assert text(other.status.value) == "Looked at 1 photo."
    assert headline(other.cards[0]) == "Grandma's garden"


def damaged(data):
    return data[: len(data) // 2]


def of_another_export(data):
    with np.load(io.BytesIO(data)) as arrays:
        about, features = json.loads(arrays["about"].tobytes()), arrays["features"]
    return saved_as(about | {"export": "0" * 16}, features)


def of_other_features(data):
    with np.load(io.BytesIO(data)) as arrays:
        about, features = json.loads(arrays["about"].tobytes()), arrays["features"]
    about["examples"][0][0]["content"] = "1"
    return saved_as(about, np.repeat(features, 2, axis=1))


def packed(data):
    file = io.BytesIO()
    np.savez_compressed(file, about=np.zeros(1, np.uint8), features=np.zeros((LIMIT, 1), np.uint8))
    return file.getvalue()


def saved_as(about, features):
    file = io.BytesIO()
    np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), features=features)
    return file.getvalue()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (damaged, "x.npz is damaged or no file of own landmarks"),
        (of_another_export, "x.npz was made with another export"),
        (
            of_other_features,
            "x.npz does not fit this model: take another copy, or teach its landmarks again.",
        ),
        (packed, "x.npz is larger than 10 MB: load a file of fewer landmarks."),
        (lambda data: data + bytes(LIMIT), "x.npz is larger than 10 MB: load a file of fewer landmarks."),
        (lambda data: b"", "x.npz is damaged or no file of own landmarks"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_one_sentence(app, spoil, sentence):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    teach(app.cards[0], **GARDEN)
    before = app.mine.taught
    assert sentence in load(app, spoil(app.mine.to_bytes()), "x.npz")
    assert app.mine.taught == before
    assert headline(app.cards[1]) == "Grandma's garden"


def test_a_page_keeps_no_more_than_its_limit(app, monkeypatch):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], **GARDEN)
    saved = app.mine.to_bytes()
    app.mine.remove(GARDEN["name"])
    monkeypatch.setattr("src.app.my_landmarks.LIMIT", 2)
    monkeypatch.setattr("src.app.my_landmarks._unpacked_size", lambda data: 0)
    app._load_mine(type("Upload", (), {"name": "x.npz", "data": saved, "size": 1}))
    assert "With x.npz these are more photos than a page can keep: load a smaller file." in panel(app)
    assert app.mine.taught == {}


def test_removing_a_place_forgets_it_and_what_was_said_stays(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    teach(app.cards[0], **GARDEN)
    button(app.panel, "Remove").click()
    assert app.mine.taught == {}
    assert [headline(card) for card in app.cards] == ["Grandma's garden", "No landmark that I know."]
    button(app.cards[0], "Take back").click()
    assert headline(app.cards[0]) == "No landmark that I know."


def test_what_was_taught_outlives_its_cards(app):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], **GARDEN)
    button(app, "Clear results").click()
    send(app, ("b.jpg", CYAN_TOO))
    assert headline(app.cards[0]) == "Grandma's garden"


def test_many_places_are_shown_by_and_by(app):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], "Garden")
    [example] = app.mine.taught["Garden"].examples
    for number in range(30):
        place = type(app.mine.taught["Garden"].landmark)(f"Place {number}", f"Place {number}")
        app.mine.teach(place, type(example)(str(number), "x.jpg", bytes([number, 100, 255 - number])))
    app.panel.show()
    assert panel(app).count("1 photo. Add others") == 20
    assert "Place 29" in panel(app)
    button(app, "Show more (11)").click()
    assert panel(app).count("1 photo. Add others") == 31


@pytest.mark.parametrize(
    ("photos", "fit", "sentence"),
    [
        (1, Fit(None, (), ()), "1 photo. Add others, from other sides: 5 are good."),
        (
            3,
            Fit(0, (), ()),
            "0 of 3 photos are recognised by the others. 5 are good: add some from other sides.",
        ),
        (5, Fit(4, (), ()), "4 of 5 photos are recognised by the others."),
        (6, Fit(6, (), ()), "6 of 6 photos are recognised by the others."),
    ],
)
def test_how_well_a_place_is_known(photos, fit, sentence):
    assert text(fit_text(photos, fit)) == sentence


def test_misfits_and_look_alikes_are_said():
    said = text(fit_text(5, Fit(4, ("<a>.jpg",), ("Shed", "Taj Mahal"))))
    assert "Unlike the rest: &lt;a&gt;.jpg. Take back what shows something else." in said
    assert "It looks like Shed, Taj Mahal: their photos may be mixed up." in said


def test_of_many_misfits_and_look_alikes_some_are_said():
    said = text(fit_text(50, Fit(4, tuple(f"{n}.jpg" for n in range(46)), tuple("ABCDE"))))
    assert "Unlike the rest: 0.jpg, 1.jpg, 2.jpg and 43 more." in said
    assert "It looks like A, B, C and 2 more: their photos" in said


def test_an_export_without_a_space_offers_nothing_and_says_so(jpeg):
    app = LandmarkApp(FakePredictor())
    send(app, ("a.jpg", jpeg))
    assert asking(app) == []
    assert not [part for part in inside(app) if isinstance(part, Correcting)]
    assert "This model cannot be taught places of your own" in panel(app)
    assert app.panel._file.layout.display == "none"


def test_nothing_is_asked_of_the_model_before_something_is_taught(app, monkeypatch):
    monkeypatch.setattr(app._predictor, "space", lambda: 1 / 0)
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    assert len(app.cards) == 2


@pytest.fixture
def saved(app, tmp_path):
    send(app, ("a.jpg", CYAN))
    teach(app.cards[0], **GARDEN)
    path = tmp_path / "my_landmarks.npz"
    path.write_bytes(app.mine.to_bytes())
    return path


def test_a_page_that_starts_with_a_file(tiny_export, predictor, saved):
    app = make_app(tiny_export, own=saved)
    send(app, ("b.jpg", CYAN_TOO))
    assert headline(app.cards[0]) == "Grandma's garden"
    assert "and 1 of your own" in app.children[-1].value
    teach(app.cards[0], "Shed")
    assert set(load_own(saved, predictor.space_id)) == {GARDEN["name"]}  # the file itself stays as it was


def test_a_page_starts_without_a_file_that_is_missing(tiny_export, tmp_path):
    app = make_app(tiny_export, own=tmp_path / "my_landmarks.npz")
    assert "Teach it places of your own" in panel(app)
    assert "alert" not in app.panel._said.value


def test_a_page_starts_with_a_sentence_on_a_file_that_is_damaged(tiny_export, saved):
    saved.write_bytes(b"rubbish")
    app = make_app(tiny_export, own=saved)
    assert "my_landmarks.npz is damaged or no file of own landmarks" in panel(app)
    assert 'role="alert"' in app.panel._said.value
    send(app, ("b.jpg", CYAN))
    assert headline(app.cards[0]) == "No landmark that I know."


def test_on_a_host_its_own_file_counts_and_no_other(tiny_export, predictor, saved, tmp_path, monkeypatch):
    monkeypatch.setenv("LANDMARK_PREDICTOR", "somewhere")
    monkeypatch.setattr("src.app.page.SharedPredictor", lambda address: predictor)
    monkeypatch.delenv("LANDMARK_OWN", raising=False)
    assert make_app(tiny_export, own=saved).mine.taught == {}
    monkeypatch.setenv("LANDMARK_OWN", str(saved))
    app = make_app(tiny_export, own=tmp_path / "none.npz")
    assert list(app.mine.taught) == [GARDEN["name"]]


def test_a_host_starts_with_no_file_that_it_cannot_use(tiny_export, tmp_path, capsys):
    rubbish = tmp_path / "my_landmarks.npz"
    rubbish.write_bytes(b"rubbish")
    assert host.main(["--own", str(rubbish), "--export", str(tiny_export)]) == 1
    assert capsys.readouterr().err.startswith("my_landmarks.npz is damaged or no file of own landmarks")
    assert host.main(["--own", str(tmp_path / "no.npz"), "--export", str(tiny_export)]) == 1
    assert "no.npz" in capsys.readouterr().err
