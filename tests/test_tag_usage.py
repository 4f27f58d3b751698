"""The command `src.tag`: wrong usage, catalogs of others, and a run with a real export."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tag_library import run, table

from src import tag
from src.library import catalog as catalogs

pytest_plugins = ("tag_fixtures",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["a" * 300], "the name is too long"),
        (["library", "--write", "copy", "--to", "a" * 300], "the name is too long"),
        (["library", "--undo", "--out", "a" * 300 + ".csv"], "the name is too long"),
        (["library", "--out", "tags.xls"], "let it end in .csv"),
        (["library", "--write", "copy"], "--to DIR go together"),
        (["library", "--to", "there"], "--to DIR go together"),
        (["library", "--write", "copy", "--to", "library"], "other than that of the photos"),
        (["library", "--write", "sidecar", "--review"], "are steps"),
        (["library", "--undo", "--write", "sidecar"], "are steps"),
        (["library", "--album", "album", "--write", "sidecar"], "are steps"),
        (["library", "--album", "a" * 300], "the name is too long"),
        (["library", "--suggest", "--write", "sidecar"], "--suggest goes alone or with --review"),
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


def test_a_catalog_of_the_version_before_is_taken_on(library, fake, tmp_path):
    """What was written can still be undone, and photos are looked at again, for the zones of their clocks."""
    run(library, "--write", "sidecar")
    assert len(list(library.rglob("*.xmp"))) == 3
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("ALTER TABLE answers DROP COLUMN camera")
        db.execute("PRAGMA user_version = 1")
    db.close()
    assert run(library) == 0
    assert fake.asked == 8 and table()[0]["landmark"] == "Taj Mahal"
    assert run(library, "--undo") == 0
    assert not list(library.rglob("*.xmp"))


def test_a_catalog_in_use_is_not_waited_for(library, capsys):
    run(library)
    with catalogs.Catalog(Path("tags.sqlite")):
        assert run(library) == 2
    assert "tags.sqlite is in use by another run; wait for its end." in capsys.readouterr().err
    assert run(library) == 0


def test_tags_in_the_language_of_the_place(library):
    assert run(library, "--language", "local") == 0
    assert table()[0]["landmark"] == "Taj Mahal"
    assert table()[0]["tags"].startswith("ताज महल;Taj Mahal;Agra;India")


def test_a_table_of_ones_own_landmarks(library, capsys):
    columns = "class,name,city,country,country_code,latitude,longitude,extent_km,wikidata,tags"
    Path("mine.csv").write_text(f"{columns}\nTaj_Mahal,Crown of the Palaces,Agra,India,IN,27,78,1,,tomb\n")
    assert run(library, "--landmarks", "mine.csv") == 0
    assert [row["landmark"] for row in table()] == ["Crown of the Palaces", "Eiffel Tower", "Hawa Mahal", ""]
    assert table()[0]["tags"] == "Crown of the Palaces;Agra;India;tomb"
    Path("mine.csv").write_text("something else")
    assert run(library, "--landmarks", "mine.csv") == 2
    assert "mine.csv, line 1: no column" in capsys.readouterr().err
    assert run(library, "--landmarks", "missing.csv") == 2
    assert "missing.csv cannot be read: it or its folder is not there" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [1, 3])
def test_a_reader_that_leaves_is_no_error_and_the_work_goes_on(tmp_path, lines):
    script = "from src import console\n"
    script += "def main():\n    for line in range(100_000): print(line)\n"
    script += "    open('done', 'w').close()\n    return 3\n"
    environment = os.environ | {"PYTHONPATH": str(Path(tag.__file__).parents[1])}
    running = subprocess.Popen(
        [sys.executable, "-c", script + "console.run(main)"],
        env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for line in range(lines):
        assert running.stdout.readline() == f"{line}\n"
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(60) == 3
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "tag"])
def test_every_command_says_what_it_takes_within_seconds_even_to_a_reader_that_leaves(command):
    environment = os.environ | {"PYTHONPATH": str(Path(tag.__file__).parents[1])}
    running = subprocess.Popen(
        [sys.executable, "-m", f"src.{command}", "--help"],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait(60) == 0


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
