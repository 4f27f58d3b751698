"""A whole library reviewed, written and undone."""

import errno
import importlib
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from photo_parts import behind_start, c2pa, xmp_segment
from PIL import Image, features
from raw_samples import RAW_KINDS, raw
from tag_library import COLOURS, FakePredictor, contents, photo, run, table

from src.files import replacing
from src.library import write_back
from src.photos import jxl, sidecar_names

pytest_plugins = ("tag_fixtures",)


STARS = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


def test_sidecars_are_written_once_and_undone_to_the_byte(library, capsys):
    foreign = library / "a.jpg.xmp"
    foreign.write_bytes(STARS)
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


def test_a_copy_that_cannot_be_written_anew_stays_as_it_was(library, tmp_path, monkeypatch, capsys):
    copies = tmp_path / "copies"
    assert run(library, "--write", "copy", "--to", copies) == 0
    before = {path: data for path, (data, _) in contents(copies).items()}
    assert len(before) == 3
    Path("model.pt").write_bytes(b"another model")
    monkeypatch.setattr(FakePredictor, "info", FakePredictor.info | {"fingerprint": "another"})

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("src.files.os.fsync", full)
    assert run(library, "--write", "copy", "--to", copies) == 1
    assert "the disk is full" in capsys.readouterr().out
    assert {path: data for path, (data, _) in contents(copies).items()} == before
    monkeypatch.setattr("src.files.os.fsync", lambda file: None)
    assert run(library, "--write", "copy", "--to", copies) == 0
    assert all(path.read_bytes() != data for path, data in before.items())
    assert run(library, "--undo") == 0
    assert not copies.exists() or not list(copies.rglob("*.*"))


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
def test_a_photo_that_got_stars_since_is_written_anew(library, tmp_path, mode, capsys):
    """The copy kept the photo's former bytes for good, as only tags were compared."""
    writing = ["--write", mode, *(["--to", tmp_path / "copies"] if mode == "copy" else [])]
    target = library / "a.jpg.xmp" if mode == "sidecar" else tmp_path / "copies" / "a.jpg"
    assert run(library, *writing) == 0
    assert b'Rating="5"' not in target.read_bytes()
    rated = library / "a.jpg"
    rated.write_bytes(behind_start(rated.read_bytes(), xmp_segment(STARS)))
    before = contents(library)
    capsys.readouterr()
    assert run(library, *writing) == 0
    assert "2 unchanged, 1 written" in capsys.readouterr().out
    assert b"Rating" in target.read_bytes() and b"Taj Mahal" in target.read_bytes()
    assert run(library, *writing) == 0
    assert "3 unchanged" in capsys.readouterr().out
    assert run(library, "--undo") == 0
    assert contents(library) == {path: data for path, data in before.items() if path.suffix != ".xmp"}
    assert not list((tmp_path / "copies").glob("*"))


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
def test_what_a_catalog_of_before_says_was_written_is_written_anew_once(library, tmp_path, mode, capsys):
    """It did not say of which bytes of the photo."""
    writing = ["--write", mode, *(["--to", tmp_path / "copies"] if mode == "copy" else [])]
    run(library, *writing)
    before = contents(tmp_path / ("library" if mode == "sidecar" else "copies"))
    with sqlite3.connect("tags.sqlite") as db:
        db.execute("ALTER TABLE writes DROP COLUMN content")
    db.close()
    capsys.readouterr()
    for said in ("3 written", "3 unchanged"):
        assert run(library, *writing) == 0
        assert said in capsys.readouterr().out
    assert contents(tmp_path / ("library" if mode == "sidecar" else "copies")) == before


def test_what_another_run_is_writing_is_left_alone(library, tmp_path):
    with replacing(library / "b.png.xmp") as part:
        part.write_text("of another run")
        assert run(library, "--write", "sidecar") == 0
        assert run(library, "--undo") == 0
        assert part.read_text() == "of another run"


def test_undo_forgets_nothing_while_a_disk_is_away(library, tmp_path):
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
    run(library, "--write", "copy", "--to", tmp_path / "copies")
    assert keywords(tmp_path / "copies" / "b.png")[0] == "Eiffel Tower"


def test_the_sidecar_of_a_photo_is_looked_for_once(library, monkeypatch):
    """Else the one that is written could be another than the one that the catalog remembers."""
    looked, names = [], sidecar_names._names
    monkeypatch.setattr(sidecar_names, "_names", lambda photo: looked.append(photo) or names(photo))
    assert run(library, "--write", "sidecar") == 0
    assert len(looked) == len(set(looked)) == 3


@pytest.mark.parametrize(("step", "undoing"), [("write_sidecar", False), ("undo_sidecar", True)])
def test_an_unforeseen_error_at_one_photo_stops_no_other(library, capsys, monkeypatch, step, undoing):
    before = contents(library)
    if undoing:
        assert run(library, "--write", "sidecar") == 0
    todo, failed = getattr(write_back, step), []

    def fail_once(path, *rest, **named):
        if not failed:
            failed.append(path)
            raise RuntimeError("nobody thought of this")
        return todo(path, *rest, **named)

    monkeypatch.setattr(write_back, step, fail_once)
    arguments = ["--undo"] if undoing else ["--write", "sidecar"]
    assert run(library, *arguments) == 1
    told = capsys.readouterr().out
    assert f"1 failed, 2 {'undone' if undoing else 'written'}" in told
    assert f"could not be {'undone' if undoing else 'tagged'} (RuntimeError)" in told
    assert run(library, "--undo") == 0
    assert contents(library) == before


def test_a_photo_of_every_format_gets_one_line_and_one_sidecar(tmp_path, fake, capsys):
    folder = tmp_path / "library"
    for kind, suffix in [("JPEG", "jfif"), ("TIFF", "tif"), ("BMP", "bmp"), ("GIF", "gif")]:
        photo(folder / f"a.{suffix}", "red", kind=kind)
    if features.check("avif"):
        photo(folder / "a.avif", "red", kind="AVIF")
    if jxl.can_decode():
        importlib.import_module("pillow_jxl")  # which makes Pillow write such files
        photo(folder / "a.jxl", "red", kind="JXL")
    for kind in RAW_KINDS:
        picture = Image.new("RGB", (64, 48), COLOURS["red"])
        (folder / f"a.{kind.lower()}").write_bytes(raw(kind, picture))
    photo(folder / "cut.jpg", "red")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-2])
    (folder / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    photos = sorted(set(folder.iterdir()) - {folder / "film.mov"})
    before = contents(folder)
    assert run(folder, "--write", "sidecar") == 0
    rows = {Path(row["path"]): row for row in table()}
    assert sorted(rows) == photos
    assert {row["landmark"] for row in rows.values()} == {"Taj Mahal"}
    assert "1 .mov" in capsys.readouterr().out
    after = contents(folder)
    assert set(after) - set(before) == {Path(f"{path}.xmp") for path in photos}
    assert {name: after[name] for name in before} == before


def test_the_command_says_what_to_do_about_content_credentials(library, tmp_path, capsys):
    photo = library / "a.jpg"
    photo.write_bytes(behind_start(photo.read_bytes(), *c2pa(b"signed " * 9)))
    arguments = ["--write", "copy", "--to", tmp_path / "copies"]
    assert run(library, *arguments) == 1
    assert "a.jpg holds Content Credentials (C2PA)" in capsys.readouterr().out
    assert run(library, *arguments, "--drop-c2pa") == 0
    assert b"signed" not in (tmp_path / "copies" / "a.jpg").read_bytes()
