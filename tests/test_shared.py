"""One network for all visitors: its answers, and what a visitor gets where it is late or fails."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_server import NAMES, Colours
from conftest import quarters, wait_until
from PIL import Image

from src.inference import shared as shared_module
from src.inference.answers import InferenceError
from src.inference.exporter import add_info
from src.inference.predictor import Predictor
from src.inference.report import failure
from src.inference.shared import INFO, SCORES, SharedPredictor, is_ready, serve

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE = (Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue"))


@pytest.fixture
def address(tmp_path):
    return str(tmp_path / "network")


@pytest.fixture
def start(address, monkeypatch):
    """Serve a network from a thread of this process."""

    def start(network):
        monkeypatch.setattr(Predictor, "load", lambda export: network)
        threading.Thread(target=serve, args=("an export", address), daemon=True).start()
        return SharedPredictor(address)

    return start


def process(export, address):
    command = [sys.executable, "-m", "src.inference.shared", str(export), address]
    return subprocess.Popen(command, cwd=ROOT)


@pytest.fixture
def network(tiny_export, address):
    """A process that serves the tiny export."""
    started = process(tiny_export, address)
    yield started
    started.kill()
    started.wait()


@contextlib.contextmanager
def impatient(seconds=0.5):
    """What is asked meanwhile is not waited for for long; a busy machine may take that for any answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_module, "TIMEOUT", seconds)
        yield


def named(predictor, picture):
    return predictor.predict([picture])[0].guesses[0].landmark.name


def test_shared_network_answers_as_one_of_its_own(network, address, tiny_export):
    shared, own = SharedPredictor(address), Predictor.load(tiny_export)
    pictures = [quarters(320, 240), Image.new("L", (33, 70), 90), Image.new("RGB", (50, 40), (20, 200, 20))]
    for a, b in zip(shared.predict(pictures), own.predict(pictures), strict=True):
        assert [guess.landmark for guess in a.guesses] == [guess.landmark for guess in b.guesses]
        assert [g.probability for g in a.guesses] == pytest.approx([g.probability for g in b.guesses])
        assert (a.known, a.recognised) == (pytest.approx(b.known), b.recognised)
    assert shared.heat(pictures[0]) == pytest.approx(own.heat(pictures[0]))
    assert shared.info == own.info

    network.kill()
    network.wait()
    assert not is_ready(address)
    again = process(tiny_export, address)
    try:
        assert named(shared, GREEN) == "Eiffel Tower"
        assert is_ready(address)
    finally:
        again.kill()
        again.wait()


def test_network_that_was_replaced_does_not_answer_for_the_old_classes(
    network, address, tiny_export, tmp_path
):
    shared = SharedPredictor(address)
    network.kill()
    network.wait()
    newer = shutil.copy(tiny_export, tmp_path / "newer.pt")
    add_info(newer, {"classes": shared.info["classes"][::-1]})
    again = process(newer, address)
    try:
        for _ in range(2):
            with pytest.raises(InferenceError, match="replaced; please reload the page"):
                shared.predict([GREEN])
    finally:
        again.kill()
        again.wait()


def test_a_connection_asks_for_the_network_once(start, monkeypatch):
    asked, answer = [], shared_module._answer
    monkeypatch.setattr(
        shared_module, "_answer", lambda what, *rest: asked.append(what) or answer(what, *rest)
    )
    assert named(start(Colours()), GREEN) == "Eiffel Tower"
    assert asked == [INFO, SCORES]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one picture at a time on one core")
def test_threads_of_one_process_are_answered_at_the_same_time(start):
    both = threading.Barrier(2, timeout=20)

    class Meeting(Colours):
        def scores(self, picture):
            both.wait()
            return super().scores(picture)

    shared = start(Meeting())
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda picture: named(shared, picture), (GREEN, BLUE))) == NAMES[1:3]


def test_late_answer_is_never_that_of_the_next_picture(start):
    released = threading.Event()

    class Late(Colours):
        def scores(self, picture):
            if picture.getpixel((0, 0)) == (255, 0, 0):
                released.wait(20)
            return super().scores(picture)

    shared = start(Late())
    with impatient(), pytest.raises(InferenceError, match="does not answer"):
        shared.predict([RED])
    released.set()
    assert [named(shared, picture) for picture in (GREEN, BLUE, RED)] == [NAMES[1], NAMES[2], NAMES[0]]


