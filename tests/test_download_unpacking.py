"""Checking and unpacking what was fetched: damaged, wrong and hostile zips, full disks."""

import stat
import zipfile

import pytest
from download_server import PICTURE, assert_nothing_left, assert_whole, fetch, make_zip, names, tree

from src.data import download
from src.data.errors import DataError

pytest_plugins = ("download_fixtures",)


# Size, soundness and content


def test_more_promised_than_sent_is_an_error(server, folder):
    server.length, server.validators = 1000, {}
    with pytest.raises(DataError, match="broke after"):
        fetch(folder, server)
    assert not folder.exists()


def test_less_promised_than_there_is_is_an_error(server, folder):
    server.length = -1000
    with pytest.raises(DataError, match="not a zip"):
        fetch(folder, server)
    assert_nothing_left(folder)


def test_without_a_length_the_zip_itself_tells(server, folder):
    server.length = None
    fetch(folder, server)
    assert_whole(folder)


def test_an_endless_answer_is_cut_off(server, folder, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 50_000)
    server.length = None
    with pytest.raises(DataError, match="longer than 50,000 bytes"):
        fetch(folder, server)
    assert_nothing_left(folder)


def flip(body, at):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def assert_refused_and_not_kept(folder, server, body):
    good, server.body = server.body, body
    with pytest.raises(DataError):
        fetch(folder, server)
    assert_nothing_left(folder)
    server.body = good
    fetch(folder, server)
    assert_whole(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: b"<html>Please log in</html>",
        lambda body: b"",
        lambda body: body[:-2000],  # the table at the end is cut
        lambda body: body[5000:],
        lambda body: body[:40_000] + body[50_000:],
        lambda body: body[:40_000] + bytes(10_000) + body[50_000:],
    ],
)
def test_a_damaged_zip_is_refused_and_not_kept(server, folder, damage):
    assert_refused_and_not_kept(folder, server, damage(server.body))


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_one_wrong_bit_in_a_picture_is_noticed(server, folder, packing):
    server.body = make_zip(compression=packing)
    assert_refused_and_not_kept(folder, server, flip(server.body, 120))


@pytest.mark.parametrize(
    "members",
    [
        [],
        names(("00.Abbey", "01.Bridge")),
        names(("00.Abbey", "01.Bridge", "02.Castle", "03.Dome")),
        [name for name in names() if not name.startswith("test")],
        [name for name in names() if not name.startswith("test/01")],
        [name.replace("test/01.Bridge", "test/01.Bog") for name in names()],
        [
            name.replace("01.Bridge/a.jpg", "01.Bridge/").replace("01.Bridge/b.jpg", "x.txt")
            for name in names()
        ],
    ],
)
def test_other_content_is_refused(server, folder, members):
    server.body = make_zip(dict.fromkeys(members))
    with pytest.raises(DataError, match="classes in train"):
        fetch(folder, server)
    assert_nothing_left(folder)


def test_fifty_classes_are_expected_unless_told_otherwise(server, folder):
    with pytest.raises(DataError, match="there should be 50"):
        download.download_data_set(folder, server.url, progress=False)
    server.body = make_zip(names([f"{n:02}.Place" for n in range(50)]))
    download.download_data_set(folder, server.url, progress=False)
    assert len(list((folder / "train").iterdir())) == 50


# Hostile zips


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "train/../../../evil.jpg",
        "landmark_images/train/00.Abbey/../../../../evil.jpg",
        "/evil.jpg",
        "//host/share/evil.jpg",
        "C:/evil.jpg",
        "C:evil.jpg",
        "landmark_images/train/C:/evil.jpg",
        "..\\evil.jpg",
        "\\evil.jpg",
        "landmark_images/train/00.Abbey/..\\..\\..\\..\\evil.jpg",
        link("landmark_images/train/00.Abbey/evil.jpg"),
        link("landmark_images/train/03.Evil"),
    ],
)
def test_names_that_leave_the_folder_are_refused(server, folder, name, tmp_path):
    server.body = make_zip(extra=[name])
    with pytest.raises(DataError, match="out of the folder"):
        fetch(folder, server)
    assert_nothing_left(folder)
    assert not list(tmp_path.rglob("evil*"))


