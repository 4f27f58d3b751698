"""A download that is killed anywhere, or meets others, ends with one whole data set."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from download_server import assert_whole, content, fetch, make_zip, names, tree

from src.data import download
from src.data.errors import DataError

pytest_plugins = ("download_fixtures",)

ROOT = Path(__file__).resolve().parent.parent


def start(server, folder, before=""):
    """A process of its own that fetches, after running the line `before`."""
    code = (
        f"import sys, time; from pathlib import Path; from src.data import download; {before}\n"
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
from src.data import download

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
