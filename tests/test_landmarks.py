"""What is known of a class: its landmark, or a readable name; and that as JSON."""

import json

import pytest

from src.landmarks.table import Landmark, describe

# --- describing ---------------------------------------------------------------------------------


def test_known_class_keeps_its_folder_name(table):
    landmark = describe("10.Taj_Mahal")
    assert landmark.class_name == "10.Taj_Mahal"
    assert landmark.title == "Taj Mahal — Agra, India"
    assert describe("21.Taj_Mahal", table).to_dict() == {
        **landmark.to_dict(),
        "class_name": "21.Taj_Mahal",
    }


@pytest.mark.parametrize("number", ["", "7.", "07.", "100.", "1000."])
def test_the_number_of_a_class_has_any_length(table, number):
    assert describe(f"{number}Pamukkale").name == "Pamukkale"
    assert describe(f"{number}Pamukkale").latitude == table["Pamukkale"].latitude


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("07.Notre_Dame_de_Reims", "Notre Dame de Reims"),
        ("Tower_of_London", "Tower of London"),
        ("3.__Old__Mill_", "Old Mill"),
        ("Saint-Denis", "Saint-Denis"),
        ("05.東京タワー", "東京タワー"),
        ("42", "42"),
        ("07.", "07."),
        ("_", "_"),
    ],
)
def test_unknown_class_gets_a_readable_name(class_name, name):
    landmark = describe(class_name)
    assert landmark == Landmark(class_name, name)
    assert landmark.place == ""
    assert landmark.title == name


def test_place_leaves_out_what_is_unknown_or_said_twice():
    assert Landmark("a", "a", country="Israel").place == "Israel"
    assert Landmark("a", "a", city="Maui").place == "Maui"
    assert Landmark("a", "Merlion", "Singapore", "Singapore").title == "Merlion — Singapore"


# --- as JSON ------------------------------------------------------------------------------------


def test_json_round_trip(table):
    for landmark in [*table.values(), describe("07.Notre_Dame_de_Reims")]:
        text = json.dumps(landmark.to_dict(), ensure_ascii=False)
        assert Landmark.from_dict(json.loads(text)) == landmark


def test_from_dict_fills_in_what_may_be_unknown():
    assert Landmark.from_dict({"class_name": "a", "name": "A"}) == Landmark("a", "A")


def test_from_dict_reads_what_was_written_before_there_were_local_names(table):
    old = table["Taj_Mahal"].to_dict()
    assert old.pop("name_local") == "ताज महल"
    assert Landmark.from_dict(old).title == "Taj Mahal — Agra, India"
    assert Landmark.from_dict(old).name_local == ""


@pytest.mark.parametrize(
    "change",
    [
        {"latitude": 91.0},
        {"latitude": "27.2"},
        {"longitude": None},
        {"name": 7},
        {"name_local": None},
        {"name": ""},
        {"tags": "tomb"},
        {"tags": [1]},
        {"country_code": 91},
        {"colour": "white"},
    ],
)
def test_from_dict_refuses_what_to_dict_never_wrote(table, change):
    with pytest.raises(ValueError, match="not a landmark"):
        Landmark.from_dict({**table["Taj_Mahal"].to_dict(), **change})


@pytest.mark.parametrize("d", [{}, {"name": "A"}, "Taj Mahal", None])
def test_from_dict_refuses_what_is_no_landmark(d):
    with pytest.raises(ValueError, match="not a landmark"):
        Landmark.from_dict(d)
