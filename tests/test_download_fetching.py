"""Fetching the data set from a server that cuts, lies and changes its mind."""

from pathlib import Path

import pytest
from download_server import Server, assert_nothing_left, assert_whole, content, fetch, make_zip, names, tree

from src.data import download
from src.data.errors import DataError

pytest_plugins = ("download_fixtures",)


# What a visitor without trouble sees


def test_fetches_and_unpacks(server, folder):
    assert fetch(folder, server) == folder
    assert_whole(folder)
    assert server.requests == [(200, None, None)]


def test_a_data_set_that_is_there_is_not_fetched(server, folder):
    fetch(folder, server)
    fetch(folder, server)
    assert len(server.requests) == 1


def test_junk_and_directory_entries_are_left_out(server, folder):
    junk = ["__MACOSX/landmark_images/train/00.Abbey/._a.jpg", "landmark_images/.DS_Store"]
    junk += ["landmark_images/train/00.Abbey/._a.jpg", "landmark_images/train/.DS_Store"]
    junk += ["landmark_images/", "landmark_images/train/", "landmark_images/train/00.Abbey/"]
    junk += ["landmark_images/train/00.Abbey/Thumbs.db", "landmark_images/LICENSE.txt"]
    junk += ["landmark_images/other/00.Abbey/a.jpg", "landmark_images/train/a.jpg", "train/a.jpg/"]
    junk += ["landmark_images/train/00.Abbey/deeper/a.jpg"]
    server.body = make_zip(extra=junk)
    fetch(folder, server)
    assert_whole(folder)


@pytest.mark.parametrize("top", ["", "other_name/"])
def test_the_top_folder_of_the_zip_may_be_missing_or_other(server, folder, top):
    server.body = make_zip(top=top)
    fetch(folder, server)
    assert_whole(folder)


def test_placeholders_in_the_folder_stay(server, folder):
    folder.mkdir()
    (folder / "README.md").write_text("pictures go here")
    (folder / ".gitkeep").touch()
    (folder / "train").mkdir()
    (folder / "test").mkdir()
    fetch(folder, server)
    assert (folder / "README.md").read_text() == "pictures go here"
    assert set(tree(folder)) == {"README.md", ".gitkeep", *names()}


def test_folders_that_jupyter_makes_are_no_data_set(server, folder):
    for side in ("train", "test"):
        (folder / side / ".ipynb_checkpoints").mkdir(parents=True)
    with pytest.raises(DataError, match="train is there without the rest and has to be moved away first"):
        fetch(folder, server)
    assert not server.requests
    for side in ("train", "test"):
        (folder / side / ".ipynb_checkpoints").rmdir()
    fetch(folder, server)
    assert_whole(folder)


def test_the_folder_may_be_a_link(server, folder, tmp_path):
    (tmp_path / "disk" / "pictures").mkdir(parents=True)
    folder.symlink_to(tmp_path / "disk" / "pictures")
    server.cuts = [40_000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    assert (tmp_path / "disk" / "pictures.part").is_dir(), "a rename cannot change the disk"
    assert fetch(folder, server) == folder
    assert folder.is_symlink()
    assert_whole(tmp_path / "disk" / "pictures")


def test_on_a_mounted_folder_the_work_stays_on_its_disk(server, folder, monkeypatch):
    folder.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path == folder)
    server.cuts = [5000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    assert content(folder.parent) == [folder.name]
    fetch(folder, server)
    assert_whole(folder)


def test_the_progress_bar_shows_both_steps_and_can_be_silenced(server, folder, tmp_path, capsys):
    fetch(folder, server, progress=True)
    shown = capsys.readouterr().err
    assert "Downloading: 100%" in shown
    assert "Unpacking: 100%" in shown
    fetch(tmp_path / "again", server, progress=False)
    assert capsys.readouterr() == ("", "")


# Cuts, resumes, changed files


def test_a_cut_is_resumed_where_it_happened(server, folder):
    server.cuts = [40_000, 30_000]
    fetch(folder, server)
    assert_whole(folder)
    assert server.requests == [
        (200, None, None),
        (206, "bytes=40000-", '"one"'),
        (206, "bytes=70000-", '"one"'),
    ]


def test_gives_up_without_progress_and_the_next_run_resumes(server, folder):
    server.cuts = [40_000, 0, 0]
    with pytest.raises(DataError, match="broke after 40,000 of"):
        fetch(folder, server)
    assert not folder.exists()
    assert content(folder.parent) == ["landmark_images.part"]
    assert len(server.requests) == 3
    fetch(folder, server)
    assert server.requests[3:] == [(206, "bytes=40000-", '"one"')]
    assert_whole(folder)


def test_many_cuts_are_fine_as_long_as_each_gets_further(server, folder):
    server.cuts = [10_000] * 10
    fetch(folder, server)
    assert_whole(folder)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, folder, status):
    server.statuses = [status, status]
    fetch(folder, server)
    assert_whole(folder)


