"""A library that was moved to another path, with its catalog: what was written there is known."""

import shutil

import pytest
from tag_library import contents, photo, run, table

pytest_plugins = ("tag_fixtures",)


def bytes_below(folder):
    return {path.relative_to(folder): data for path, (data, _) in contents(folder).items()}


@pytest.fixture
def moved(library, tmp_path):
    """The library with sidecars, and with copies beside it and in it, at another place; as it was before."""
    (library / "a.jpg.xmp").write_bytes(b"")  # another's, which is had back
    before = bytes_below(library)
    assert run(library, "--write", "sidecar") == 0
    assert run(library, "--write", "copy", "--to", library / "tagged") == 0
    assert run(library, "--write", "copy", "--to", tmp_path / "copies") == 0
    (tmp_path / "disk" / "2").mkdir(parents=True)
    for name in ("library", "copies"):
        (tmp_path / name).rename(tmp_path / "disk" / "2" / name)
    return tmp_path / "disk" / "2" / "library", before


@pytest.mark.parametrize("runs_before", [False, True])
def test_what_was_written_is_undone_where_the_library_is_now(moved, runs_before, capsys):
    """It said "Tags: none." and left all of it; a run took the copies for photos."""
    library, before = moved
    if runs_before:
        assert run(library) == 0
        assert len(table()) == 4
    assert run(library, "--undo") == 0
    out = capsys.readouterr().out
    assert "9 files with tags, which were found again" in out and "9 undone" in out
    assert bytes_below(library) == before
    assert not (library.parent / "copies").exists() or not bytes_below(library.parent / "copies")
    capsys.readouterr()
    assert run(library, "--undo") == 0
    assert "Tags: none" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["below", ".."])
def test_a_part_of_a_library_or_a_folder_above_it(moved, part, capsys):
    library, before = moved
    assert run(library / part, "--undo") == 0
    assert f"{3 if part == 'below' else 9} undone" in capsys.readouterr().out
    assert run(library, "--undo") == 0
    assert bytes_below(library) == before


def test_tags_are_not_written_twice_and_taken_back_after_a_move(moved, capsys):
    library, _ = moved
    copies = library.parent / "copies"
    capsys.readouterr()
    assert run(library, "--write", "copy", "--to", copies) == 0
    assert "3 unchanged" in capsys.readouterr().out
    assert run(library, "--write", "sidecar", "--min-confidence", "1") == 0
    assert "3 taken back" in capsys.readouterr().out


def test_a_disk_that_was_only_away_is_known_when_it_is_back(library, tmp_path, capsys):
    before = bytes_below(library)
    assert run(library, "--write", "sidecar") == 0
    shutil.copytree(library, tmp_path / "backup")
    library.rename(tmp_path / "away")
    assert run(tmp_path / "backup", "--undo") == 0
    (tmp_path / "away").rename(library)
    assert run(library, "--undo") == 0
    assert bytes_below(tmp_path / "backup") == bytes_below(library) == before


def test_another_library_with_the_same_names_is_not_taken_for_it(library, tmp_path, capsys):
    other = tmp_path / "other"
    for path in library.rglob("*.*"):
        photo(other / path.relative_to(library), (9, 90, 200))
    assert run(library, "--write", "sidecar") == 0
    for path in library.rglob("*.xmp"):
        shutil.copy(path, other / path.relative_to(library))
    shutil.rmtree(library)
    there = bytes_below(other)
    capsys.readouterr()
    assert run(other, "--undo") == 0
    assert "found again" not in capsys.readouterr().out
    assert bytes_below(other) == there
