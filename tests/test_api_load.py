"""Clients of the HTTP interface that are slow, endless, gone or many harm no other."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_server import (
    FORM,
    GREEN,
    JSON,
    RED,
    TOKEN,
    Colours,
    as_json,
    check,
    data_url,
    form,
    one_server,
    running,
)
from conftest import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.api import bodies, handlers
from src.api import service as service_module
from src.api.access import Access
from src.api.service import Service, Settings
from src.inference.answers import InferenceError

server = one_server


# Bodies without end, slow ones, and clients that go


def answers_of(connection):
    """What comes until the server hangs up."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


HEAD = f"POST /api/v1/tag HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.mark.parametrize(
    ("length", "status"), [(10**9, 413), (10**18, 413), (10**30, 400), ("abc", 400), (-1, 400)]
)
def test_announced_length_is_not_believed(server, length, status):
    with server.socket() as connection:
        connection.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode())
        connection.settimeout(5)
        answer = connection.recv(65536)
    assert int(answer.split()[1]) == status
    wait_until(lambda: server.service.held == server.service.requests == 0)


def test_who_asks_before_sending_is_refused_before(server):
    with server.socket() as connection:
        connection.sendall(HEAD + f"Content-Length: {10**8}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert b" 413 " in connection.recv(65536)


@pytest.fixture
def small(monkeypatch):
    """Bodies of at most 2,000 bytes, of which as much again is read."""
    monkeypatch.setattr(handlers, "MAX_BODY", 2000)
    monkeypatch.setattr(handlers, "THROWN_AWAY", 4000)


def test_body_that_is_too_large_is_read_and_told_so(server, small):
    status, _, answer = server.tag(b"x" * 3000)
    assert (status, answer["code"]) == (413, 413)
    assert server.tag(RED)[0] == 200


@pytest.mark.parametrize(("size", "status"), [(len(RED), 200), (3000, 413), (200_000, 413)])
def test_body_without_length(server, small, size, status):
    body = RED + b"\0" * (size - len(RED))
    with server.socket() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        try:
            for start in range(0, size, 500):
                part = body[start : start + 500]
                connection.sendall(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            assert size > 4000  # it hung up, having said why
        head, _, answer = answers_of(connection).partition(b"\r\n\r\n")
    if head or size <= 4000:
        assert int(head.split()[1]) == status
        assert status == 200 or json.loads(answer)["code"] == 413
    wait_until(lambda: server.service.held == server.service.requests == 0)


def test_photo_that_is_too_large_in_base64(server, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_BYTES", 100)
    assert server.tag(as_json(RED), Content_Type=JSON)[0] == 413
    assert server.tag(RED)[0] == 413


def test_requests_one_after_another_in_one_go(server):
    def request(kind, body):
        return HEAD + f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    with server.socket() as connection:
        last = request("image/jpeg", GREEN).replace(b"Host: x", b"Connection: close\r\nHost: x")
        connection.sendall(request(JSON, b"{{{") + request("image/jpeg", RED) + request(JSON, b"{}") + last)
        received = answers_of(connection)
    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"400", b"200", b"422", b"200"]
    assert re.findall(rb'"caption": "(\w+)', received) == [b"Taj", b"Eiffel"]


def test_slow_client_does_not_keep_others_waiting_nor_its_place(server, monkeypatch):
    monkeypatch.setattr(handlers, "RECEIVING", 1.0)
    with server.socket() as slow:
        slow.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        wait_until(lambda: server.service.requests == 1)
        start = time.monotonic()
        assert server.tag(RED)[0] == 200
        assert time.monotonic() - start < 1
        assert b" 408 " in answers_of(slow)
    wait_until(lambda: server.service.held == server.service.requests == 0)


def test_client_that_hangs_up_gives_its_place_back(server):
    with server.socket() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        wait_until(lambda: server.service.held == 3)
    wait_until(lambda: server.service.held == server.service.requests == 0)
    assert server.tag(RED)[0] == 200


# Many at once


class Waiting(Colours):
    """Answers when it may."""

    def __init__(self):
        super().__init__()
        self.may, self.asked = threading.Event(), 0

    def scores(self, picture):
        self.asked += 1
        assert self.may.wait(20)
        return super().scores(picture)


def test_two_clients_are_served_at_once_and_the_server_stays_awake():
    model = Waiting()
    with running(model) as server, ThreadPoolExecutor(2) as pool:
        both = [pool.submit(server.tag, photo) for photo in (RED, GREEN)]
        wait_until(lambda: model.asked == 2)
        start = time.monotonic()
        assert server.ask("GET", "/health")[0] == 200
        assert time.monotonic() - start < 1
        model.may.set()
        assert [one.result()[2]["landmark"] for one in both] == ["Taj Mahal", "Eiffel Tower"]


def test_photo_of_a_client_that_has_gone_is_not_looked_at(monkeypatch):
    model = Waiting()
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # two threads
    with running(model) as server, ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(server.tag, photo) for photo in (RED, GREEN)]
        wait_until(lambda: model.asked == 2)
        with server.socket() as connection:
            connection.sendall(HEAD + f"Content-Length: {len(RED)}\r\n\r\n".encode() + RED)
            wait_until(lambda: server.service.requests == 3)
        wait_until(lambda: server.service.requests == 2)
        model.may.set()
        assert [one.result()[0] for one in busy] == [200, 200]
        assert server.tag(RED)[0] == 200
        assert model.asked == 3


@pytest.mark.parametrize(("limit", "most"), [("PLACES", 1), ("HELD", len(RED) + 10)])
def test_more_than_can_be_done_is_refused_for_now(monkeypatch, limit, most):
    monkeypatch.setattr(service_module, limit, most)
    model = Waiting()
    with running(model) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.tag, RED)
        wait_until(lambda: model.asked == 1)
        status, headers, answer = server.tag(RED)
        assert (status, headers["Retry-After"]) == (503, "2")
        check("Error", answer)
        model.may.set()
        assert first.result()[0] == 200
        assert server.tag(RED)[0] == 200


