"""Landmarks of a person's own: which photos are named after them, and how surely."""

import math
from dataclasses import replace

import numpy as np
import pytest
from own_space import (
    AXES,
    BUILT_IN,
    COMMON,
    SPACE,
    THRESHOLD,
    WIDTH,
    answer,
    features,
    named,
    needed,
    own,
    taught,
)

from src.inference.own import (
    GUESSES,
    NEEDED,
    SHOWN,
    STRANGERS,
    WEIGHTS,
    Own,
    OwnError,
)
from src.inference.report import PhotoReport, final_answers
from src.inference.space import packed, unit

HOUSE = taught("The house", features(4), features(4, like=0.95, rest=5))
BRIDGE = taught("The bridge", features(6), features(6, like=0.9, rest=7), features(6, like=0.9, rest=8))


def test_a_photo_of_a_taught_place_is_named_and_others_are_not():
    judge = own(HOUSE, BRIDGE, threshold=0.6).judge
    house, bridge, taj, nothing = answers = [
        answer(features(4, like=0.9)),
        answer(features(6, like=0.9)),
        answer(features(0), 0.95, 0.01),
        answer(features(2)),
    ]
    found = judge(answers)
    assert [named(one) for one in found] == ["The house", "The bridge", "Taj Mahal", None]
    assert found[2:] == [taj, nothing]  # not even their probabilities moved
    assert BUILT_IN[0] in [guess.landmark for guess in found[0].guesses]
    assert [one.features for one in found] == [one.features for one in answers]
    assert judge([house]) == found[:1]
    assert judge([bridge, house]) == [found[1], found[0]]


@pytest.mark.parametrize("spoken", [False, True], ids=["over silence", "over another name"])
@pytest.mark.parametrize("threshold", [0.6, 0.92])
def test_a_place_is_named_exactly_where_the_evidence_suffices(spoken, threshold):
    place = own(taught("Place", *[features(4)] * 10), threshold=threshold)
    known = threshold + 0.01 if spoken else threshold - 0.2
    least = needed(spoken, known, 10)
    for like in (least - 0.01, least + 0.01):
        [found] = place.judge([answer(features(4, like=like), known, 0.0, threshold=threshold)])
        before = "Taj Mahal" if spoken else None
        assert named(found) == ("Place" if like > least else before)


def test_a_probability_is_that_of_the_logistic_regression():
    """Of the cosine as it is after packing, at even odds of the network."""
    place, seen = own(taught("Place", features(4))), features(4, like=needed(False, 0.5) + 0.02)
    [found] = place.judge([answer(seen, 0.5, 0.0)])
    vector = np.frombuffer(seen, np.uint8).astype(float)
    cosine = vector[4] / np.linalg.norm(vector)
    evidence = WEIGHTS[0] @ [*[cosine] * 4, 1, 0, COMMON]
    odds = math.exp(evidence - NEEDED[0][0]) * THRESHOLD / (1 - THRESHOLD)
    assert found.known == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_without_photos_of_no_landmark_nothing_is_named_that_is_unlike_a_place():
    space = replace(SPACE, crowd=AXES[:0], cohort=AXES[:0])
    judge = own(taught("Place", *[features(4)] * 3), space=space).judge
    found = [named(judge([answer(features(4, like=like))])[0]) for like in (0, 0.1, 0.7)]
    assert found == [None, None, "Place"]


def test_a_single_example_needs_more_evidence_than_several_alike():
    """By the same signs but for the number of examples, and more so than by its weight alone."""
    one, two = (own(taught("Place", *[features(4)] * count)) for count in (1, 2))
    seen = answer(features(4, like=needed(False, 0.5, examples=2) + 0.01), 0.5, 0.0)
    assert [named(place.judge([seen])[0]) for place in (one, two)] == [None, "Place"]
    assert all(single > several for single, several in NEEDED)


def test_signs_count_what_the_network_itself_says():
    for known in (0.03, 0.5, 0.9):
        [(_, [found])] = own(HOUSE).compare([answer(features(4), known, 0.0)])
        assert found.signs[5] == pytest.approx(math.log(known / (1 - known)), abs=1e-5)
    [(_, [found])] = own(HOUSE).compare([answer(features(4), 1.0, 0.0)])
    assert np.isfinite(found.signs).all()


def test_similarity_is_to_the_mean_and_to_the_nearest_example():
    [(_, [found])] = own(HOUSE).compare([answer(features(4))])
    mean = np.frombuffer(features(4), np.uint8) / 255.0
    other = np.frombuffer(features(4, like=0.95, rest=5), np.uint8).astype(float)
    mean = mean + other / np.linalg.norm(other)
    expected = (mean[4] / np.linalg.norm(mean) + 1) / 2
    assert found.signs[:5] == pytest.approx([*[expected] * 4, 0.5], abs=1e-5)


