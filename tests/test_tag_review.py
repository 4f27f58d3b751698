"""The review: the page's data, what a person decides, and what `--write` makes of it."""

import csv
import os
import sqlite3
from pathlib import Path

import pytest
from review_table import TABLE, change, data_of, rows_of
from tag_library import FakePredictor, contents, photo, run, table

from src.landmarks.answer import Answer, Guess
from src.landmarks.table import Landmark, describe
from src.landmarks.tags import confirmed_tags
from src.library.decisions import Names

pytest_plugins = ("tag_fixtures",)


def test_a_person_decides_what_is_written(library, capsys):
    assert run(library, "--review") == 0
    page = Path("tags.review.html").read_text()
    assert page.count('<script type="text/plain" id="t') == 4
    assert page.count("<circle") == 3
    photos = data_of()["photos"]
    assert [shown["landmark"] for shown in photos] == ["Eiffel Tower", "Hawa Mahal", "Taj Mahal", ""]
    assert all(shown["decision"] is None for shown in photos)
    rows = list(csv.reader(TABLE.read_text("utf-8-sig").splitlines()))
    assert [row[0] for row in rows] == ["approve", "yes", "yes", "yes"]

    rows[1][0] = "no"
    TABLE.write_text("\n".join(";".join(row) for row in rows))  # as a spreadsheet in Europe saves it
    photo(library / "new.jpg", "red", side=99)
    assert run(library, "--write", "sidecar") == 0
    assert {p.name for p in library.rglob("*.xmp")} == {"a.jpg.xmp"}  # in two folders
    assert len(list(library.rglob("*.xmp"))) == 2
    assert not (library / "b.png.xmp").exists()
    assert "1 not reviewed, 1 rejected, 2 written" in capsys.readouterr().out

    run(library, "--review")  # adds what is new and keeps what was decided
    assert [row["approve"] for row in rows_of()] == ["no", "yes", "yes", "yes"]
    assert data_of()["photos"][0]["decision"] == {"approve": False, "correct": ""}

    TABLE.unlink()  # the catalog remembers what a person said no to
    assert run(library, "--write", "sidecar") == 0
    assert "1 rejected" in capsys.readouterr().out and not (library / "b.png.xmp").exists()
    run(library, "--review")
    assert [row["approve"] for row in rows_of()] == ["no", "yes", "yes", "yes"]
    change("b.png", approve="yes")  # and forgets it when the person changes their mind
    assert run(library, "--write", "sidecar") == 0
    assert (library / "b.png.xmp").exists()


def test_a_photo_without_a_landmark_says_what_it_looks_like(library, monkeypatch):
    run(library, "--review")
    *known, gray = (shown["note"] for shown in data_of()["photos"])
    assert known == ["93 %", "93 %", "93 %"]
    assert gray == "33 % Taj Mahal?"

    nothing = Answer((Guess(describe("00.Taj_Mahal"), 0.004),), 0.004, False)
    monkeypatch.setattr(FakePredictor, "answer", lambda self, picture: nothing)
    monkeypatch.setattr(FakePredictor, "info", FakePredictor.info | {"fingerprint": "123456789a"})
    run(library, "--review")
    assert [shown["note"] for shown in data_of()["photos"]][:4] == ["like no landmark"] * 4


@pytest.mark.parametrize("said", ["Eiffel Tower", " eiffel  tower", "Tour Eiffel"])
def test_a_corrected_landmark_gets_its_own_tags_and_place(library, said):
    run(library, "--review")
    change("library/a.jpg", correct=said)
    assert run(library, "--write", "sidecar") == 0
    row = next(row for row in table() if row["path"].endswith("library/a.jpg"))
    assert (row["landmark"], row["city"], row["country"]) == ("Eiffel Tower", "Paris", "France")
    assert (row["landmark_alone"], row["probability"]) == ("Taj Mahal", "1.0")
    assert float(row["latitude"]) == pytest.approx(48.858, abs=0.01)
    written = (library / "a.jpg.xmp").read_text()
    assert "Eiffel Tower" in written and "Taj Mahal" not in written and "Confirmed by a person." in written
    assert "48,5" in written  # degrees and minutes
    assert "Predicted by" in (library / "b.png.xmp").read_text()


