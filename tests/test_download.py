"""The download, against a server on loopback that cuts, lies and changes its mind."""

import io
import json
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from src import download
from src.download import DataError

ROOT = Path(__file__).resolve().parent.parent
PICTURE = bytes(range(256)) * 40  # 10 kB; nothing here looks into a picture


class Server(ThreadingHTTPServer):
    """Serves `body` under every path, misbehaving as its attributes say; notes each request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = b""
        self.validators = {"ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        self.ranges = True  # knows Range
        self.if_range = True  # knows If-Range
        self.cuts = []  # bytes after which the next answers break off
        self.shifts = []  # how much further than asked for the next ranges begin
        self.statuses = []  # what the next answers are instead
        self.length = 0  # added to the Content-Length; None sends none
        self.stall = 0.0  # seconds of silence before breaking off
        self.delay = 0.0  # seconds for each 4 kB
        self.requests = []  # (status, Range, If-Range)
        self.url = f"http://127.0.0.1:{self.server_port}/landmark_images.zip"

    def handle_error(self, request, client_address):
        """A killed client is no news."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        condition = self.headers.get("If-Range")
        body, status, start = server.body, 200, 0
        fresh = not server.if_range or condition in (None, *server.validators.values())
        if wanted and server.ranges and fresh:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            start += server.shifts.pop(0) if server.shifts else 0
            status = 206 if start < len(body) else 416
        if server.statuses:
            status = server.statuses.pop(0)
        server.requests.append((status, wanted, condition))
        self.send_response(status)
        for name, value in server.validators.items():
            self.send_header(name, value)
        if status not in (200, 206):
            body = b""
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        body = body[start:]
        if server.length is not None:
            self.send_header("Content-Length", str(len(body) + server.length))
        self.end_headers()
        end = server.cuts.pop(0) if server.cuts else len(body)
        for at in range(0, end, 4096):
            self.wfile.write(body[at : min(at + 4096, end)])
            time.sleep(server.delay)
        if end < len(body):
            time.sleep(server.stall)

    def log_message(self, *args):
        """Tests read `requests` instead."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0)
    with Server() as server:
        server.body = make_zip()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    """The target inside a folder of its own, so that everything left beside it shows."""
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository" / "landmark_images"


def names(classes=("00.Abbey", "01.Bridge", "02.Castle")):
    return [f"{split}/{name}/{n}.jpg" for split in ("train", "test") for name in classes for n in "ab"]


def make_zip(members=None, top="landmark_images/", extra=(), **keywords):
    """A zip of small pictures; `extra` are further names or ZipInfos."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **keywords) as file:
        for member in names() if members is None else members:
            file.writestr(top + member, member.encode() + PICTURE)
        for member in extra:
            file.writestr(member, b"extra")
    return buffer.getvalue()


def fetch(folder, server, classes=3, **keywords):
    return download.download_data_set(folder, server.url, classes=classes, **{"progress": False} | keywords)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def content(folder):
    return [path.name for path in folder.iterdir()]


def assert_whole(folder, members=None):
    assert tree(folder) == {name: name.encode() + PICTURE for name in members or names()}
    assert content(folder.parent) == [folder.name]


def assert_nothing_left(folder):
    assert content(folder.parent) == []


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


# Kills and neighbours


def start(server, folder, before=""):
    """A process of its own that fetches, after running the line `before`."""
    code = (
        f"import sys, time; from pathlib import Path; from src import download; {before}\n"
        "download.download_data_set(Path(sys.argv[1]), sys.argv[2], progress=False, classes=3)"
    )
    command = [sys.executable, "-c", code, str(folder), server.url]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def kill_when(process, condition):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "finished before it was killed"
        assert time.monotonic() < end
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_killed_while_downloading_then_resumed(server, folder):
    server.delay = 0.05
    archive = folder.parent / "landmark_images.part" / "data.zip"
    process = start(server, folder)
    kill_when(process, lambda: archive.exists() and archive.stat().st_size > 20_000)
    assert not folder.exists()
    have, server.delay = archive.stat().st_size, 0.0
    fetch(folder, server)
    assert server.requests[1:] == [(206, f"bytes={have}-", '"one"')]
    assert_whole(folder)


