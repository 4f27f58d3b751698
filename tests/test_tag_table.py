"""The table of a whole library; what is wrong with it is said and stops nothing."""

import json
import os
from pathlib import Path

import pytest
from tag_library import contents, photo, run, table

from src.library import catalog as catalogs
from src.library import read_ahead

pytest_plugins = ("tag_fixtures",)


def test_a_dry_run_names_landmarks_and_touches_nothing(library, capsys, fake):
    before = contents(library)
    assert run(library) == 0
    assert contents(library) == before
    rows = {Path(row["path"]).relative_to(library).as_posix(): row for row in table()}
    assert {name: row["landmark"] for name, row in rows.items()} == {
        "a.jpg": "Taj Mahal",
        "b.png": "Eiffel Tower",
        "below/a.jpg": "Hawa Mahal",
        "below/nothing.webp": "",
    }
    taj = rows["a.jpg"]
    assert taj["country"] == "India" and taj["tags"].startswith("Taj Mahal;Agra;India")
    assert float(taj["latitude"]) == pytest.approx(27.175, abs=0.01)
    assert 0.6 < float(taj["probability"]) <= 1
    assert 0 < float(rows["below/nothing.webp"]["probability"]) < 0.6
    out = capsys.readouterr().out
    assert "4 photos: 3 with a landmark, 1 without, 0 unreadable." in out
    assert "India: 2" in out and "Eiffel Tower: 1" in out
    assert "1 .txt" in out
    assert "Nothing was written to photos" in out


def test_only_what_is_new_or_changed_is_looked_at_again(library, fake):
    run(library)
    first = table()
    assert fake.asked == 4
    run(library)
    assert fake.asked == 4 and table() == first
    photo(library / "a.jpg", "green", side=80)
    photo(library / "new.jpg", "red", side=80)
    (library / "b.png").rename(library / "renamed.png")
    os.utime(library / "below" / "a.jpg", (1, 1))
    run(library)
    assert fake.asked == 6  # what was moved or touched is known by its content
    assert [row["landmark"] for row in table()] == [
        "Eiffel Tower",
        "Hawa Mahal",
        "",
        "Taj Mahal",
        "Eiffel Tower",
    ]
    Path("model.pt").write_bytes(b"another model")
    run(library)
    assert fake.asked == 11


def test_photos_of_one_folder_help_each_other_and_it_shows(tmp_path, fake):
    folder = tmp_path / "outing"
    photo(folder / "1.jpg", "red", "2024:05:01 12:00:00")
    photo(folder / "2.jpg", (140, 120, 10), "2024:05:01 12:00:30")
    photo(folder / "other day" / "3.jpg", (140, 120, 10), "2024:05:01 12:00:30")
    run(folder)
    _, helped, alone = table()
    assert helped["landmark_alone"] == "" and helped["landmark"] == "Taj Mahal"
    assert float(helped["probability_alone"]) < 0.6 < float(helped["probability"])
    assert alone["landmark"] == "" and alone["probability"] == alone["probability_alone"]
    run(folder, "--no-outings")
    assert table()[1]["landmark"] == ""
    assert all(row["probability"] == row["probability_alone"] for row in table())


def test_the_least_probability_that_counts_can_be_given(library, fake):
    run(library, "--min-confidence", "0.99")
    assert not any(row["landmark"] for row in table())
    run(library, "--min-confidence", "0.2")
    assert all(row["landmark"] for row in table())
    assert fake.asked == 4


@pytest.mark.parametrize("ending", [".json", ".geojson", ".parquet", ".csv"])
def test_all_formats_hold_the_same(library, ending):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    assert run(library, "--out", f"some/where/tags{ending}") == 0
    path = Path(f"some/where/tags{ending}")
    if ending == ".csv":
        records = [row | {"tags": row["tags"].split(";") if row["tags"] else []} for row in table(path)]
    elif ending == ".json":
        records = json.loads(path.read_text())
    elif ending == ".geojson":
        features = json.loads(path.read_text())["features"]
        records = [feature["properties"] for feature in features]
        assert features[0]["geometry"] == {
            "type": "Point",
            "coordinates": [records[0]["longitude"], records[0]["latitude"]],
        }
        assert features[3]["geometry"] is None
    else:
        import pandas as pd

        frame = pd.read_parquet(path)
        assert frame["latitude"].dtype == float and frame["probability"].dtype == float
        records = [row | {"tags": list(row["tags"])} for row in frame.to_dict("records")]
    assert len(records) == 4
    assert records[0]["path"] == str(library / "a.jpg")
    assert records[0]["tags"][:3] == ["Taj Mahal", "Agra", "India"]
    assert float(records[0]["extent_km"]) > 0
    assert records[3]["landmark"] == "" and records[3]["tags"] == []