def test_a_name_of_ones_own_becomes_a_keyword_without_a_place(library, capsys):
    run(library, "--review")
    nothing = next(shown for shown in data_of()["photos"] if shown["name"] == "nothing.webp")
    with open(TABLE, "a", encoding="utf-8", newline="") as file:  # as the page adds it
        file.write(f"yes,,Grandma's house,{nothing['ending']}")
    change("library/a.jpg", correct="=Grandma's\x07 house")
    assert run(library, "--write", "sidecar") == 0
    assert "4 written" in capsys.readouterr().out
    written = (library / "below" / "nothing.webp.xmp").read_text()
    assert "Grandma's house" in written and "GPSLatitude" not in written and "photoshop:City" not in written
    assert "Landmarks/Grandma's house" in written
    rows = {Path(row["path"]).relative_to(library).as_posix(): row for row in table()}
    assert rows["below/nothing.webp"]["latitude"] == "" and rows["below/nothing.webp"]["tags"]
    assert rows["a.jpg"]["landmark"] == "'=Grandma's house"
    assert run(library, "--undo") == 0


def test_what_a_person_said_holds_for_the_content_whatever_a_model_says(library, monkeypatch, capsys):
    run(library, "--review")
    change("library/a.jpg", correct="Hawa Mahal")
    change("b.png", correct="Eiffel Tower")  # confirmed
    assert run(library, "--write", "sidecar") == 0
    TABLE.unlink()
    (library / "a.jpg.xmp").unlink()
    (library / "a.jpg").rename(library / "below" / "moved.jpg")
    photo(library / "a.jpg", "red", side=50)  # another photo of that name
    Path("model.pt").write_bytes(b"another model")
    monkeypatch.setattr(FakePredictor, "known_threshold", 0.999)  # which recognises nothing
    assert run(library) == 0
    rows = {Path(row["path"]).relative_to(library).as_posix(): row["landmark"] for row in table()}
    assert rows == {
        "a.jpg": "",
        "b.png": "Eiffel Tower",
        "below/a.jpg": "",
        "below/moved.jpg": "Hawa Mahal",
        "below/nothing.webp": "",
    }
    run(library, "--review")
    decisions = {shown["name"]: shown["decision"] for shown in data_of()["photos"]}
    assert decisions["moved.jpg"] == {"approve": True, "correct": "Hawa Mahal"}
    assert decisions["a.jpg"] is None
    change("moved.jpg", correct="")  # taken back: the model's answer counts again
    run(library)
    assert [row["correct"] for row in rows_of()] == ["Eiffel Tower", ""]
    run(library, "--review")
    assert [row["landmark"] for row in rows_of()] == ["Eiffel Tower"]


def test_a_catalog_of_before_learns_to_keep_decisions(library):
    run(library)
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("DROP TABLE decisions")
    db.close()
    run(library, "--review")
    change("library/a.jpg", correct="Hawa Mahal")
    assert run(library) == 0
    assert run(library, "--review") == 0
    assert rows_of()[-1]["correct"] == "Hawa Mahal"


def test_no_wins_over_a_correction_and_a_changed_photo_is_not_reviewed(library, capsys):
    run(library, "--review")
    change("library/a.jpg", approve="no", correct="Hawa Mahal")
    photo(library / "b.png", "green", kind="PNG", side=99)
    assert run(library, "--write", "sidecar") == 0
    assert "1 not reviewed, 1 rejected, 1 written" in capsys.readouterr().out


def copying(tmp_path, mode):
    """The arguments of one way to write."""
    return ["--write", mode, *(["--to", str(tmp_path / "copies")] if mode == "copy" else [])]


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
@pytest.mark.parametrize("why", ["rejected", "landmark"])
def test_tags_of_before_are_taken_back_from_a_photo_that_gets_none_now(
    library, tmp_path, mode, why, monkeypatch, capsys
):
    """A rejected photo kept the wrong landmark for good."""
    before, writing = contents(library), copying(tmp_path, mode)
    assert run(library, *writing) == 0
    run(library, "--review")
    if why == "rejected":
        change("library/a.jpg", approve="no")
        change("b.png", approve="no")
    else:
        TABLE.unlink()
        monkeypatch.setattr(FakePredictor, "answer", only_blue(FakePredictor.answer))
        Path("model.pt").write_bytes(b"another model")
    capsys.readouterr()
    assert run(library, *writing) == 0
    said = "2 rejected, 2 taken back" if why == "rejected" else "2 taken back"
    assert said in capsys.readouterr().out
    folder = library if mode == "sidecar" else tmp_path / "copies"
    assert len(list(folder.rglob("*.xmp" if mode == "sidecar" else "*.*"))) == 1
    assert (folder / "below" / ("a.jpg.xmp" if mode == "sidecar" else "a.jpg")).exists()
    assert run(library, *writing) == 0
    assert "taken back" not in capsys.readouterr().out  # it is forgotten
    assert run(library, "--undo") == 0
    assert "Tags: 1 undone." in capsys.readouterr().out
    assert contents(library) == before