def test_killed_while_unpacking_then_finished_without_another_download(server, folder):
    slow = "copy = download.shutil.copyfileobj; "
    slow += "download.shutil.copyfileobj = lambda *files: (copy(*files), time.sleep(0.1))"
    unpacking = folder.parent / "landmark_images.part" / "unpacking"
    process = start(server, folder, slow)
    kill_when(process, lambda: len(list(unpacking.rglob("*.jpg"))) >= 3)
    assert not folder.exists()
    fetch(folder, server)
    assert len(server.requests) == 1
    assert_whole(folder)


# Forks a run for each moment at which it touches a file or has written a piece of the download,
# kills it there with SIGKILL, looks at what is there, and lets another run finish the work.
KILL_EVERYWHERE = """
import json, os, shutil, signal, sys, traceback
from pathlib import Path
from src import download

url, base = sys.argv[1], Path(sys.argv[2])
download.tqdm.monitor_interval = 0  # its thread and fork do not go together
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir", "os.listdir",
          "socket.connect", "fcntl.flock"}

def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

def run(folder, moment=None):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = 0
    def step(event="open", args=()):
        nonlocal seen
        if event in EVENTS:
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    download.tqdm.update = lambda bar, size: step()
    try:
        download.download_data_set(folder, url, progress=False, classes=2)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

reference = base / "reference" / "landmark_images"
reference.parent.mkdir()
download.download_data_set(reference, url, progress=False, classes=2)
right, moment, killed, wrong = files(reference), 0, -signal.SIGKILL, []
while killed == -signal.SIGKILL:
    moment += 1
    folder = base / str(moment) / "landmark_images"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("kept")
    killed = run(folder, moment)
    if (folder / "train").exists() and (folder / "test").exists():
        if files(folder) != right | {"README.md": b"kept"}:
            wrong.append([moment, "half a data set"])
        if list(folder.parent.rglob("data.zip")):
            wrong.append([moment, "nobody would ever delete the zip"])
    if run(folder) != 0:
        wrong.append([moment, "second run failed"])
    elif files(folder) != right | {"README.md": b"kept"}:
        wrong.append([moment, "wrong files"])
    elif os.listdir(folder.parent) != ["landmark_images"]:
        wrong.append([moment, os.listdir(folder.parent)])
    shutil.rmtree(folder.parent)
print(json.dumps({"moments": moment, "last": killed, "wrong": wrong}))
"""


def test_killed_at_any_moment_the_next_run_gives_the_right_result(server, tmp_path):
    server.body = make_zip(names(("00.Abbey", "01.Bridge")))
    command = [sys.executable, "-c", KILL_EVERYWHERE, server.url, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    report = json.loads(result.stdout)
    assert report["wrong"] == [], result.stderr
    assert report["last"] == 0, result.stderr
    assert report["moments"] > 40


def test_data_put_there_by_hand_after_a_kill_is_kept(server, folder):
    rest = folder.parent / "landmark_images.part" / "unpacked" / "test" / "00.Abbey"
    rest.mkdir(parents=True)
    for split in ("train", "test"):
        (folder / split / "00.Mine").mkdir(parents=True)
        (folder / split / "00.Mine" / "a.jpg").write_bytes(b"mine")
    fetch(folder, server)
    assert set(tree(folder).values()) == {b"mine"}
    assert content(folder.parent) == [folder.name]


def test_half_moved_and_then_deleted_by_hand_is_not_taken_for_whole(server, folder):
    rest = folder.parent / "landmark_images.part" / "unpacked" / "test" / "00.Abbey"
    rest.mkdir(parents=True)
    with pytest.raises(DataError, match="test is there without the rest"):
        fetch(folder, server)


def test_two_processes_at_once_download_once(server, folder):
    server.delay = 0.02
    processes = [start(server, folder) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert len(server.requests) == 1
    assert_whole(folder)


def test_the_lock_lets_in_one_at_a_time(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(30):
            with download._locked(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0002)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 180
    assert content(tmp_path) == []