def test_model_that_is_not_there_yet():
    service = Service(Settings(), Colours, lambda: False)
    with running(service=service) as server:
        for method, path in (("POST", "/api/v1/tag"), ("GET", "/api/v1/landmarks")):
            status, headers, answer = server.ask(method, path)
            assert (status, headers["Retry-After"]) == (503, "5")
            check("Error", answer)


def test_model_is_loaded_anew_after_it_gave_no_answer():
    class Gone(Colours):
        def scores(self, picture):
            raise InferenceError("The model was replaced; please reload the page.")

    models = [Colours(), Gone()]
    with running(service=Service(Settings(), models.pop, lambda: True)) as server:
        status, headers, answer = server.tag(RED)
        assert (status, "page" in answer["error"]) == (503, False)
        assert headers["Retry-After"]
        assert server.tag(RED)[0] == 200


def test_model_that_is_long_in_coming_keeps_nobody_else_waiting():
    may, loads = threading.Event(), []

    class Gone(Colours):
        def scores(self, picture):
            raise InferenceError("gone")

    def load():
        loads.append(1)
        if len(loads) == 1:
            return Gone()
        assert may.wait(20)
        return Colours()

    with (
        running(service=Service(Settings(TOKEN), load, lambda: True)) as server,
        ThreadPoolExecutor(3) as pool,
    ):
        assert server.tag(RED)[0] == 503
        waiting = [pool.submit(server.tag, RED), pool.submit(server.ask, "GET", "/api/v1/landmarks")]
        wait_until(lambda: len(loads) == 2)
        start = time.monotonic()
        assert server.ask("GET", "/health")[0] == 200
        assert time.monotonic() - start < 1
        may.set()
        assert [one.result()[0] for one in waiting] == [200, 200]


# Anything


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([data_url(RED), "data:,"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
requests = st.dictionaries(
    st.sampled_from(["id", "model", "images", "url", "image"]),
    json_values | st.lists(json_values, max_size=3),
)
bodies_of_all_kinds = st.one_of(
    st.binary(max_size=300),
    requests.map(lambda request: json.dumps(request).encode()),
    st.binary(max_size=50).map(lambda data: form(("a", "a.jpg", data))),
    st.tuples(st.integers(0, len(RED)), st.binary(max_size=9)).map(lambda cut: RED[: cut[0]] + cut[1]),
)
kinds = st.sampled_from([JSON, FORM, "image/jpeg", "", "multipart/form-data; boundary=", "text/plain; x="])
paths = st.sampled_from(["/api/v1/tag", "/api/v1/vision/labels", "/api/v1/vision/labels/%ff", "/api/v1/%00"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths, bodies_of_all_kinds, kinds)
def test_any_body_gets_an_answer_or_a_sentence(server, path, body, kind):
    server.service.access = Access("", 10**6)
    status, _, answer = server.ask("POST", path, body, Content_Type=kind)
    assert status in (200, 400, 404, 413, 415, 422)
    if status != 200:
        check("Error", answer)
    wait_until(lambda: server.service.held == server.service.requests == 0)