def test_request_that_is_interrupted_leaves_no_answer_behind(start, monkeypatch):
    shared = start(Colours())
    receive = shared_module._receive

    def interrupted(connection):
        if connection is not ours:  # the other side, in a thread of this process
            return receive(connection)
        monkeypatch.setattr(shared_module, "_receive", receive)
        raise KeyboardInterrupt

    assert named(shared, GREEN) == NAMES[1]
    ours = shared._own.connection
    monkeypatch.setattr(shared_module, "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shared.predict([RED])
    assert named(shared, BLUE) == NAMES[2]


def misbehave(address, *ways):
    """A server of `Colours` that answers the first requests in these ways; gives the list of connections."""
    network, lock, ways, connections = Colours(), threading.Lock(), list(ways), []
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()

    def run():
        while True:
            client, _ = server.accept()
            connections.append(client)
            threading.Thread(target=attend, args=(client,), daemon=True).start()

    def attend(client):
        while True:
            try:
                number, what, body = shared_module._receive(client)
            except OSError:
                return
            answer = shared_module._answer(what, body, network, lock)
            if what == SCORES and ways:
                ways.pop(0)(client, number, what, answer)
            else:
                shared_module._send(client, number, what, answer)

    threading.Thread(target=run, daemon=True).start()
    return connections


def hang_up(client, *_):
    client.shutdown(socket.SHUT_RDWR)


def half_then_hang_up(client, number, what, answer):
    client.sendall(shared_module._HEADER.pack(number, what, len(answer)) + answer[:5])
    hang_up(client)


def half_then_nothing(client, number, what, answer):
    client.sendall(shared_module._HEADER.pack(number, what, len(answer)) + answer[:5])


def another_number(client, number, what, answer):
    shared_module._send(client, number - 1, what, answer)


def too_long(client, number, what, answer):
    client.sendall(shared_module._HEADER.pack(number, what, 2**32 - 1))


@pytest.mark.parametrize("way", [hang_up, half_then_hang_up, another_number, too_long])
def test_broken_exchange_is_tried_again_on_a_new_connection(address, way):
    connections = misbehave(address, way)
    shared = SharedPredictor(address)
    assert [named(shared, picture) for picture in (GREEN, BLUE)] == NAMES[1:]
    assert len(connections) == 2


@pytest.mark.parametrize("way", [hang_up, another_number])
def test_exchange_that_always_breaks_is_given_up(address, way):
    connections = misbehave(address, *[way] * shared_module.ATTEMPTS)
    shared = SharedPredictor(address)
    with pytest.raises(InferenceError, match="stopped while it was asked"):
        shared.predict([RED])
    assert named(shared, GREEN) == NAMES[1]
    assert len(connections) == shared_module.ATTEMPTS + 1


def test_answer_that_stops_half_way_is_not_waited_for_for_ever(address):
    misbehave(address, half_then_nothing)
    shared = SharedPredictor(address)
    with impatient(), pytest.raises(InferenceError, match="does not answer"):
        shared.predict([RED])
    assert named(shared, GREEN) == NAMES[1]


def test_process_that_does_not_read_is_not_waited_for_for_ever(network, address):
    shared = SharedPredictor(address)
    network.send_signal(signal.SIGSTOP)  # it reads nothing; the photo fills all buffers
    with impatient(), pytest.raises(InferenceError, match="does not answer"):
        shared.predict([Image.new("RGB", (2000, 1500))])
    network.send_signal(signal.SIGCONT)
    assert named(shared, GREEN) == "Eiffel Tower"


def test_failure_is_said_once_and_ends_nothing(start, caplog):
    asked = []

    class Failing(Colours):
        def scores(self, picture):
            asked.append(picture)
            if picture.size == (1, 1):
                raise RuntimeError("out of memory")
            return super().scores(picture)

    shared, threads = start(Failing()), threading.active_count()
    with pytest.raises(InferenceError, match=r"failed \(RuntimeError\)"):
        shared.predict([Image.new("RGB", (1, 1))])
    assert len(asked) == 1  # what failed once would fail again
    assert "out of memory" in caplog.text
    assert named(shared, GREEN) == NAMES[1]
    wait_until(lambda: threading.active_count() <= threads)


@pytest.mark.parametrize("body", [b"", b"x", b"\xff" * 8 + b"x", b"\0" * 8])
@pytest.mark.parametrize("what", [SCORES, shared_module.HEAT, b"?"])
def test_nonsense_is_refused_and_ends_nothing(network, address, what, body):
    good, bad = SharedPredictor(address), SharedPredictor(address)
    with pytest.raises(InferenceError, match="failed"):
        bad._ask(what, body)
    assert json.loads(good._ask(INFO)) == json.loads(bad._ask(INFO)) == good.info
    assert network.poll() is None


def test_network_ends_with_the_process_that_started_it(tiny_export, address):
    script = (
        "import subprocess, sys, time; from src.inference.shared import SharedPredictor;"
        "child = subprocess.Popen([sys.executable, '-m', 'src.inference.shared', *sys.argv[1:]]);"
        "SharedPredictor(sys.argv[2]); print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tiny_export), address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = Path("/proc", parent.stdout.readline().strip(), "cmdline")
        assert child.read_bytes()
        parent.kill()
    wait_until(lambda: not child.exists() or not child.read_bytes())


def test_asking_a_network_that_never_comes_is_given_up(address):
    with impatient(), pytest.raises(InferenceError, match="does not answer"):
        SharedPredictor(address)


def test_export_that_cannot_be_served_is_one_sentence(tmp_path, address):
    command = [sys.executable, "-m", "src.inference.shared", str(tmp_path / "missing.pt"), address]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "missing.pt is not there" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("together", [False, True])
def test_threads_do_not_mix_up_answers(start, address, together):
    """Neither visitors who ask the process at the same time, nor threads of one that share a connection."""
    first = start(Colours())

    def ask(number):
        mine = first if together else SharedPredictor(address)
        return [named(mine, (RED, GREEN, BLUE)[number % 3]) for _ in range(30)]

    with ThreadPoolExecutor(6) as pool:
        for number, answers in enumerate(pool.map(ask, range(6))):
            assert answers == [NAMES[number % 3]] * 30


def test_visitor_reads_what_is_wrong_with_the_network(address, monkeypatch):
    from src.app.page import make_app

    monkeypatch.setenv(shared_module.ADDRESS, address)
    monkeypatch.setattr(shared_module, "TIMEOUT", 0.2)
    sentence = "The model does not answer; please try again."
    assert sentence in make_app("an export").value
    with pytest.raises(InferenceError) as problem:
        SharedPredictor(address)
    assert failure("a.jpg", problem.value) == sentence
