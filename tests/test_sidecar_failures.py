"""Sidecars that cannot be read or written: one sentence says so, and everything stays as it was."""

import errno
import os

import pytest
from metadata_samples import FORMS, PEOPLE, TAJ, names, undo_sidecar, write_sidecar

from src.files import FileError
from src.photos import files
from src.photos import write_tags as metadata
from src.photos.errors import MetadataError


@pytest.mark.parametrize(
    "broken",
    [
        b"\0\1\2",
        b"<x:xmpmeta",
        b"<a/>",
        b"<a></b>",
        b"<?xml version='1.0' encoding='latin-1'?>" + FORMS["nothing said"].encode(),
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + FORMS["nothing said"].encode(),
    ],
)
def test_a_sidecar_that_is_no_xmp_stays_as_it_is(photo, broken):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_bytes(broken)
    with pytest.raises(MetadataError, match=r"IMG_1\.jpg\.xmp .*(repair|move) it"):
        write_sidecar(photo, TAJ)
    assert path.read_bytes() == broken
    assert not undo_sidecar(photo)  # nothing of ours in it
    assert len(names(photo.parent)) == 2


def test_a_photo_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"a\.jpg cannot be read: .*not there"):
        write_sidecar(tmp_path / "a.jpg", TAJ)


def test_a_folder_in_the_sidecars_place(photo):
    photo.with_name("IMG_1.jpg.xmp").mkdir()
    with pytest.raises(FileError, match=r"IMG_1\.jpg\.xmp cannot be read: it is a folder; rename it\."):
        write_sidecar(photo, TAJ)


def failing(code: int, monkeypatch) -> None:
    """Let everything that is written fail at the last moment."""

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "fsync", fail)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "can only be read"),
        (errno.EACCES, "permission is missing"),
        (errno.EIO, "check the disk"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_half_written(photo, monkeypatch, code, message, there):
    path = photo.with_name("IMG_1.jpg.xmp")
    if there:
        path.write_text(PEOPLE, "utf-8")
    before = {name: (photo.parent / name).read_bytes() for name in names(photo.parent)}
    failing(code, monkeypatch)
    with pytest.raises(FileError, match=rf"^IMG_1\.jpg\.xmp cannot be written: .*{message}"):
        write_sidecar(photo, TAJ)
    assert {name: (photo.parent / name).read_bytes() for name in names(photo.parent)} == before


def test_an_undo_that_fails_leaves_the_sidecar(photo, monkeypatch):
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    write_sidecar(photo, TAJ)
    tagged = path.read_bytes()
    failing(errno.ENOSPC, monkeypatch)
    with pytest.raises(FileError, match="the disk is full"):
        undo_sidecar(photo)
    assert path.read_bytes() == tagged


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_can_only_be_read(photo):
    photo.parent.chmod(0o555)
    try:
        with pytest.raises(FileError, match="permission is missing"):
            write_sidecar(photo, TAJ)
    finally:
        photo.parent.chmod(0o755)


def test_a_sidecar_made_by_another_program_meanwhile_is_not_overwritten(photo, monkeypatch):
    monkeypatch.setattr(metadata, "exists", lambda _: False)
    path = photo.with_name("IMG_1.jpg.xmp")
    path.write_text(PEOPLE, "utf-8")
    for links in (True, False):
        if not links:
            monkeypatch.setattr(files.os, "link", None)
            monkeypatch.setattr(files.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
        with pytest.raises(FileError, match="a file of this name is there"):
            write_sidecar(photo, TAJ)
        assert path.read_text("utf-8") == PEOPLE


def test_a_new_sidecar_on_a_card_without_links(photo, monkeypatch):
    monkeypatch.setattr(files.os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "")))
    assert write_sidecar(photo, TAJ).exists()
    assert len(names(photo.parent)) == 2
