"""A whole library: tagged, reviewed, written and undone; what is wrong with it is said and stops nothing."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tag_library import contents, photo, run, table

from src import catalog as catalogs
from src import tag

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
    assert "<img onerror" not in page and "&lt;img onerror=alert(1)&gt;.jpg" in page
    assert run(folder, "--write", "sidecar") == 1
    assert len(list(folder.glob("*.xmp"))) == len(STRANGE)
    run(folder, "--out", "tags.json")
    assert {Path(record["path"]).name for record in json.loads(Path("tags.json").read_text())} >= set(STRANGE)
    if pytest.importorskip("pyarrow"):
        run(folder, "--out", "tags.parquet")
    assert run(folder, "--undo") == 0
    assert not list(folder.glob("*.xmp"))


def test_a_person_decides_what_is_written(library, capsys):
    assert run(library, "--review") == 0
    page = Path("tags.review.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("<circle") == 3 and "<script" not in page
    assert "Taj Mahal, India" in page and "No landmark that is known" in page
    path = Path("tags.review.csv")
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    assert [row[0] for row in rows] == ["approve", "yes", "yes", "yes"]

    rows[1][0] = "no"
    path.write_text("\n".join(";".join(row) for row in rows))  # as a spreadsheet in Europe saves it
    photo(library / "new.jpg", "red", side=99)
    assert run(library, "--write", "sidecar") == 0
    assert {p.name for p in library.rglob("*.xmp")} == {"a.jpg.xmp"}  # in two folders
    assert len(list(library.rglob("*.xmp"))) == 2
    assert not (library / "b.png.xmp").exists()
    assert "1 not reviewed, 1 rejected, 2 written" in capsys.readouterr().out

    run(library, "--review")  # adds what is new and keeps what was decided
    rows = list(csv.DictReader(path.read_text("utf-8-sig").splitlines()))
    assert [row["approve"] for row in rows] == ["no", "yes", "yes", "yes"]

    path.write_text(path.read_text("utf-8-sig").replace("no,", "perhaps,"))
    before = contents(library)
    for step in (["--write", "sidecar"], ["--review"]):
        assert run(library, *step) == 2
        assert "approve is 'perhaps'; write yes or no" in capsys.readouterr().err
    assert contents(library) == before
    path.write_text("something else")
    assert run(library, "--write", "sidecar") == 2


def test_many_photos_get_several_pages(library, monkeypatch):
    monkeypatch.setattr("src.review.PAGE", 3)
    run(library, "--review")
    assert "Page 1 of 2" in Path("tags.review.html").read_text()
    assert Path("tags.review-2.html").read_text().count("<figure>") == 1
    monkeypatch.setattr("src.review.PAGE", 5)
    run(library, "--review")
    assert not Path("tags.review-2.html").exists()


def test_sidecars_are_written_once_and_undone_to_the_byte(library, capsys):
    foreign = library / "a.jpg.xmp"
    foreign.write_bytes(
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    before = {path: data for path, (data, _) in contents(library).items()}
    assert run(library, "--write", "sidecar") == 0
    assert "3 written" in capsys.readouterr().out
    written = contents(library)
    assert {path: written[path][0] for path in before if path != foreign} | {
        foreign: before[foreign]
    } == before
    assert b"Taj Mahal" in foreign.read_bytes() and b'xmp:Rating="5"' in foreign.read_bytes()
    assert run(library, "--write", "sidecar") == 0
    assert "3 unchanged" in capsys.readouterr().out
    assert contents(library) == written
    assert run(library, "--undo") == 0
    assert {path: data for path, (data, _) in contents(library).items()} == before
    capsys.readouterr()
    assert run(library, "--undo") == 0
    assert "none" in capsys.readouterr().out


def test_copies_are_not_tagged_again_and_undone_with_their_folders(library, tmp_path, capsys):
    pytest.importorskip("exiv2")
    photo(library / "c.gif", "red", kind="GIF")
    before = contents(library)
    to = library / "tagged"
    (to / "below").mkdir(parents=True)
    (to / "below" / "a.jpg").write_bytes(b"another's")
    assert run(library, "--write", "copy", "--to", to) == 1
    out = capsys.readouterr().out
    assert "a.jpg is there already; move it away" in out and "c.gif cannot be copied bit by bit" in out
    assert sorted(path.name for path in to.rglob("*.*")) == ["a.jpg", "a.jpg", "b.png"]
    run(library)
    assert len(table()) == 6  # the library and the stranger, but not our copies
    run(library, "--write", "copy", "--to", to)
    assert "2 unchanged" in capsys.readouterr().out
    shutil.copy(library / "b.png", to)
    assert run(library, "--undo") == 1
    out = capsys.readouterr().out
    assert "b.png is no copy that was written here; it stays" in out
    assert "Tags: 1 failed, 1 undone." in out
    assert not (to / "a.jpg").exists() and (to / "b.png").exists()
    shutil.rmtree(to)
    to.mkdir()
    assert run(library, "--undo") == 0
    assert contents(library) == before


def test_undo_forgets_nothing_while_a_disk_is_away(library, tmp_path):
    pytest.importorskip("exiv2")
    disk = tmp_path / "disk"
    assert run(library, "--write", "copy", "--to", disk) == 0
    disk.rename(tmp_path / "unplugged")
    assert run(library, "--undo") == 1
    (tmp_path / "unplugged").rename(disk)
    assert run(library, "--undo") == 0
    assert list(disk.iterdir()) == []


def test_what_cannot_be_written_says_why_and_the_rest_is_written(library, monkeypatch, capsys):
    (library / "a.jpg.xmp").write_text("not XML")
    real = os.fsync

    def full(descriptor):
        if len(list((library / "below").iterdir())) > 2:  # while a sidecar is written there
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert run(library, "--write", "sidecar") == 1
    out = capsys.readouterr().out
    assert "a.jpg.xmp is not XMP that can be read" in out and "the disk is full" in out
    assert (library / "a.jpg.xmp").read_text() == "not XML"
    assert {path.name for path in library.rglob("*.xmp")} == {"a.jpg.xmp", "b.png.xmp"}
    assert not list(library.rglob("*.tmp"))
    (library / "a.jpg.xmp").unlink()
    assert run(library, "--write", "sidecar") == 0
    assert "1 unchanged, 2 written" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["library", "--out", "tags.xls"], "let it end in .csv"),
        (["library", "--write", "copy"], "--to DIR go together"),
        (["library", "--to", "there"], "--to DIR go together"),
        (["library", "--write", "copy", "--to", "library"], "other than that of the photos"),
        (["library", "--write", "sidecar", "--review"], "are steps"),
        (["library", "--undo", "--write", "sidecar"], "are steps"),
        (["library", "--undo"], "tags.sqlite is not there"),
        (["library", "--min-confidence", "1.5"], "not between 0 and 1"),
        (["library", "--min-confidence", "nan"], "not between 0 and 1"),
        (["library", "--workers", "0"], "less than 1"),
        (["library", "--engine", "cluster"], "invalid choice"),
        ([], "required"),
    ],
)
def test_wrong_usage(library, arguments, message, capsys):
    try:
        status = run(*arguments)
    except SystemExit as exit:
        status = exit.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not Path("tags.csv").exists()


def test_a_missing_model_is_wrong_usage(library, monkeypatch, capsys):
    monkeypatch.undo()
    assert tag.main([str(library), "--model", "missing.pt", "--out", str(library / "tags.csv")]) == 2
    assert "missing.pt is not there" in capsys.readouterr().err


def test_another_catalog_than_ours_is_left_alone(library, capsys):
    run(library)
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = Path("tags.sqlite").read_bytes()
    assert run(library) == 2
    assert "tags.sqlite is a catalog of version 99" in capsys.readouterr().err
    assert Path("tags.sqlite").read_bytes() == before
    with sqlite3.connect("other.sqlite") as db:
        db.execute("CREATE TABLE songs (title)")
    db.close()
    Path("text.sqlite").write_text("a shopping list, and a long one " * 50)
    Path("folder.sqlite").mkdir()
    for name, message in (("other", "is no catalog"), ("text", "is no catalog"), ("folder", "cannot be")):
        assert run(library, "--out", f"{name}.csv") == 2
        assert f"{name}.sqlite {message}" in capsys.readouterr().err


def test_a_catalog_in_use_is_not_waited_for(library, capsys):
    run(library)
    with catalogs.Catalog(Path("tags.sqlite")):
        assert run(library) == 2
    assert "tags.sqlite is in use by another run; wait for its end." in capsys.readouterr().err
    assert run(library) == 0


def test_an_empty_folder(tmp_path, fake, capsys):
    (tmp_path / "none").mkdir()
    assert run("none", "--review") == 0
    assert table() == []
    assert "0 photos" in capsys.readouterr().out


def test_the_command_with_a_real_export(library, tiny_export):
    command = [sys.executable, "-m", "src.tag", library, "--model", tiny_export, "--out", "tags.csv"]
    environment = os.environ | {"PYTHONPATH": str(Path(tag.__file__).parents[1])}
    code = "import sys; sys.argv = sys.argv[1:]; from src.tag import main; status = main(sys.argv[1:]); "
    code += (
        "heavy = {'pandas', 'sklearn', 'matplotlib', 'timm', 'torchvision', 'pyarrow'} & set(sys.modules); "
    )
    code += "assert not heavy, heavy; sys.exit(status)"
    command = [sys.executable, "-c", code, *map(str, command[2:])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [row["landmark"] for row in table()] == ["Taj Mahal", "Eiffel Tower", "Hawa Mahal", ""]


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_what_was_written_is_read_by_exiftool(library, tmp_path):
    def keywords(path):
        answer = subprocess.run(
            ["exiftool", "-json", "-XMP-dc:Subject", str(path)], capture_output=True, check=True
        )
        return json.loads(answer.stdout)[0]["Subject"]

    run(library, "--write", "sidecar")
    assert keywords(library / "a.jpg.xmp")[:3] == ["Taj Mahal", "Agra", "India"]
    run(library, "--undo")
    pytest.importorskip("exiv2")
    run(library, "--write", "copy", "--to", tmp_path / "copies")
    assert keywords(tmp_path / "copies" / "b.png")[0] == "Eiffel Tower"