def test_what_looks_like_another_landmark_as_well_is_less_sure():
    seen = [answer(features(4, like=0.8))]
    alone, twin = own(HOUSE), own(HOUSE, taught("Twin", features(4, like=0.8, rest=9)))
    [(_, [one])], [(_, pair)] = alone.compare(seen), twin.compare(seen)
    assert [similar.number for similar in pair] == [0, 1]
    assert pair[0].signs[1] == pytest.approx(pair[0].signs[0] - pair[1].signs[0], abs=1e-6)
    assert pair[1].signs[1] == pytest.approx(pair[1].signs[0] - pair[0].signs[0], abs=1e-6)
    assert one.signs[1] > pair[0].signs[1]
    [(_, [between])] = own(taught("Mausoleum", features(0, 4))).compare([answer(features(0, 4, like=0.9))])
    assert between.signs[2] == pytest.approx(between.signs[0] - 0.9 / math.sqrt(2), abs=0.01)


def test_what_looks_like_photos_of_no_landmark_is_less_sure():
    [(_, [found])] = own(taught("Kitchen", features(2, 4))).compare([answer(features(2, 4, like=0.9))])
    assert found.signs[3] == pytest.approx(found.signs[0] - 0.9 / math.sqrt(2), abs=0.01)
    assert found.signs[1] == found.signs[2] == found.signs[0]


def test_a_place_that_looks_like_many_others_is_less_sure():
    """By the mean cosine of the nearest photos of no landmark to the mean of its examples."""
    cosines = np.linspace(0.1, 0.9, STRANGERS + 3)
    cohort = np.outer(cosines, AXES[4]) + np.outer(np.sqrt(1 - cosines**2), AXES[10])
    space = replace(SPACE, cohort=cohort)
    expected = float(cosines[-STRANGERS:].mean())
    [(_, pair)] = own(taught("Kitchen", features(4)), BRIDGE, space=space).compare([answer(features(4))])
    assert [one.signs[6] for one in pair] == pytest.approx([expected, 0], abs=0.01)
    assert (WEIGHTS[:, 6] < 0).all()


def test_order_of_landmarks_and_examples_does_not_matter():
    seen = [answer(features(4, 6)), answer(features(4, like=0.7)), answer(features(6, like=0.6, rest=7))]
    turned = [replace(one, examples=one.examples[::-1]) for one in (BRIDGE, HOUSE)]
    for found, again in zip(own(HOUSE, BRIDGE).judge(seen), own(*turned).judge(seen), strict=True):
        assert [guess.landmark for guess in found.guesses] == [guess.landmark for guess in again.guesses]
        assert found.known == pytest.approx(again.known, abs=1e-5)


def test_answers_without_features_stay_as_they_are():
    plain = [answer(b""), answer(bytes(5)), answer(b"", 0.95, 0.0)]
    judged = own(HOUSE).judge([*plain, answer(features(4))])
    assert all(one is before for one, before in zip(judged, plain, strict=False))
    assert named(judged[3]) == "The house"


def test_without_own_landmarks_all_stays_as_it_is():
    seen = [answer(features(4)), answer(features(0), 0.95, 0.0)]
    assert own().judge(seen) == seen
    assert own().landmarks == []


def test_a_built_in_landmark_that_is_taught_better_stays_that_one():
    """A view of the Taj Mahal that the export does not know, for which it names nothing."""
    better = own(taught("Taj Mahal", features(0, 4)))
    assert better.landmarks == BUILT_IN[:1]
    [found] = better.judge([answer(features(0, 4, like=0.9), 0.3, 0.1)])
    assert named(found) == "Taj Mahal"
    assert [guess.landmark for guess in found.guesses] == BUILT_IN
    assert found.guesses[0].landmark.city == "Agra"
    for like in np.linspace(0, 1, 40):
        [sure] = better.judge([answer(features(0, 4, like=like), 0.97, 0.01)])
        assert sure.known >= 0.97  # never less than what it had


def test_what_the_network_says_itself_is_no_other_name():
    """The weights are those over silence, though it names the very landmark."""
    better, seen = own(taught("Taj Mahal", features(4))), answer(features(4, like=0.6), 0.85, 0.01)
    [(_, [similar])], [found] = better.compare([seen]), better.judge([seen])
    odds = math.exp(WEIGHTS[0] @ similar.signs - NEEDED[0][0]) * THRESHOLD / (1 - THRESHOLD)
    assert found.known == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert found.known > 0.9


def test_a_built_in_landmark_that_a_table_renames_is_still_that_one():
    renamed = [replace(BUILT_IN[0], class_name="10.Taj_Mahal", name="Tādsch Mahal"), BUILT_IN[1]]
    places = Own(SPACE, {"Taj Mahal": taught("Taj Mahal", features(0, 4))}, renamed, THRESHOLD)
    assert places.landmarks == renamed[:1]


def test_a_built_in_landmark_is_no_rival_of_itself():
    seen = [answer(features(0, 4))]
    [(_, [same])] = own(taught("Taj Mahal", features(0, 4))).compare(seen)
    [(_, [other])] = own(taught("Mausoleum", features(0, 4))).compare(seen)
    assert same.signs[2] == pytest.approx(1)
    assert other.signs[2] == pytest.approx(1 - 1 / math.sqrt(2), abs=0.01)


