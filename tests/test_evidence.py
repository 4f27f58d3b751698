"""Evidence of neighbours: it raises and lowers answers, and one wrong neighbour drags nobody along."""

import time
from datetime import datetime, timedelta, timezone

import pytest

from src.landmarks.answer import Answer, Guess
from src.landmarks.evidence import (
    KILOMETRES,
    MINUTES,
    TRUST,
    Taken,
    distance_km,
    out_of_sight,
    revise,
    same_place,
)
from src.landmarks.table import Landmark

TAJ = Landmark("00.Taj_Mahal", "Taj Mahal", latitude=27.1751, longitude=78.0421, extent_km=0.6)
FORT = Landmark("01.Agra_Fort", "Agra Fort", latitude=27.1795, longitude=78.0211, extent_km=0.8)
TOWER = Landmark("02.Eiffel_Tower", "Eiffel Tower", latitude=48.8584, longitude=2.2945, extent_km=0.3)
HALL = Landmark("03.Town_Hall", "Town Hall")  # a user's own: no place is known
NOON = datetime(2024, 5, 1, 12)


def answer(*pairs):
    guesses = tuple(sorted((Guess(*pair) for pair in pairs), key=lambda guess: -guess.probability))
    return Answer(guesses, guesses[0].probability, guesses[0].probability >= 0.6)


def at(minutes):
    return Taken(NOON + timedelta(minutes=minutes))


def after(*photos, classes=50):
    answers, taken = zip(*photos, strict=True)
    return revise(answers, taken, [str(number) for number in range(len(photos))], 0.6, classes)


SURE = answer((TAJ, 0.95), (TOWER, 0.02))
UNSURE = answer((TOWER, 0.4), (TAJ, 0.35))
LUNCH = answer((TAJ, 0.01), (TOWER, 0.01))


def test_an_unsure_photo_follows_its_sure_neighbour():
    [first, second] = after((SURE, at(0)), (UNSURE, at(1)))
    assert second.alone is UNSURE and not second.alone.recognised
    assert second.answer.guesses[0].landmark is TAJ
    assert second.answer.recognised
    assert second.change > 0.2
    assert second.neighbours == 1
    assert first.answer.guesses[0].landmark is TAJ


def test_one_wrong_neighbour_drags_nobody_along():
    wrong = answer((TOWER, 0.95), (TAJ, 0.01))
    for revised in after((SURE, at(0)), (wrong, at(0)), (SURE, at(1)))[::2]:
        assert revised.answer.guesses[0].landmark is TAJ
        assert revised.answer.recognised
    [alone, _] = after((SURE, at(0)), (wrong, at(0)))
    assert alone.answer.guesses[0].landmark is TAJ and alone.answer.recognised
    assert alone.change < 0


def test_what_one_neighbour_can_do_does_not_grow_with_the_number_of_landmarks():
    wrong = answer((TOWER, 0.95), (TAJ, 0.01))
    known = [
        after((SURE, at(0)), (wrong, at(0)), classes=classes)[0].answer.known for classes in (50, 115, 1000)
    ]
    assert known[0] == pytest.approx(known[1]) == pytest.approx(known[2])
    assert known[0] > 0.8


AGRA, DELHI, PARIS = (27.17, 78.04), (28.61, 77.21), (48.8584, 2.2945)


def test_a_landmark_that_cannot_be_seen_from_there_is_out():
    [revised] = after((SURE, Taken(None, *PARIS)))
    assert not revised.answer.recognised
    assert {g.landmark: g.probability for g in revised.answer.guesses}[TAJ] == 0
    assert revised.answer.guesses[0].landmark is TOWER
    assert revised.answer.known < 0.1, "the other guess does not inherit what the first one had"
    assert revised.alone is SURE
    assert revised.too_far_km == pytest.approx(6759, abs=5)


def test_what_is_out_of_sight_is_not_recognised_at_any_threshold():
    only = answer((TAJ, 0.9))
    for threshold in (0.0, 0.6):
        [revised] = revise([only], [Taken(None, *PARIS)], ["a"], threshold, 50)
        assert revised.answer.known == 0 and not revised.answer.recognised