def test_the_same_picture_twice_is_refused(server, folder):
    with pytest.warns(UserWarning, match="Duplicate"):
        server.body = make_zip(extra=["landmark_images/train/00.Abbey/a.jpg"])
    with pytest.raises(DataError, match="twice"):
        fetch(folder, server)
    assert_nothing_left(folder)


@pytest.mark.parametrize("limit", [{"MAX_FILES": 10}, {"MAX_BYTES": 100_000}])
def test_a_bomb_is_refused(server, folder, limit, monkeypatch):
    server.body = make_zip(compression=zipfile.ZIP_DEFLATED)
    assert len(server.body) < 100_000
    for name, value in limit.items():
        monkeypatch.setattr(download, name, value)
    with pytest.raises(DataError, match="too much"):
        fetch(folder, server)
    assert_nothing_left(folder)


def test_a_bomb_that_lies_about_its_size_is_refused(server, folder):
    real = len(names()[0]) + len(PICTURE)
    body = make_zip(names(("00.Abbey",)), compression=zipfile.ZIP_DEFLATED)
    assert body.count(real.to_bytes(4, "little")) >= 2
    server.body = body.replace(real.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    with pytest.raises(DataError, match="CRC"):
        fetch(folder, server, classes=1)
    assert_nothing_left(folder)


def test_an_encrypted_zip_is_refused(server, folder):
    body = make_zip(names(("00.Abbey",)))
    central = body.index(b"PK\x01\x02")
    server.body = flip(flip(body, central + 8), 6)  # the flag in both headers of one picture
    with pytest.raises(DataError, match="encrypted"):
        fetch(folder, server, classes=1)
    assert_nothing_left(folder)


# The disk


def test_a_full_disk_is_noticed_before_the_download(server, folder, monkeypatch):
    usage = type("Usage", (), {"free": 2 * len(server.body) - 1})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="have to be free"):
        fetch(folder, server)
    assert len(server.requests) == 1
    assert_nothing_left(folder)


def test_a_disk_too_full_to_unpack_keeps_the_download(server, folder, monkeypatch):
    server.body = make_zip(compression=zipfile.ZIP_DEFLATED)
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match="have to be free"):
        fetch(folder, server)
    assert not folder.exists()
    usage.free = 1_000_000
    fetch(folder, server)
    assert len(server.requests) == 1
    assert_whole(folder)


def test_an_error_while_unpacking_leaves_no_half_data_set(server, folder, monkeypatch):
    copies = iter([download.shutil.copyfileobj] * 3)

    def fail_at_the_fourth(source, copy):
        (next(copies, None) or (lambda *_: (_ for _ in ()).throw(OSError(28, "disk full"))))(source, copy)

    with monkeypatch.context() as patch:
        patch.setattr(download.shutil, "copyfileobj", fail_at_the_fourth)
        with pytest.raises(DataError, match="disk full"):
            fetch(folder, server)
    assert set(tree(folder.parent)) == {f"landmark_images.part/data.{end}" for end in ("zip", "json")}
    fetch(folder, server)
    assert len(server.requests) == 1
    assert_whole(folder)


@pytest.mark.parametrize("split", ["train", "test"])
def test_half_a_data_set_of_someone_else_is_not_touched(server, folder, split):
    (folder / split / "00.Mine").mkdir(parents=True)
    (folder / split / "00.Mine" / "a.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=f"{split} is there without the rest"):
        fetch(folder, server)
    assert tree(folder.parent) == {f"landmark_images/{split}/00.Mine/a.jpg": b"mine"}
    assert server.requests == []


def test_a_folder_that_cannot_be_made_is_one_sentence(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="LANDMARK_IMAGES"):
        fetch(tmp_path / "file" / "landmark_images", server)