def test_a_server_without_ranges_starts_over(server, folder):
    server.ranges, server.cuts = False, [40_000]
    fetch(folder, server)
    assert [status for status, *_ in server.requests] == [200, 200]
    assert_whole(folder)


def test_a_server_without_ranges_that_always_cuts_is_given_up(server, folder):
    server.ranges, server.cuts = False, [40_000] * 9
    with pytest.raises(DataError):
        fetch(folder, server)
    assert len(server.requests) == 3


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("header", ["ETag", "Last-Modified"])
def test_a_file_that_changed_starts_over(server, folder, header, if_range):
    server.validators = {header: '"one"'}
    server.if_range, server.cuts = if_range, [40_000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    server.validators = {header: '"two"'}
    others = names(("00.Arbor", "01.Beacon", "02.Cavern"))
    server.body, before = make_zip(others), server.body
    assert len(server.body) == len(before)
    fetch(folder, server)
    assert_whole(folder, others)


def test_an_answer_with_another_range_starts_over(server, folder):
    server.cuts, server.shifts = [40_000], [10_000]
    fetch(folder, server)
    assert [status for status, *_ in server.requests] == [200, 206, 200]
    assert_whole(folder)


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_became_shorter_starts_over(server, folder, if_range):
    server.if_range, server.cuts = if_range, [len(server.body) - 10, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    server.validators, server.body = {"ETag": '"two"'}, make_zip(names(("00.Arch",)))
    fetch(folder, server, classes=1)
    assert_whole(folder, names(("00.Arch",)))


def test_a_file_of_another_length_under_the_same_validator_starts_over(server, folder):
    server.cuts = [40_000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    server.body = make_zip(names(("00.Arch", "01.Bay", "02.Cave", "03.Dam")))
    fetch(folder, server, classes=4)
    assert_whole(folder, names(("00.Arch", "01.Bay", "02.Cave", "03.Dam")))


@pytest.mark.parametrize("validators", [{}, {"ETag": 'W/"weak"'}])
def test_without_a_validator_nothing_is_joined(server, folder, validators):
    server.validators, server.cuts = validators, [40_000]
    fetch(folder, server)
    assert server.requests == [(200, None, None)] * 2
    assert_whole(folder)


def test_another_address_starts_over(server, folder):
    server.cuts = [40_000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    download.download_data_set(folder, server.url + "?v=2", progress=False, classes=3)
    assert server.requests[-1] == (200, None, None)
    assert_whole(folder)


def test_a_damaged_note_starts_over(server, folder):
    server.cuts = [40_000, 0, 0]
    with pytest.raises(DataError):
        fetch(folder, server)
    (folder.parent / "landmark_images.part" / "data.json").write_text('{"url": "ht')
    fetch(folder, server)
    assert server.requests[-1] == (200, None, None)
    assert_whole(folder)


def test_a_server_that_falls_silent_is_asked_again(server, folder, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.cuts, server.stall = [40_000], 0.5
    fetch(folder, server)
    assert server.requests[1] == (206, "bytes=40000-", '"one"')
    assert_whole(folder)


def test_a_server_that_stays_silent_is_given_up(server, folder, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.cuts, server.stall = [0, 0, 0], 0.5
    with pytest.raises(DataError, match="timed out"):
        fetch(folder, server)
    assert not folder.exists()


# What the person reads


def assert_says_what_to_do(error, url, folder):
    message = str(error.value)
    assert all(part in message for part in (url, "LANDMARK_IMAGES", str(folder)))
    assert message.endswith(".")
    assert not any(end in message for end in ("\n", ". "))


def test_offline_says_what_to_do(folder, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0)
    with Server() as closed:
        url = closed.url
    with pytest.raises(DataError, match="refused") as error:
        download.download_data_set(folder, url, progress=False)
    assert_says_what_to_do(error, url, folder)
    assert_nothing_left(folder)


def test_an_unknown_host_says_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0)

    def unknown(*args, **keywords):
        raise download.HTTPError.__mro__[1](OSError(-2, "Name or service not known"))

    monkeypatch.setattr(download, "urlopen", unknown)
    with pytest.raises(DataError, match="Name or service not known") as error:
        download.download_data_set(folder, progress=False)
    assert_says_what_to_do(error, download.URL, folder)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_tried_again_and_says_what_to_do(server, folder, status):
    server.statuses = [status] * 3
    with pytest.raises(DataError, match=f"HTTP Error {status}") as error:
        fetch(folder, server)
    assert_says_what_to_do(error, server.url, folder)
    assert len(server.requests) == 1
    assert_nothing_left(folder)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "landmark_images.zip", "ftp://host/a.zip", ""])
def test_only_web_addresses_are_opened(folder, url):
    with pytest.raises(DataError, match="must begin with https"):
        download.download_data_set(folder, url, progress=False)
    assert_nothing_left(folder)


def test_an_answer_to_a_range_that_was_not_asked_for_is_refused(server, folder):
    server.statuses = [206] * 3
    with pytest.raises(DataError, match="changed"):
        fetch(folder, server)
    assert not folder.exists()