def test_a_landmark_in_sight_gains_a_little():
    [revised] = after((UNSURE, Taken(None, *AGRA)))
    assert revised.too_far_km == pytest.approx(6759, abs=5), "alone it looked most like the tower"
    assert revised.answer.guesses[0].landmark is TAJ
    assert 0.35 < revised.answer.known < 0.7
    [nothing] = after((LUNCH, Taken(None, *AGRA)))
    assert not nothing.answer.recognised and nothing.answer.known < 0.1


def test_a_position_says_nothing_of_landmarks_whose_place_is_unknown():
    hall = answer((HALL, 0.9))
    [revised] = after((hall, Taken(None, *PARIS)))
    assert revised.answer is hall and revised.too_far_km is None


def test_how_far_a_landmark_is_seen_grows_with_its_extent():
    wide = Landmark("04.Lake", "Lake", latitude=27.17, longitude=78.04, extent_km=400)
    assert out_of_sight(Taken(None, *DELHI), TAJ)  # 180 km
    assert not out_of_sight(Taken(None, *DELHI), wide)
    assert not out_of_sight(Taken(), TAJ)


def test_no_neighbour_brings_back_what_a_position_rules_out():
    [first, _] = after((UNSURE, Taken(NOON, *PARIS)), (SURE, Taken(NOON)))
    assert {g.landmark: g.probability for g in first.answer.guesses}[TAJ] == 0
    [_, second] = after((SURE, Taken(NOON, *PARIS)), (UNSURE, Taken(NOON)))
    assert {g.landmark: g.probability for g in second.answer.guesses}[TAJ] <= 0.35, "no evidence for the Taj"


def test_a_position_counts_without_neighbours_too():
    taken = [Taken(NOON, *PARIS), Taken(NOON)]
    first, second = revise([SURE, SURE], taken, ["a", "b"], 0.6, 50, together=False)
    assert not first.answer.recognised and first.neighbours == 0
    assert second.answer is SURE and second.neighbours == 0


def test_copies_of_a_file_count_once():
    answers, taken = [UNSURE, SURE, SURE, SURE, SURE], [at(0), at(1), at(1), at(1), at(1)]
    once = revise(answers[:2], taken[:2], ["a", "b"], 0.6, 50)
    copied = revise(answers, taken, ["a", "b", "b", "b", "b"], 0.6, 50)
    assert copied[0].neighbours == once[0].neighbours == 1
    assert copied[0].answer.known == pytest.approx(once[0].answer.known)
    assert [revised.answer for revised in copied[1:]] == [once[1].answer] * 4
    alone = revise([UNSURE] * 3, [at(0)] * 3, ["a"] * 3, 0.6, 50)
    assert [(revised.answer, revised.neighbours) for revised in alone] == [(UNSURE, 0)] * 3


def test_many_copies_do_not_hide_a_neighbour():
    answers, taken = [UNSURE] * 30 + [SURE], [at(0)] * 30 + [at(1)]
    revised = revise(answers, taken, ["a"] * 30 + ["b"], 0.6, 50)
    assert all(one.answer.guesses[0].landmark is TAJ and one.neighbours == 1 for one in revised)


def test_a_photo_of_nothing_known_says_nothing_and_stays_so():
    [photo, lunch] = after((UNSURE, at(0)), (LUNCH, at(0)))
    assert photo.change == pytest.approx(0, abs=0.02)
    [_, _, lunch] = after((SURE, at(0)), (SURE, at(0)), (LUNCH, at(0)))
    assert not lunch.answer.recognised


def test_landmarks_of_one_walk_support_each_other_and_unknown_places_only_themselves():
    at_the_fort = answer((FORT, 0.95))
    [photo, _] = after((UNSURE, at(0)), (at_the_fort, at(0)))
    assert photo.answer.guesses[0].landmark is TAJ
    hall = answer((HALL, 0.45), (TAJ, 0.4))
    [photo, _] = after((hall, at(0)), (answer((HALL, 0.9)), at(0)))
    assert photo.answer.guesses[0].landmark is HALL
    [photo, _] = after((hall, at(0)), (SURE, at(0)))
    assert photo.answer.guesses[0].landmark is TAJ