def test_bad_files_say_why_and_the_rest_goes_on(library, capsys, caplog):
    good = (library / "a.jpg").read_bytes()
    (library / "text.jpg").write_text("no photo")
    (library / "empty.jpg").write_bytes(b"")
    (library / "cut.jpg").write_bytes(good[: len(good) // 2])
    (library / "gone.jpg").symlink_to("nowhere.jpg")
    (library / "circle.jpg").symlink_to("circle.jpg")
    (library / "photo folder.jpg").mkdir()
    os.mkfifo(library / "pipe.jpg")
    (library / "below" / "back").symlink_to(library)
    (library / "._a.jpg").write_bytes(b"what macOS leaves on memory cards")
    assert run(library) == 1
    errors = {Path(row["path"]).name: row["error"] for row in table() if row["error"]}
    assert "is not a picture" in errors.pop("text.jpg")
    assert "is empty" in errors.pop("empty.jpg")
    assert "is damaged" in errors.pop("cut.jpg")
    assert "is not there" in errors.pop("gone.jpg")
    assert "symbolic links" in errors.pop("circle.jpg")
    assert "no ordinary file" in errors.pop("pipe.jpg")
    assert not errors
    assert len(table()) == 10
    out = capsys.readouterr().out
    assert "6 unreadable" in out and "cut.jpg: cut.jpg is damaged" in out
    assert "back leads to a folder" in caplog.text

    (library / "text.jpg").write_bytes(good)  # repaired, it is read by the next run
    (library / "cut.jpg").unlink()
    run(library)
    assert sum(bool(row["error"]) for row in table()) == 4


@pytest.mark.parametrize("name", ["read_report", "answer_report"])
def test_an_error_that_nobody_foresaw_is_a_row_and_the_rest_goes_on(library, monkeypatch, capsys, name):
    original = getattr(read_ahead, name)

    def fail(*arguments, **options):
        of = arguments[0].name if name == "answer_report" else arguments[1]
        if of.endswith("b.png"):
            raise ZeroDivisionError("a decoder's own mistake")
        return original(*arguments, **options)

    monkeypatch.setattr(read_ahead, name, fail)
    assert run(library) == 1
    rows = {Path(row["path"]).name: row for row in table()}
    assert rows["b.png"]["error"] == "b.png could not be read (ZeroDivisionError); try another copy of it."
    assert [rows[name]["landmark"] for name in ("a.jpg", "b.png", "nothing.webp")] == ["Hawa Mahal", "", ""]
    assert "4 photos: 2 with a landmark, 1 without, 1 unreadable." in capsys.readouterr().out
    monkeypatch.undo()


def test_copies_of_a_photo_are_no_neighbours(tmp_path, fake):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        photo(tmp_path / "copies" / name, (118, 110, 100), time="2024:05:01 12:00:00")
    run("copies")
    alone = [(row["probability"], row["probability_alone"]) for row in table()]
    assert len(alone) == 3 and all(final == own for final, own in alone)


def test_files_and_folders_without_permission(library, monkeypatch):
    (library / "secret").mkdir()
    scan, read = os.scandir, Path.read_bytes

    def no_folder(path):
        if str(path).endswith("secret"):  # as root, who runs this perhaps, may read everything
            raise PermissionError(13, "Permission denied")
        return scan(path)

    def no_photo(path):
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", no_folder)
        patched.setattr(Path, "read_bytes", no_photo)
        assert run(library) == 1
    errors = {Path(row["path"]).name: row["error"] for row in table() if row["error"]}
    assert set(errors) == {"b.png", "secret"}
    assert all("permission is missing" in error for error in errors.values())
    assert run(library) == 0  # that it is given leaves no trace in size or time


STRANGE = [
    "=1+1.jpg",
    "new\nline.jpg",
    "re\rturn.jpg",
    'quo"te,.jpg',
    "ताज महल.jpg",
    "塔.jpg",
    "\u202egpj.jpg",  # written from right to left
    " .jpg",
    "<img onerror=alert(1)>.jpg",
    "'single.jpg",
    "semi;colon.jpg",
    "\x1b[31m.jpg",
    os.fsdecode(b"byte\xff.jpg"),
]


def test_names_of_any_kind_come_back_from_the_table(tmp_path, fake, capsys):
    folder = tmp_path / "=library"
    for number, name in enumerate(STRANGE):
        photo(folder / name, "red", side=64 + number)
    (folder / "+bad.jpg").write_bytes(b"")
    assert run(folder, "--review") == 1
    assert {Path(row["path"]).name for row in table()} == {*STRANGE, "+bad.jpg"}
    [bad] = [row for row in table() if row["error"]]
    assert bad["error"].startswith("'+bad.jpg is empty")  # a spreadsheet does not compute it
    assert "\x1b" not in capsys.readouterr().out
    page = Path("tags.review.html").read_text()
    assert "<img onerror" not in page and r"\u003cimg onerror=alert(1)>.jpg" in page
    assert run(folder, "--write", "sidecar") == 1
    assert len(list(folder.glob("*.xmp"))) == len(STRANGE)
    run(folder, "--out", "tags.json")
    assert {Path(record["path"]).name for record in json.loads(Path("tags.json").read_text())} >= set(STRANGE)
    if pytest.importorskip("pyarrow"):
        run(folder, "--out", "tags.parquet")
    assert run(folder, "--undo") == 0
    assert not list(folder.glob("*.xmp"))


def test_a_full_disk_under_the_catalog_or_the_table_leaves_both_whole(library, monkeypatch, capsys):
    run(library)
    whole = Path("tags.csv").read_bytes()
    for number in range(50):
        photo(library / f"{number}.jpg", (200, number, 40), side=200 + number)
    real = catalogs.open_catalog

    def small(path):
        db = real(path)
        db.execute("PRAGMA max_page_count = 40")
        return db

    with monkeypatch.context() as patched:
        patched.setattr(catalogs, "open_catalog", small)
        assert run(library) == 1
    assert "tags.sqlite cannot grow, the disk is full; make room" in capsys.readouterr().err
    assert Path("tags.csv").read_bytes() == whole

    def full(*_paths):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        assert run(library) == 1
    assert "tags.csv cannot be written: the disk is full" in capsys.readouterr().err
    assert Path("tags.csv").read_bytes() == whole
    assert not list(Path().glob("*.part"))
    assert run(library) == 0
    assert len(table()) == 54