def test_doubt_does_not_silence_a_landmark_that_stays_named():
    like = needed(True, THRESHOLD + 0.01) - 0.02
    before = answer(features(4, like=like), THRESHOLD + 0.01, 0.02)
    [found] = own(taught("Place", features(4))).judge([before])
    assert named(found) == "Taj Mahal"
    assert found.known == before.known
    assert "Place" in [guess.landmark.name for guess in found.guesses]


def test_look_alikes_do_not_silence_a_place_whose_evidence_suffices():
    """The lead over them is among the signs already."""
    seen = answer(features(4, like=0.9))
    alike = [taught(name, features(4, like=0.6, rest=9)) for name in ("Twin", "Triplet")]
    [alone], [found] = own(HOUSE).judge([seen]), own(HOUSE, *alike).judge([seen])
    assert named(found) == named(alone) == "The house"
    assert found.known > 0.99
    assert sum(guess.probability for guess in found.guesses) == pytest.approx(1, abs=1e-6)


def test_probabilities_are_those_of_events_that_rule_each_other_out():
    generator = np.random.default_rng(0)
    places = [
        taught(f"{i}", packed(generator.random(WIDTH)), packed(generator.random(WIDTH))) for i in range(15)
    ]
    places.append(taught("Eiffel Tower", features(1), features(1, 3)))
    for _ in range(300):
        shares = generator.random(2) * generator.choice([0.01, 0.5])
        seen = packed(generator.random(WIDTH) ** generator.integers(1, 9))
        [found] = own(*places, threshold=generator.random()).judge([answer(seen, *shares)])
        probabilities = [guess.probability for guess in found.guesses]
        assert probabilities == sorted(probabilities, reverse=True)
        assert min(probabilities) >= 0
        assert sum(probabilities) <= 1 + 1e-6
        assert found.known == probabilities[0]
        names = [guess.landmark.name for guess in found.guesses]
        assert len(set(names)) == len(names) <= GUESSES
        assert len(set(names) - {"Taj Mahal", "Eiffel Tower"}) <= SHOWN


def test_more_examples_are_compared_with_one_by_one():
    """Two sides of a place, the mean of which looks like neither."""
    sides = taught("Sides", features(4), features(5))
    [found] = own(sides).judge([answer(features(4, like=0.95))])
    assert named(found) == "Sides"
    assert own(sides).fit("Sides").misfits == ("0.jpg", "1.jpg")


def test_how_well_a_place_is_known_is_what_its_other_photos_say():
    """As if each photo were judged by all others, with everything else that was taught."""
    generator = np.random.default_rng(3)
    space = replace(SPACE, cohort=unit(generator.random((STRANGERS + 3, WIDTH))))
    for _ in range(20):
        center = generator.random(WIDTH) ** 3
        seen = [packed((center + generator.normal(0, 0.5, WIDTH)).clip(0)) for _ in range(6)]
        place = taught("Place", *seen)
        expected = 0
        for i in range(6):
            others = taught("Place", *(seen[:i] + seen[i + 1 :]))
            [(_, similar)] = own(others, space=space).compare([answer(seen[i])])
            signs = [*similar[0].signs[:5], 0, similar[0].signs[6]]  # at even odds of the network
            expected += WEIGHTS[0] @ signs >= NEEDED[0][1]
        assert own(place, space=space).fit("Place").recognised == expected


def test_a_photo_of_something_else_among_the_examples_is_found():
    fit = own(taught("Place", features(4), features(4, like=0.9), features(9), features(4, like=0.8))).fit(
        "Place"
    )
    assert fit.recognised == 3
    assert fit.misfits == ("2.jpg",)
    assert fit.alike == ()


def test_one_photo_says_nothing_of_itself():
    fit = own(taught("Place", features(4))).fit("Place")
    assert (fit.recognised, fit.misfits) == (None, ())


def test_landmarks_that_look_alike_are_named():
    alike = own(HOUSE, taught("Twin", features(4, like=0.9)), taught("Tomb", features(0, like=0.9)), BRIDGE)
    assert alike.fit("The house").alike == ("Twin",)
    assert alike.fit("Tomb").alike == ("Taj Mahal",)
    assert alike.fit("The bridge").alike == ()
    assert own(taught("Taj Mahal", features(0))).fit("Taj Mahal").alike == ()


def test_a_place_is_recognised_less_where_another_looks_the_same():
    examples = features(4), features(4, like=0.25, rest=5), features(4, like=0.25, rest=6)
    place = taught("Place", *examples)
    rival = taught("Rival", *examples)
    assert own(place, rival).fit("Place").recognised < own(place).fit("Place").recognised


def test_features_of_another_space_are_refused():
    with pytest.raises(OwnError, match="do not fit this export"):
        own(taught("Place", bytes(WIDTH + 1)))


def test_final_answers_begin_with_own_landmarks():
    """Two photos of one walk: the second is too vague alone, and the first is evidence for it."""
    reports = [PhotoReport("1.jpg", "a", answer=answer(features(4)))]
    [found] = final_answers(reports, THRESHOLD, 2, own=own(HOUSE))
    assert named(found.answer) == "The house"
    [without] = final_answers(reports, THRESHOLD, 2)
    assert named(without.answer) is None
