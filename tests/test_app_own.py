"""Places of a person's own in the app: taught on a card, saved, loaded, removed, given at the start."""

import io
import json
import re
import zipfile
from html import unescape

import numpy as np
import pytest
from app_library import FakePredictor, button, cards, inside, send, sent, text
from conftest import encode
from PIL import Image

from src import host
from src.app.correcting import Correcting, Form, read_position
from src.app.my_landmarks import LIMIT
from src.app.page import LandmarkApp, make_app
from src.app.wording import fit_text
from src.inference.own import Fit
from src.inference.own_file import load_own
from src.inference.predictor import Predictor
from src.landmarks.evidence import Taken


def picture(*colour, size=(320, 240), **options):
    return encode(Image.new("RGB", size, colour), **options)


CYAN, CYAN_TOO = picture(20, 200, 200), picture(30, 190, 190)
RED, YELLOW = picture(220, 20, 20), picture(200, 200, 20)
GARDEN = {"name": "Grandma's garden", "position": "51.5, -0.25", "tags": "family, garden , family"}


@pytest.fixture(scope="module")
def predictor(tiny_export):
    return Predictor.load(tiny_export)


@pytest.fixture
def app(predictor):
    return LandmarkApp(predictor)


def open_form(card):
    button(card, "It is …").click()
    [form] = [part for part in inside(card) if isinstance(part, Form)]
    return form


def teach(card, name, position="", tags=""):
    form = open_form(card)
    form.name.value, form.position.value, form.tags.value = name, position, tags
    button(card, "Confirm").click()


def headline(card):
    return unescape(re.search("<h2>(.*?)</h2>", card._answer.value)[1])


def panel(app):
    return text(" ".join(part.value for part in inside(app.panel) if hasattr(part, "value")))


def load(app, data, name="my_landmarks.npz"):
    send(app, (name, data))
    return panel(app)


def test_a_place_of_my_own_names_other_photos_of_it_at_once(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO), ("red.jpg", RED), ("yellow.jpg", YELLOW))
    first, second, red, _ = app.cards
    assert headline(second) == "No landmark that I know."
    teach(first, **GARDEN)
    assert [headline(card) for card in app.cards] == [
        "Grandma's garden",
        "Grandma's garden",
        "Taj Mahal — Agra, India",
        "No landmark that I know.",
    ]
    assert first.tags.confirmed
    assert not second.tags.confirmed
    assert first.tags.keywords == second.tags.keywords == ("Grandma's garden", "family", "garden")
    assert (second.tags.latitude, second.tags.longitude) == (51.5, -0.25)
    assert "lt-map" in second._place.value
    assert text(app.status.value) == "1 photo is answered otherwise now."
    assert "1 place, 1 photo." in panel(app)
    assert "It knows 3 landmarks and 1 of your own" in text(app.children[-1].value)
    assert red.record.landmark == "Taj Mahal"


def test_what_a_person_said_is_in_record_copy_and_archive(app, monkeypatch):
    send(app, ("a.jpg", CYAN))
    [card] = app.cards
    teach(card, **GARDEN)
    assert (card.record.landmark, card.record.probability) == ("Grandma's garden", 1.0)
    assert (card.record.latitude, card.record.longitude) == (51.5, -0.25)
    messages = sent(app, monkeypatch)
    button(app, "Tagged copy").click()
    button(app, "Download all (zip)").click()
    (_, [copy]), *parts = messages
    assert "Confirmed by a person." in copy.decode("latin-1")
    with zipfile.ZipFile(io.BytesIO(b"".join(part for _, [part] in parts))) as archive:
        assert b"Grandma's garden,1.0" in archive.read("tags.csv")
        assert b"Confirmed by a person." in archive.read("a.jpg")


