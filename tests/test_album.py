"""Albums: folders of links to the photos of each landmark."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from tag_library import COLOURS, contents, photo, run, table

from src.files import safe_name
from src.library import choose
from src.photos.files import ALBUM_LIST, find_photos

pytest_plugins = ("tag_fixtures",)


def links(album):
    """Each link of an album with the photo that it leads to."""
    found = (path for path in Path(album).rglob("*") if path.is_symlink())
    return {path.relative_to(album).as_posix(): path.resolve() for path in found}


def decide(approve, correct="", of="a.jpg"):
    """Change the row of the table of decisions whose path ends so."""
    lines = Path("tags.review.csv").read_text("utf-8-sig").splitlines()
    head = lines[0].split(",")
    for number, line in enumerate(lines):
        cells = line.split(",")
        if cells[head.index("path")].endswith(of):
            cells[head.index("approve")], cells[head.index("correct")] = approve, correct
            lines[number] = ",".join(cells)
    Path("tags.review.csv").write_text("\n".join(lines), "utf-8")


def test_each_landmark_has_a_folder_of_links(library, capsys):
    before = contents(library)
    assert run(library, "--album", "album") == 0
    out = capsys.readouterr().out
    assert "Album: 3 linked." in out and "The album is album." in out
    assert links("album") == {
        "Taj Mahal/a.jpg": library / "a.jpg",
        "Eiffel Tower/b.png": library / "b.png",
        "Hawa Mahal/a.jpg": library / "below" / "a.jpg",
    }
    assert Path("album/Taj Mahal/a.jpg").readlink() == Path("../../library/a.jpg")
    assert contents(library) == before
    assert run(library, "--album", "album") == 0
    assert "Album: 3 unchanged." in capsys.readouterr().out


def test_photos_and_album_can_be_moved_together(library, tmp_path):
    run(library, "--album", library / "album")
    shutil.move(library, tmp_path / "elsewhere" / "photos")
    moved = tmp_path / "elsewhere" / "photos"
    assert links(moved / "album")["Hawa Mahal/a.jpg"] == moved / "below" / "a.jpg"


def test_photos_of_one_name_get_numbers(library):
    for folder in ("1", "2"):
        photo(library / folder / "A.jpg", COLOURS["red"], side=80 + int(folder))
    run(library, "--album", "album")
    assert {name: path for name, path in links("album").items() if name.startswith("Taj")} == {
        "Taj Mahal/A.jpg": library / "1" / "A.jpg",
        "Taj Mahal/A (2).jpg": library / "2" / "A.jpg",
        "Taj Mahal/a (3).jpg": library / "a.jpg",
    }


def test_what_a_person_decided_holds(library, capsys):
    run(library, "--review")
    decide("no", of="b.png")
    decide("yes", "The Pub: our <3", of="below/a.jpg")
    photo(library / "new.jpg", "red", side=99)
    capsys.readouterr()
    assert run(library, "--album", "album") == 0
    out = capsys.readouterr().out
    assert "Album: 2 linked, 1 not reviewed, 1 rejected." in out
    assert "tags.review.csv decides what is written or linked." in out
    assert links("album") == {
        "Taj Mahal/a.jpg": library / "a.jpg",
        "The Pub- our -3/a.jpg": library / "below" / "a.jpg",
    }


def test_a_later_run_removes_what_holds_no_more_and_nothing_else(library, tmp_path, capsys):
    album = tmp_path / "album"
    run(library, "--album", album)
    (album / "Eiffel Tower" / "note.txt").write_text("mine")
    (album / "Eiffel Tower" / "friend.png").symlink_to(library / "b.png")
    (album / "Taj Mahal" / "a.jpg").unlink()
    (album / "Taj Mahal" / "a.jpg").write_bytes(b"put there by a person")
    for name in ("a.jpg", "b.png", "below/a.jpg"):
        (library / name).unlink()
    photo(library / "c" / "a.jpg", "red")
    capsys.readouterr()
    assert run(library, "--album", album) == 0
    assert "Album: 1 linked, 2 removed." in capsys.readouterr().out
    assert not (album / "Hawa Mahal").exists()
    assert sorted(path.name for path in (album / "Eiffel Tower").iterdir()) == ["friend.png", "note.txt"]
    assert (album / "Taj Mahal" / "a.jpg").read_bytes() == b"put there by a person"
    assert links(album)["Taj Mahal/a (2).jpg"] == library / "c" / "a.jpg"


@pytest.mark.parametrize("again", ["nothing", "another photo"])
@pytest.mark.parametrize("call", ["unlink", "is_symlink"])
def test_a_link_that_cannot_be_removed_is_removed_by_a_later_run(library, monkeypatch, call, again, capsys):
    """It was in the list no more, so nobody ever removed it."""
    assert run(library, "--album", "album") == 0
    (library / "b.png").unlink()
    if again == "another photo":  # whose link would have the same name
        photo(library / "c" / "b.png", "green", kind="PNG")
    stuck = Path("album/Eiffel Tower/b.png").absolute()
    original = getattr(Path, call)

    def refuse(path, *args, **options):
        if path == stuck:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, *args, **options)

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(Path, call, refuse)
            if call == "is_symlink":  # the folder is closed, so nothing in it is seen
                patched.setattr(os.path, "lexists", lambda path: path != stuck and original(Path(path)))
            capsys.readouterr()
            assert run(library, "--album", "album") == 1
        assert "Album: 1 failed, 2 unchanged." in capsys.readouterr().out
        assert os.path.lexists(stuck)
    assert run(library, "--album", "album") == 0
    more = {} if again == "nothing" else {"Eiffel Tower/b.png": library / "c" / "b.png"}
    assert links("album") == {
        "Taj Mahal/a.jpg": library / "a.jpg",
        "Hawa Mahal/a.jpg": library / "below" / "a.jpg",
        **more,
    }
    assert set(json.loads(Path("album", ALBUM_LIST).read_text())) == set(links("album"))


def test_a_folder_that_became_a_link_is_left_alone(library, tmp_path, capsys):
    run(library, "--album", "album")
    Path("album/Taj Mahal").rename("moved")
    Path("album/Taj Mahal").symlink_to(tmp_path / "moved")
    (library / "a.jpg").unlink()
    photo(library / "c.jpg", "red")
    assert run(library, "--album", "album") == 1
    assert "c.jpg cannot be made or removed: a file of this name is there" in capsys.readouterr().out
    assert [path.name for path in Path("moved").iterdir()] == ["a.jpg"]


def test_an_album_among_the_photos_is_not_looked_through(library, capsys):
    for _ in range(2):
        assert run(library, "--album", library / "album") == 0
    assert run(library) == 0
    assert len(table()) == 4
    assert len(list(find_photos(library))) == 4


def test_a_kill_leaves_no_link_that_nobody_knows(library, monkeypatch, capsys):
    original = Path.symlink_to

    def symlink_to(path, target):
        original(path, target)
        if path.parent.name == "Eiffel Tower":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "symlink_to", symlink_to)
    assert run(library, "--album", "album") == 130
    monkeypatch.setattr(Path, "symlink_to", original)
    assert set(links("album")) == {"Taj Mahal/a.jpg", "Eiffel Tower/b.png"}
    (library / "b.png").unlink()
    capsys.readouterr()
    assert run(library, "--album", "album") == 0
    assert "Album: 1 linked, 1 removed, 1 unchanged." in capsys.readouterr().out


@pytest.mark.parametrize("act", ["file", "photos", "above", "full", "broken", "escaping"])
def test_folders_that_can_be_no_album(library, tmp_path, act, capsys):
    folder = tmp_path / "there"
    if act == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
    if act == "full":
        photo(folder / "mine.jpg")
    if act == "broken":
        (folder / ALBUM_LIST).write_text("{")
    if act == "escaping":
        (folder / ALBUM_LIST).write_text(json.dumps({"../library": "x"}))
    given = {"photos": library, "above": tmp_path}.get(act, folder)
    said = {
        "file": "is no folder",
        "photos": "holds the photos themselves",
        "above": "holds the photos themselves",
        "full": "is no album, and not empty",
    }.get(act, "has a damaged")
    before = contents(tmp_path)
    assert run(library, "--album", given) == 2
    assert capsys.readouterr().err.startswith(f"{given} {said}")
    assert contents(tmp_path) == before


def test_where_nothing_can_be_written_or_linked(library, monkeypatch, capsys):
    monkeypatch.setattr(choose.os, "access", lambda *_: False)
    assert run(library, "--album", "album") == 2
    assert "album cannot be written; give a folder on a disk that can be." in capsys.readouterr().err
    monkeypatch.setattr(choose.os, "access", lambda *_: True)

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    assert run(library, "--album", "album") == 2
    assert "album is where no links can be made; give a folder on another disk" in capsys.readouterr().err
    assert not Path("tags.csv").exists() and not Path("album").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Taj Mahal", "Taj Mahal"),
        ("A/B\\C: a*b?", "A-B-C- a-b-"),
        ("..", "photos_"),
        (".hidden ", "hidden"),
        ("con", "con_"),
        ("Aux.1", "Aux.1_"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("a\nb\u202ec", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
        ("x" + "é" * 150, "x" + "é" * 99),
    ],
)
def test_names_that_every_file_system_takes(text, name):
    assert safe_name(text) == name


def test_names_that_are_no_utf_8(library):
    name = os.fsdecode(b"caf\xe9.jpg")
    photo(library / name, "red", side=99)
    for _ in range(2):
        assert run(library, "--album", "album") == 0
        assert links("album")[f"Taj Mahal/{name}"] == library / name
