"""Photos of a library that surely show an own landmark, and the others that these find."""

from dataclasses import replace

import numpy as np
import pytest
from own_space import answer, features, named, needed, own, taught

from src.inference.own import ADOPTED, SURE, WEIGHTS, Taught
from src.landmarks.evidence import Taken

# One photo is surely the house, and another one looks like that, but not like the example.
LONE = taught("The house", features(4))
SURELY = features(4, like=needed(False, 0.02) + 0.2, rest=5)
LIKE_IT = features(4, like=needed(False, 0.02) - 0.05, rest=5)
NOWHERE = Taken()


def library(*photos, taken=NOWHERE):
    return [[(f"photo {i}", answer(seen), taken) for i, seen in enumerate(photos)]]


def test_photos_that_surely_show_a_place_find_others_that_look_like_them():
    alone, photo = own(LONE), answer(LIKE_IT)
    assert [named(one) for one in alone.judge([answer(SURELY), photo])] == ["The house", None]
    found = alone.adapted(library(SURELY, LIKE_IT))
    assert [named(one) for one in found.judge([answer(SURELY), photo])] == ["The house", "The house"]
    assert named(found.judge([answer(features(2))])[0]) is None
    assert named(alone.judge([photo])[0]) is None, "the landmarks themselves stay as they were"


def test_a_photo_that_is_less_sure_finds_no_other():
    """As many photos as are needed for its own name, and a little more."""
    for beyond in (SURE - 0.3, SURE + 0.3):
        like = needed(False, 0.02) + beyond / float(WEIGHTS[0, :4].sum())
        library_photo = features(4, like=like, rest=5)
        assert named(own(LONE).judge([answer(library_photo)])[0]) == "The house"
        found = own(LONE).adapted(library(library_photo))
        assert (len(found._examples[0]) > 1) == (beyond > SURE)


def test_a_copy_of_an_example_teaches_nothing_new():
    """Else a place with one example would count as one with several."""
    content = LONE.examples[0].content
    found = own(LONE).adapted([[(content, answer(SURELY), NOWHERE)]])
    assert named(found.judge([answer(LIKE_IT)])[0]) is None


def test_a_photo_that_was_taken_elsewhere_finds_no_other():
    landmark = replace(LONE.landmark, latitude=48.4, longitude=10.0)
    for latitude, expected in ((48.41, "The house"), (52.5, None), (None, "The house")):
        place = own(Taught(landmark, LONE.examples))
        taken = Taken(latitude=latitude, longitude=latitude and 10.0)
        found = place.adapted(library(SURELY, taken=taken))
        assert named(found.judge([answer(LIKE_IT)])[0]) == expected


def test_of_many_photos_the_surest_find_others():
    shades = [features(4, like=like, rest=5) for like in np.linspace(0.9, 0.8, ADOPTED + 20)]
    chance = np.random.default_rng(0).permutation(len(shades))
    found = own(LONE).adapted(library(*[shades[i] for i in chance]))
    expected = own(LONE).adapted(library(*shades[:ADOPTED]))
    examples = [np.sort(one._examples[0], axis=0) for one in (found, expected)]
    assert len(examples[0]) == ADOPTED + 1
    assert examples[0] == pytest.approx(examples[1])
