"""Places of a person's own in the app: what is said of a photo on its card, and what follows on others."""

import io
import zipfile

import pytest
from app_library import button, cards, inside, send, sent, text
from app_own_library import (
    CYAN,
    CYAN_TOO,
    GARDEN,
    RED,
    YELLOW,
    asking,
    headline,
    open_form,
    own_app,
    own_predictor,
    panel,
    picture,
    teach,
)
from PIL import Image

from src.app.correcting import Form, read_position
from src.app.page import LandmarkApp
from src.inference.own import Own
from src.landmarks.evidence import Taken

app, predictor = own_app, own_predictor


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
    assert text(app.status.value) == "Nothing else changes."
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
        ("tags", "home, " + "x" * 201, "A tag is too long; write at most 200 characters."),
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


@pytest.mark.parametrize("field", ["name", "position", "tags"])
def test_what_was_wrong_is_said_until_something_else_is_written(app, field):
    send(app, ("a.jpg", CYAN))
    form = open_form(app.cards[0])
    button(app, "Confirm").click()
    assert "Write which place it is" in cards(app)[0]
    getattr(form, field).value = "51.5, -0.25"
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


def test_the_button_says_what_it_is_for(app):
    """Of a photo that was given a name it corrects, of another it asks for one; a form that is open stays."""
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO), ("red.jpg", RED))
    first, second, red = app.cards
    assert [asking(card) for card in app.cards] == [["Name this place"]] * 2 + [["Right or wrong? Say so"]]
    open_form(red).name.value = "Ga"
    teach(first, **GARDEN)
    assert asking(first) == []
    assert asking(second) == ["Right or wrong? Say so"]  # as it is named now
    assert [part.name.value for part in inside(red) if isinstance(part, Form)] == ["Ga"]
    button(first, "Take back").click()
    assert [asking(card) for card in (first, second)] == [["Name this place"]] * 2


@pytest.mark.parametrize("together", [True, False])
def test_photos_of_an_upload_are_judged_by_each_other(predictor, monkeypatch, together):
    offered = []
    adapted = Own.adapted

    def watched(own, photos):
        offered.append([content for some in photos for content, *_ in some])
        return adapted(own, photos)

    monkeypatch.setattr(Own, "adapted", watched)
    app = LandmarkApp(predictor, together=together)
    send(app, ("a.jpg", CYAN), ("b.jpg", CYAN_TOO))
    teach(app.cards[0], **GARDEN)
    assert headline(app.cards[1]) == "Grandma's garden"
    digests = [card.report.digest for card in app.cards]
    assert [one for one in offered if one == digests] == offered
    assert bool(offered) == together