def test_taking_it_back_forgets_the_photo_and_its_place(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    first, second = app.cards
    teach(first, **GARDEN)
    button(first, "Take back").click()
    assert headline(first) == headline(second) == "No landmark that I know."
    assert app.mine.taught == {}
    assert "It knows 3 landmarks<" in app.children[-1].value
    assert not first.tags


def test_of_copies_of_one_photo_all_are_confirmed_and_taken_back(app):
    send(app, ("a.jpg", CYAN), ("copy.jpg", CYAN))
    first, second = app.cards
    teach(first, **GARDEN)
    assert second.confirmed == first.confirmed
    button(second, "Take back").click()
    assert first.confirmed is second.confirmed is None


def test_a_photo_is_an_example_of_one_place_only(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    for name in ("Garden", "Shed"):
        teach(app.cards[0], name)
        button(app.cards[0], "Take back").click()
        teach(app.cards[1], name)
        button(app.cards[1], "Take back").click()
    teach(app.cards[0], "Garden")
    teach(app.cards[1], "Garden")
    assert {name: len(one.examples) for name, one in app.mine.taught.items()} == {"Garden": 2}
    app.mine.teach(app.mine.taught["Garden"].landmark, app.mine.taught["Garden"].examples[0])
    assert len(app.mine.taught["Garden"].examples) == 2


def test_a_confirmed_card_stays_as_it_is_while_others_are_taught(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    first, second = app.cards
    teach(first, "Garden")
    teach(second, "Shed")
    assert headline(first) == "Garden"
    assert headline(second) == "Shed"
    assert list(app.mine.taught) == ["Garden", "Shed"]


def test_a_built_in_landmark_is_corrected_and_taught_the_same_way(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    first, second = app.cards
    teach(first, " eiffel  tower ", "1, 1", "not used")
    assert headline(first) == headline(second) == "Eiffel Tower — Paris, France"
    assert first.tags.confirmed
    assert first.tags.city == "Paris"
    assert "and 1 of your own" not in app.children[-1].value  # it is no place of their own
    assert "Eiffel Tower — Paris, France" in panel(app)


def test_another_photo_of_a_place_keeps_what_was_said_of_it(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", RED))
    teach(app.cards[0], **GARDEN)
    form = open_form(app.cards[1])
    form.name.value = "GRANDMA'S GARDEN"
    assert form._own.layout.display == "none"
    assert "Grandma's garden" in form.name.options
    button(app.cards[1], "Confirm").click()
    [taught] = app.mine.taught.values()
    assert len(taught.examples) == 2
    assert taught.landmark.latitude == 51.5
    assert app.cards[1].tags.keywords == ("Grandma's garden", "family", "garden")


def test_a_photo_whose_file_was_given_up_teaches_all_the_same(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    first, second = app.cards
    first.forget()
    teach(first, **GARDEN)
    assert headline(second) == "Grandma's garden"


def test_the_form_takes_the_position_of_the_photo(app):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (27.0, 10.0, 30.0), 3: "W", 4: (78.0, 3.0, 0.0)}
    send(app, ("a.jpg", picture(20, 200, 200, exif=exif)))
    form = open_form(app.cards[0])
    assert form.position.value == "27.17500, -78.05000"
    form.name.value = "Garden"
    button(app, "Confirm").click()
    assert app.mine.taught["Garden"].landmark.latitude == 27.175


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "  ", "Write which place it is, or choose one of the list."),
        ("name", "x" * 201, "The name is too long; write at most 200 characters."),
        (
            "position",
            "somewhere",
            "This is no position: write latitude and longitude, such as 48.8584, 2.2945.",
        ),
        ("position", "91, 0", "This is no position: write latitude and longitude, such as 48.8584, 2.2945."),
    ],
)
def test_what_cannot_be_understood_is_a_sentence_and_the_form_stays(app, field, value, sentence):
    send(app, ("a.jpg", CYAN))
    [card] = app.cards
    teach(card, **(GARDEN | {field: value}))
    assert f'role="alert">{sentence}</p>' in cards(app)[0]
    assert card.confirmed is None
    button(card, "Cancel").click()
    assert "alert" not in cards(app)[0]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("48.8584, 2.2945", (48.8584, 2.2945)),
        ("48.8584° N, 2.2945° W", (48.8584, -2.2945)),
        (" -33.5 151 ", (-33.5, 151.0)),
        ("−33.5;−70", (-33.5, -70.0)),
        ("33.5S, 70.5e", (-33.5, 70.5)),
        ("", (None, None)),
    ],
)
def test_positions(text, position):
    assert read_position(text) == position


def test_enter_confirms_a_known_name_and_asks_more_of_another(app):
    said = []
    form = Form(Taken(), app._predictor.landmarks, said.append)
    for name, count in (("Tajj Mahal", 0), ("Taj Mahal", 1)):
        form.name.value = name
        form.name._handle_custom_msg({"event": "submit"}, [])
        assert len(said) == count
    form.tags._handle_custom_msg({"event": "submit"}, [])
    assert len(said) == 2


def test_the_form_says_what_is_known_of_a_name(app):
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    teach(app.cards[0], "Garden")
    form = open_form(app.cards[1])
    for name, said in (
        ("taj mahal", "Taj Mahal — Agra, India"),
        ("Garden", "This place is known."),
        ("Shed", "A place of your own: say more of it if you like."),
        ("", ""),
    ):
        form.name.value = name
        assert text(form._found.value) == said


def test_the_likeliest_are_the_first_to_choose(app):
    send(app, ("a.jpg", picture(20, 220, 20)))
    assert open_form(app.cards[0]).name.options[0] == "Eiffel Tower"


def test_names_are_text(app):
    send(app, ("<i>.jpg", CYAN), ("b.jpg", CYAN_TOO))
    teach(app.cards[0], "<b>Garden</b>", tags="<u>")
    everything = " ".join(cards(app)) + panel(app) + app.children[-1].value
    html = " ".join(part.value for part in inside(app) if isinstance(getattr(part, "value", None), str))
    assert "<b>Garden" not in html
    assert "<u>" not in html.replace(app.cards[0]._hashtags.value, "")
    assert "&lt;b&gt;Garden" in everything + html


def test_a_failure_to_learn_is_a_sentence_on_the_card(app):
    send(app, ("a.jpg", CYAN))
    app.cards[0].example = lambda: 1 / 0
    teach(app.cards[0], **GARDEN)
    assert "Something went wrong (ZeroDivisionError); please try again." in cards(app)[0]
    assert app.mine.taught == {}


def test_no_heat_map_of_a_place_of_my_own(app):
    """It would show what speaks for a landmark of the model's."""
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    button(app.cards[1], "Show heat map").value = True
    teach(app.cards[0], **GARDEN)
    assert [card._heat.layout.display for card in app.cards] == ["none", "none"]
    assert app.cards[1]._heat.value is False
    button(app.cards[0], "Take back").click()
    assert app.cards[1]._heat.layout.display is None


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
    assert "&lt;a&gt;.jpg looks unlike the rest: take it back if it shows something else." in said
    assert "It looks like Shed, Taj Mahal: the two may be mixed up." in said


def test_an_export_without_a_space_offers_nothing_and_says_so(jpeg):
    app = LandmarkApp(FakePredictor())
    send(app, ("a.jpg", jpeg))
    labels = {getattr(part, "description", "") for part in inside(app)}
    assert "It is …" not in labels
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
