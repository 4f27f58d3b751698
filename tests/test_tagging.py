"""From an answer to tags."""

import dataclasses
from types import SimpleNamespace

import pytest
from conftest import encode, quarters
from metadata_samples import exiftool, needs_exiftool, write_sidecar

from src.landmarks.table import Landmark, describe, read_landmarks
from src.landmarks.tags import LANGUAGES, clean, hashtag, model_name, tags_for
from src.photos.write_tags import write_copy


def answer(landmark: Landmark, probability: float = 0.973, recognised: bool = True):
    """An answer as `Predictor` gives it; its own classes would import torch."""
    guess = SimpleNamespace(landmark=landmark, probability=probability)
    return SimpleNamespace(guesses=(guess,), known=probability, recognised=recognised)


def tags(class_name: str = "10.Taj_Mahal", language: str = "en", **fields):
    return tags_for(answer(dataclasses.replace(describe(class_name), **fields)), "a model", language)


def test_tags_of_a_landmark_that_is_known_well():
    taj = tags(tags=("mausoleum", "world heritage"))
    assert taj.landmark == "Taj Mahal"
    assert taj.keywords == ("Taj Mahal", "Agra", "India", "mausoleum", "world heritage")
    assert taj.paths == (
        "Places/India/Agra/Taj Mahal",
        "Landmarks/Taj Mahal",
        "Landmarks/Themes/mausoleum",
        "Landmarks/Themes/world heritage",
    )
    assert taj.hashtags == ("#TajMahal", "#Agra", "#India", "#Mausoleum", "#WorldHeritage")
    assert taj.caption == "Taj Mahal, Agra, India"
    assert (taj.city, taj.country) == ("Agra", "India")
    assert (taj.latitude, taj.longitude) == (27.1751, 78.0421)


def test_tags_with_the_local_name():
    taj = tags(language="local", tags=("mausoleum",))
    assert taj.landmark == "ताज महल"
    assert taj.keywords == ("ताज महल", "Taj Mahal", "Agra", "India", "mausoleum")
    assert taj.paths == (
        "Places/India/Agra/ताज महल",
        "Landmarks/ताज महल",
        "Landmarks/Themes/mausoleum",
    )
    assert taj.hashtags[:2] == ("#ताजमहल", "#TajMahal")
    assert taj.caption == "ताज महल, Agra, India"
    assert taj.without("Agra").caption == "ताज महल, India"


@pytest.mark.parametrize("local", ["", " \n", "Taj Mahal"])
def test_where_the_table_has_no_local_name_tags_are_english(local):
    assert tags(language="local", name_local=local) == tags()


def test_tags_are_english_unless_asked_otherwise():
    assert LANGUAGES == ("en", "local")
    assert tags_for(answer(describe("10.Taj_Mahal")), "a model") == tags(language="en")
    assert "ताज महल" not in str(tags())


@needs_exiftool
def test_local_names_of_the_whole_table_come_back_from_files(tmp_path):
    photo, copy = tmp_path / "photo.jpg", tmp_path / "copy.jpg"
    photo.write_bytes(encode(quarters()))
    names = tuple(x.name_local for x in read_landmarks().values() if x.name_local)
    every = dataclasses.replace(tags(language="local"), keywords=names, caption=", ".join(names))
    write_copy(photo, copy, every)
    write_sidecar(photo, every)
    copied, [beside] = exiftool(copy), tmp_path.glob("*.xmp")
    assert tuple(copied["IPTC:Keywords"]) == tuple(copied["XMP-dc:Subject"]) == names
    assert copied["IPTC:CodedCharacterSet"] == "\x1b%G"  # UTF-8
    assert tuple(exiftool(beside)["XMP-dc:Subject"]) == names
    assert copied["XMP-dc:Description"] == exiftool(beside)["XMP-dc:Description"]
    assert copied["XMP-dc:Description"].startswith(every.caption)  # and the notice


def test_the_radius_is_half_the_extent_in_metres():
    assert tags(extent_km=0.6).radius_m == pytest.approx(300)
    assert tags(extent_km=None).radius_m is None


def test_tags_of_a_landmark_of_which_only_the_name_is_known():
    bridge = tags("01.Old_Bridge")
    assert bridge.keywords == ("Old Bridge",)
    assert bridge.paths == ("Landmarks/Old Bridge",)
    assert bridge.caption == "Old Bridge"
    assert (bridge.latitude, bridge.longitude, bridge.radius_m) == (None, None, None)


def test_no_tags_below_the_threshold():
    assert tags_for(answer(describe("10.Taj_Mahal"), recognised=False), "a model") is None


def test_tags_say_that_they_were_predicted_by_which_model_and_how_surely():
    taj = tags()
    assert (taj.model, taj.probability) == ("a model", 0.973)
    assert taj.notice == "Predicted by a model with a probability of 97 %, not confirmed by a person."


def test_a_prediction_is_never_certain():
    assert "99 %" in tags_for(answer(describe("10.Taj_Mahal"), 0.99999), "a model").notice


def test_words_that_are_alike_come_once():
    town = tags(name="Singapore", city="Singapore", country="SINGAPORE", tags=("city", "City"))
    assert town.keywords == ("Singapore", "city")
    assert town.paths[:2] == ("Places/SINGAPORE", "Landmarks/Singapore")
    assert town.caption == "Singapore"


def test_what_parts_a_path_is_kept_out_of_its_steps():
    assert tags(name="A/B|C", city="").paths[:2] == ("Places/India/A-B-C", "Landmarks/A-B-C")


def test_tags_without_words_that_a_person_dropped():
    fewer = tags().without("agra", "Mughal")
    assert "Agra" not in fewer.keywords and "Mughal" not in fewer.keywords
    assert not [path for path in fewer.paths if "Agra" in path or "Mughal" in path]
    assert not {"#Agra", "#Mughal"} & set(fewer.hashtags)
    assert (fewer.city, fewer.country) == ("", "India")
    assert tags().without() == tags()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Taj Mahal", "#TajMahal"),
        ("Humayun’s Tomb", "#HumayunsTomb"),
        ("17th century", "#17thCentury"),
        ("Washington D.C.", "#WashingtonDC"),
        ("césar pelli", "#CésarPelli"),
        ("ताज महल", "#ताजमहल"),  # with its vowel signs
        ("故宫", "#故宫"),
        ("1889", ""),
        ("—", ""),
        ("", ""),
    ],
)
def test_hashtags(text, expected):
    assert hashtag(text) == expected


def test_names_are_one_line_of_characters_that_xml_can_hold():
    assert clean(" Taj\n\tMahal\0 \u2028x\x1b ") == "Taj Mahal x"
    assert clean("a\ud800b\uffff") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert tags(name="Taj\nMahal").caption == "Taj Mahal, Agra, India"


def test_names_do_not_reorder_the_text_around_them():
    assert clean("red\u202elive\u2066") == "redlive"
    assert clean("\u200b\u200d \u202e") == ""
    for name in ("بيت الجدة\u200f", "می\u200cخواهم", "\N{WHITE FLAG}\ufe0f\u200d\N{WARNING SIGN}"):
        assert clean(name) == name


def test_a_network_is_named_by_its_architecture_and_what_it_learned_from():
    info = {
        "architecture": {"model": "transfer", "backbone": "tf_efficientnet_lite0", "dropout": 0.2},
        "fingerprint": "0584d88050b65edd",
    }
    assert model_name(info) == "landmark-tagger transfer tf_efficientnet_lite0 0584d8"
    assert model_name({}) == "landmark-tagger"