def test_what_is_far_apart_or_undated_is_left_alone():
    for first, second in [(at(0), at(600)), (at(0), Taken()), (Taken(), Taken())]:
        for revised, alone in zip(after((SURE, first), (UNSURE, second)), (SURE, UNSURE), strict=True):
            assert revised.answer is alone
            assert revised.neighbours == 0


def test_probabilities_stay_probabilities_and_the_order_of_photos_does_not_matter():
    photos = [(SURE, at(0)), (UNSURE, at(1)), (LUNCH, at(2)), (UNSURE, at(3))]
    forth, back = after(*photos), after(*photos[::-1])[::-1]
    for a, b in zip(forth, back, strict=True):
        assert [g.landmark for g in a.answer.guesses] == [g.landmark for g in b.answer.guesses]
        assert a.answer.known == pytest.approx(b.answer.known)
        values = [guess.probability for guess in a.answer.guesses]
        assert values == sorted(values, reverse=True)
        assert 0 <= sum(values) <= 1 + 1e-9
        assert a.answer.known == values[0]


def test_a_library_of_thousands_takes_seconds():
    photos = [(UNSURE if n % 2 else SURE, at(20 * (n // 5) + n % 5)) for n in range(5_000)]
    start = time.perf_counter()
    revised = after(*photos)
    assert time.perf_counter() - start < 10
    assert all(r.answer.guesses[0].landmark is TAJ for r in revised)


def test_places_count_more_than_clocks():
    here, there = Taken(NOON, 27.17, 78.04), Taken(NOON, 48.85, 2.29)
    assert same_place(here, there) < 1e-9
    assert same_place(here, here) == TRUST
    assert same_place(at(0), at(MINUTES)) == pytest.approx(TRUST / 2.718281828)
    north = Taken(None, 27.17 + KILOMETRES / 111.195, 78.04)
    assert same_place(here, north) == pytest.approx(TRUST / 2.718281828, rel=1e-3)


def test_instants_are_compared_where_both_are_known():
    """immich #15639: 10:00 in Tokyo and 10:00 in Paris are eight hours apart."""
    tokyo, paris = (Taken(NOON.replace(tzinfo=timezone(timedelta(hours=h)))) for h in (9, 1))
    assert same_place(tokyo, paris) < 1e-9
    assert after((SURE, tokyo), (UNSURE, paris))[1].neighbours == 0
    later = Taken(datetime(2024, 5, 1, 4, tzinfo=timezone(timedelta(hours=1))), camera="another")
    assert same_place(tokyo, later) == TRUST
    assert after((SURE, tokyo), (UNSURE, later))[1].neighbours == 1


def test_clocks_of_two_cameras_are_not_compared():
    """Of two phones one may be hours off."""
    phone, other = Taken(NOON, camera="Phone A"), Taken(NOON, camera="Phone B")
    zoned = Taken(NOON.replace(tzinfo=timezone(timedelta(hours=9))), camera="Phone A")
    assert same_place(phone, other) == same_place(zoned, other) == 0
    assert same_place(phone, zoned) == TRUST, "one camera's clock is enough"
    for second, count in ((other, 0), (zoned, 1), (phone, 1)):
        assert after((SURE, phone), (UNSURE, second))[1].neighbours == count


def test_neighbours_by_clock_are_found_among_many_photos_of_another_camera():
    others = [(LUNCH, Taken(NOON, camera="Phone B"))] * 40
    mine = [(photo, Taken(NOON, camera="Phone A")) for photo in (SURE, UNSURE)]
    assert after(mine[0], *others, mine[1])[-1].answer.guesses[0].landmark is TAJ


def test_distance_between_london_and_paris():
    assert distance_km(51.5074, -0.1278, 48.8566, 2.3522) == pytest.approx(343.5, abs=1)
    assert distance_km(0, 179.9, 0, -179.9) == pytest.approx(22.24, abs=0.01)
