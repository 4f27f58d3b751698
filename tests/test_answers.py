"""The protocol that all runtimes share, and the facts of landmarks that a user may replace."""

from dataclasses import replace

import numpy as np
import pytest

from src.inference.answers import Answering, Scores
from src.inference.report import PhotoReport, final_answers
from src.landmarks.table import COLUMNS, describe, read_landmarks

NAMES = ["00.Taj_Mahal", "01.Eiffel_Tower", "02.Old_Mill"]
OLD = {"name": "The Taj", "city": "Agra"}  # facts that only the export has


class Fixed(Answering):
    """Says the same of each picture."""

    def __init__(self, probabilities=(0.2, 0.1, 0.7), known=0.35, names=NAMES):
        classes = [describe(name).to_dict() for name in names]
        classes[0] |= OLD
        super().__init__({"classes": classes, "known_threshold": 0.5, "size": 32})
        self.said = np.array(probabilities, np.float32), known

    def scores(self, picture):
        return Scores(*self.said)


def write(tmp_path, *rows):
    file = tmp_path / "mine.csv"
    file.write_text("\n".join([",".join(COLUMNS), *rows, ""]), "utf-8")
    return read_landmarks(file)


def test_scores_become_answers():
    [answer, again] = Fixed().predict(["a picture", "another"])
    assert [guess.landmark.class_name for guess in answer.guesses] == [NAMES[2], NAMES[0], NAMES[1]]
    assert [guess.probability for guess in answer.guesses] == pytest.approx([0.35, 0.1, 0.05])
    assert (answer.known, answer.recognised) == (0.35, False)
    assert again == answer


def test_a_landmark_that_is_surer_than_its_share_leaves_the_others_what_remains():
    [answer] = Fixed([0.3, 0.2, 0.5], 0.8).predict(["a picture"])
    assert [guess.probability for guess in answer.guesses] == pytest.approx([0.8, 0.12, 0.08])
    [answer] = Fixed([0.3, 0.2, 0.5], 0.5).predict(["a picture"])
    assert [guess.probability for guess in answer.guesses] == pytest.approx([0.5, 0.3, 0.2])


def probabilities_of_every_kind():
    chance = np.random.default_rng(0)
    for sharpness in (0.01, 1.0, 30.0, 1000.0):
        logits = sharpness * chance.normal(size=(20, 7))
        yield from np.exp(logits - logits.max(1, keepdims=True))
    yield from (np.eye(7)[3], np.ones(7))


@pytest.mark.parametrize("known", [0.0, 1e-7, 0.1, 0.5, 0.9, 1 - 1e-7, 1.0])
def test_probabilities_of_guesses_are_in_order_and_never_more_than_one_together(known):
    for odds in probabilities_of_every_kind():
        probabilities = (odds / odds.sum()).astype(np.float32)
        [answer] = Fixed(probabilities, known, [f"0{n}.Tower_{n}" for n in range(7)]).predict(["a picture"])
        said = [guess.probability for guess in answer.guesses]
        assert said[0] == answer.known == known
        assert np.diff(said).max() <= 1e-12 and min(said) >= 0
        assert sum(said) <= 1 + 1e-6  # as the probabilities themselves, in float32
        order = [int(guess.landmark.class_name[:2]) for guess in answer.guesses]
        assert order == np.argsort(-probabilities, kind="stable")[:5].tolist()


def test_rows_of_the_user_replace_facts_of_the_export(tmp_path):
    network = Fixed()
    network.describe_with(write(tmp_path, "Old_Mill,Watermill,Ulm,Germany,DE,48.4,9.98,0.1,,mill"))
    [answer] = network.predict(["a picture"])
    mill = answer.guesses[0].landmark
    assert (mill.class_name, mill.title, mill.tags) == (NAMES[2], "Watermill — Ulm, Germany", ("mill",))
    assert network.landmarks[0].name == "The Taj"  # what the export says, not the built-in table
    assert network.landmarks[1] == describe(NAMES[1])


def test_a_row_of_the_user_that_repeats_the_built_in_table_counts(tmp_path):
    taj = describe("Taj_Mahal")
    tags, place = ";".join(taj.tags), f"{taj.latitude},{taj.longitude},{taj.extent_km},{taj.wikidata}"
    network = Fixed()
    row = f"Taj_Mahal,{taj.name},{taj.city},{taj.country},{taj.country_code},{place},{tags}"
    network.describe_with(write(tmp_path, row))
    assert network.landmarks[0] == replace(describe(NAMES[0]), name_local="")  # a column that the row lacks


def test_a_table_without_rows_of_the_user_changes_nothing(tmp_path):
    network = Fixed()
    before = list(network.landmarks)
    network.describe_with(read_landmarks())
    network.describe_with(write(tmp_path))
    assert network.landmarks == before


def test_a_table_for_another_network_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r'"Big_Ben" is not.*such as "Taj_Mahal"'):
        Fixed().describe_with(write(tmp_path, "Big_Ben,Big Ben,London,,,,,,,"))


def test_no_answer_goes_to_another_photo_where_one_was_not_asked_about():
    [answer] = Fixed().predict(["a picture"])
    reports = [PhotoReport("a.jpg", "a"), PhotoReport("b.jpg", "b", answer=answer)]
    with pytest.raises(ValueError, match="not asked"):
        final_answers(reports, 0.5, 2)