def only_blue(answer):
    """Another network, which takes nothing but the blue photo for a landmark."""

    def answered(self, picture):
        found = answer(self, picture)
        if found.guesses[0].landmark.name == "Hawa Mahal":
            return found
        return Answer(found.guesses, 0.5, False)

    return answered


def test_what_others_wrote_into_a_sidecar_or_copy_stays_when_tags_are_taken_back(library, tmp_path, capsys):
    copies = tmp_path / "copies"
    run(library, "--write", "sidecar")
    run(library, *copying(tmp_path, "copy"))
    run(library, "--review")
    change("library/a.jpg", approve="no")
    sidecar = library / "a.jpg.xmp"
    rated = sidecar.read_text().replace("</x:xmpmeta>", "<!-- mine --></x:xmpmeta>")
    sidecar.write_text(
        rated.replace(
            "<rdf:Description ",
            '<rdf:Description xmp:Rating="5" xmlns:xmp="http://ns.adobe.com/xap/1.0/" ',
            1,
        )
    )
    (copies / "a.jpg").write_bytes((copies / "a.jpg").read_bytes() + b"mine")
    changed = (copies / "a.jpg").read_bytes()
    assert run(library, "--write", "sidecar") == 0
    assert "Taj Mahal" not in sidecar.read_text() and 'xmp:Rating="5"' in sidecar.read_text()
    assert (copies / "a.jpg").read_bytes() == changed  # of another way to write, which was not asked for
    capsys.readouterr()
    assert run(library, *copying(tmp_path, "copy")) == 1
    assert "a.jpg was changed since it was written; delete it yourself" in capsys.readouterr().out
    assert (copies / "a.jpg").read_bytes() == changed


def test_what_is_not_reviewed_cannot_be_read_or_is_left_out_keeps_its_tags(library, capsys):
    run(library, "--write", "sidecar")
    before = contents(library)
    run(library, "--review")
    photo(library / "b.png", "blue", kind="PNG")  # another picture
    (library / "below" / "a.jpg").write_bytes(b"damaged")
    os.utime(library / "a.jpg", (0, 0))
    change("library/a.jpg", approve="no")
    assert run(library, "--write", "sidecar", "--since", "2000-01-01") == 1
    assert "Tags: 1 not reviewed." in capsys.readouterr().out
    after = contents(library)
    assert {path: after[path] for path in before if path.suffix == ".xmp"} == {
        path: data for path, data in before.items() if path.suffix == ".xmp"
    }


def test_a_photo_may_be_said_to_show_no_landmark(library, monkeypatch):
    run(library, "--review")
    nothing = next(shown for shown in data_of()["photos"] if shown["name"] == "nothing.webp")
    with open(TABLE, "a", encoding="utf-8", newline="") as file:  # as the page adds it
        file.write(f"no,,,{nothing['ending']}")
    run(library, "--review")
    decision = {"approve": False, "correct": ""}
    assert [shown["decision"] for shown in data_of()["photos"]] == [None, None, None, decision]
    assert [row["approve"] for row in rows_of()] == ["yes", "yes", "yes", "no"]


def test_copies_of_one_photo_are_decided_together(library):
    (library / "copy.jpg").write_bytes((library / "a.jpg").read_bytes())
    run(library, "--review")
    change("copy.jpg", correct="Hawa Mahal")
    run(library, "--write", "sidecar")
    assert [row["landmark"] for row in table() if "a.jpg" in row["path"] or "copy" in row["path"]] == [
        "Hawa Mahal"
    ] * 3
    for name in ("a.jpg", "copy.jpg"):  # the row of the other said nothing, and passed for not reviewed
        assert "Hawa Mahal" in (library / f"{name}.xmp").read_text("utf-8")
    change("copy.jpg", approve="no", correct="")
    run(library, "--write", "sidecar")
    assert not (library / "a.jpg.xmp").exists() and not (library / "copy.jpg.xmp").exists()


def test_names_are_found_in_both_languages_and_after_a_person_renamed_them():
    names = Names([Landmark("10.Taj_Mahal", "Crown of the Palaces"), describe("15.Eiffel_Tower")])
    assert names.find("TAJ  mahal").name == names.find("ताज महल").name == "Crown of the Palaces"
    assert names.find("tour eiffel").name == "Eiffel Tower"
    assert names.find("La tour").name == "La tour"
    assert names.find("La tour").latitude is None


def test_confirmed_tags_say_so():
    tags = confirmed_tags(describe("10.Taj_Mahal"), "a model")
    assert tags.notice == "Confirmed by a person."
    assert tags.keywords[:3] == ("Taj Mahal", "Agra", "India")
