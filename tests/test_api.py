"""The HTTP interface: what it answers, and what it tells those who ask wrongly or mean it harm."""

import base64
import io
import json
import logging
import os
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import pytest
from api_server import FORM, TOKEN, Colours, form, running
from conftest import encode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metadata_samples import CAMERA, rational
from PIL import Image

from src.api import bodies, handlers
from src.api import service as service_module
from src.api.access import Access, check_reach, read_token
from src.api.errors import RequestError
from src.api.handlers import OPENAPI, routes
from src.api.service import Service, Settings
from src.inference.answers import InferenceError
from src.inference.own import Taught
from src.inference.own_file import save_own
from src.inference.predictor import Predictor
from src.inference.teaching import see
from src.landmarks.table import Landmark

RED, GREEN, GRAY = (
    encode(Image.new("RGB", (64, 48), colour)) for colour in ((230, 10, 10), (10, 230, 10), (99, 99, 99))
)
JSON = "application/json"


def data_url(data):
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def as_json(data):
    return json.dumps({"image": base64.b64encode(data).decode()})


def placed(data, gps):
    """The photo with a position."""
    exif = Image.Exif()
    exif[0x8825] = gps
    with Image.open(io.BytesIO(data)) as picture:
        return encode(picture, exif=exif)


@pytest.fixture(scope="module")
def server():
    with running() as running_server:
        yield running_server


def check(schema, answer):
    """What is answered is what the document says."""
    document = json.loads(OPENAPI.read_text("utf-8"))
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **document}).validate(answer)


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# What is answered


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (RED, "image/jpeg"),
        (RED, "application/octet-stream"),
        (RED, "application/x-www-form-urlencoded"),  # as curl says unless told otherwise
        (RED, ""),
        (form(("photo", "taj.jpg", RED)), FORM),
        (form(("comment", None, b"x"), ("any", "taj.jpg", RED)), FORM),
        (as_json(RED), JSON),
        (as_json(RED), f"{JSON}; charset=utf-8"),
        (json.dumps({"image": data_url(RED)}), JSON),
        (json.dumps({"image": base64.encodebytes(RED).decode()}), JSON),  # in lines
    ],
)
def test_a_photo_is_answered_alike_however_it_is_sent(server, body, kind):
    status, headers, answer = server.tag(body, Content_Type=kind)
    assert status == 200
    assert headers["Content-Type"] == JSON
    check("Answer", answer)
    assert answer["landmark"] == "Taj Mahal"
    assert answer["place"]["country"] == "India"
    assert answer["tags"][:3] == ["Taj Mahal", "Agra", "India"]
    assert answer["candidates"][0] == {"landmark": "Taj Mahal", "probability": answer["probability"]}
    assert len(answer["candidates"]) == 3
    assert answer["evidence"] is None


def test_no_landmark(server):
    status, _, answer = server.tag(GRAY)
    assert status == 200
    check("Answer", answer)
    assert [answer[key] for key in ("landmark", "place", "tags", "caption")] == [None, None, [], None]
    assert answer["probability"] == pytest.approx(1 / 9, abs=0.01)


def test_own_position_is_evidence(server):
    status, _, answer = server.tag(placed(RED, CAMERA))  # in Peru
    assert status == 200
    check("Answer", answer)
    assert answer["landmark"] is None
    assert answer["evidence"]["landmark_alone"] == "Taj Mahal"
    assert 15_000 < answer["evidence"]["too_far_km"] < 20_000
    agra = {1: "N", 2: rational(27, 10, 30), 3: "E", 4: rational(78, 2, 31)}
    _, _, there = server.tag(placed(RED, agra))
    assert there["landmark"] == "Taj Mahal"
    assert there["evidence"]["too_far_km"] is None
    assert there["probability"] > there["evidence"]["probability_alone"]


def test_landmarks_are_listed(server):
    status, _, answer = server.ask("GET", "/api/v1/landmarks")
    assert status == 200
    check("Landmarks", answer)
    assert [landmark["name"] for landmark in answer["landmarks"]] == [
        "Taj Mahal",
        "Eiffel Tower",
        "Hawa Mahal",
    ]


def test_own_landmarks_are_named_and_listed(tiny_export, tmp_path):
    """A yellow place, and a red one that is the Taj Mahal, which is built in."""
    predictor, yellow = Predictor.load(tiny_export), encode(Image.new("RGB", (64, 48), (250, 250, 10)))
    house = Landmark("The house", "The house", "Ulm", latitude=48.4, longitude=9.99, tags=("family",))
    taught = {
        "The house": Taught(house, (see(yellow, "1.jpg", predictor).example,)),
        "Taj Mahal": Taught(Landmark("Taj Mahal", "Taj Mahal"), (see(RED, "2.jpg", predictor).example,)),
    }
    save_own(tmp_path / "mine.npz", taught, predictor.space_id)
    with running(predictor) as without, running(predictor, own=tmp_path / "mine.npz") as server:
        assert without.tag(yellow)[2]["landmark"] != "The house"
        status, _, answer = server.tag(yellow)
        assert status == 200
        check("Answer", answer)
        assert (answer["landmark"], answer["place"]["city"]) == ("The house", "Ulm")
        assert answer["tags"] == ["The house", "Ulm", "family"]
        assert server.tag(GREEN)[2]["landmark"] == "Eiffel Tower"
        _, _, listed = server.ask("GET", "/api/v1/landmarks")
        check("Landmarks", listed)
        assert [(landmark["name"], landmark["own"]) for landmark in listed["landmarks"]] == [
            *(("Taj Mahal", False), ("Eiffel Tower", False), ("Hawa Mahal", False)),
            ("The house", True),
        ]
        assert not any(one["own"] for one in without.ask("GET", "/api/v1/landmarks")[2]["landmarks"])


def test_document_has_the_addresses_that_there_are(server):
    status, _, document = server.ask("GET", "/api/v1/openapi.json", token=None)
    assert status == 200
    patterns = [
        re.compile(pattern) for pattern, handler, _ in routes(None) if handler is not handlers.NotFound
    ]
    for path, operations in document["paths"].items():
        [(_, handler)] = [
            (pattern, handler)
            for pattern, handler, _ in routes(None)
            if handler is not handlers.NotFound and re.fullmatch(pattern, path)
        ]
        assert tuple(name.upper() for name in operations if name != "parameters") == handler.methods
    assert all(any(pattern.fullmatch(path) for path in document["paths"]) for pattern in patterns)


def test_health_needs_no_token(server):
    assert server.ask("GET", "/health", token=None)[0] == 200


# PhotoPrism


def photoprism(images, **more):
    """As `ApiRequest` of its internal/ai/vision is sent: these two fields also where they say nothing."""
    request = {"id": str(uuid.uuid4()), "model": "landmark-tagger:latest", "version": "latest"}
    return request | {"suffix": "", "stream": False, "images": images} | more


@pytest.mark.parametrize("path", ["/api/v1/vision/labels", "/api/v1/vision/labels/landmark-tagger:latest"])
@pytest.mark.parametrize("image", [data_url(RED), base64.b64encode(RED).decode()])
def test_photoprism_gets_labels(server, path, image):
    request = photoprism([image])
    status, _, answer = server.labels(request, path)
    assert status == answer["code"] == 200
    check("Labels", answer)
    assert answer["id"] == request["id"]
    assert answer["model"] == {"type": "labels", "name": "landmark-tagger", "version": "0584d8"}
    first, *others = answer["result"]["labels"]
    assert first["name"] == "Taj Mahal"
    assert first["categories"] == ["landmark", "Agra", "India"]
    assert others
    assert all(label["priority"] < first["priority"] for label in others)
    assert not {"Agra", "India"} & {label["name"] for label in others}


def test_photoprism_gets_no_label_as_certain(server):
    red = encode(Image.new("RGB", (64, 48), (255, 0, 0)), "PNG")
    label = server.labels(photoprism([data_url(red)]))[2]["result"]["labels"][0]
    assert label["confidence"] < 1  # which it takes for confirmed by a person


def test_photoprism_gets_an_empty_list_where_none_is_known(server):
    status, _, answer = server.labels(photoprism([data_url(GRAY)]))
    assert status == 200
    check("Labels", answer)
    assert answer["result"] == {"labels": []}


def test_labels_of_several_images_are_put_together(server):
    _, _, answer = server.labels(photoprism([data_url(RED), data_url(RED), data_url(GRAY), data_url(GREEN)]))
    names = [label["name"] for label in answer["result"]["labels"]]
    assert len(set(names)) == len(names)
    assert {"Taj Mahal", "Eiffel Tower"} == set(names[:2])


def test_one_image_may_be_given_as_url(server):
    request = photoprism([], url=data_url(RED))
    del request["images"]
    assert server.labels(request)[2]["result"]["labels"][0]["name"] == "Taj Mahal"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (photoprism([]), 422),
        (photoprism(None), 422),
        (photoprism([1]), 422),
        (photoprism({"a": 1}), 422),
        (photoprism(["data:image/jpeg;base64,"]), 422),
        (photoprism(["data:image/jpeg,abc"]), 422),
        (photoprism(["%%%"]), 422),
        (photoprism(["é"]), 422),
        (photoprism([data_url(b"no picture")]), 415),
        (photoprism([data_url(RED[:300])]), 422),
        (photoprism([data_url(RED)] * 17), 413),
        (photoprism([data_url(RED)] * 1000), 413),
        (photoprism(["http://127.0.0.1/a.jpg"]), 422),
        (photoprism(["https://photos.example.org/a.jpg"]), 422),
        (photoprism(["file:///etc/passwd"]), 422),
        (photoprism([], url="ftp://example.org/a.jpg"), 422),
    ],
)
def test_photoprism_is_told_what_is_wrong(server, request_, status):
    found, _, answer = server.labels(request_)
    assert (found, answer["code"], answer["id"]) == (status, status, request_["id"])
    check("Error", answer)
    assert re.fullmatch(r"[A-Z].*\.", answer["error"])


def test_request_without_id_gets_one(server):
    ids = {server.labels({"images": images})[2]["id"] for images in ([data_url(RED)], [])}
    assert all(uuid.UUID(one) for one in ids)
    assert len(ids) == 2


# What is refused


@pytest.mark.parametrize(
    ("body", "kind", "status", "sentence"),
    [
        (b"", "image/jpeg", 422, "The photo is empty"),
        (b"no picture", "image/jpeg", 415, "The photo is not a picture"),
        (b"%PDF-1.7", "application/pdf", 415, "not a picture"),
        (RED[:200], "image/jpeg", 422, "damaged"),
        (b"{", JSON, 400, "not JSON"),
        (b"[" * 100_000, JSON, 400, "not JSON"),
        (b"\xff\xfe\xfd", JSON, 400, "not JSON"),
        (b"1" * 5000, JSON, 400, "not JSON"),
        (b"[]", JSON, 422, "no object"),
        (b"null", JSON, 422, "no object"),
        (b"{}", JSON, 422, '"image"'),
        (b'{"image": 1}', JSON, 422, '"image"'),
        (b'{"image": "a"}', JSON, 422, "not base64"),
        (b'{"image": "\\ud800"}', JSON, 422, "not base64"),
        (b'{"image": "data:image/jpeg,abc"}', JSON, 422, "not base64"),
        (b"", FORM, 400, "multipart"),
        (form(), FORM, 422, "0 files"),
        (form(("photo", None, RED)), FORM, 422, "0 files"),
        (form(("a", "a.jpg", RED), ("b", "b.jpg", RED)), FORM, 422, "2 files"),
        (form(("a", "<b>holiday.jpg", b"x")), FORM, 415, "<b>holiday.jpg is not a picture"),
        (form(("a", "a.jpg", RED))[:-9], FORM, 400, "multipart"),
        (RED, "multipart/form-data", 400, "multipart"),
    ],
)
def test_what_is_no_photo_is_refused_with_one_sentence(server, body, kind, status, sentence):
    found, headers, answer = server.tag(body, Content_Type=kind)
    assert (found, answer["code"]) == (status, status)
    assert headers["Content-Type"] == JSON
    check("Error", answer)
    assert sentence in answer["error"]
    assert re.fullmatch(r".*\w.*\.", answer["error"])


def test_packed_bodies_are_refused(server):
    assert server.tag(RED, Content_Encoding="gzip")[0] == 415


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/tag", 405),
        ("PUT", "/api/v1/tag", 405),
        ("HEAD", "/api/v1/landmarks", 405),
        ("POST", "/api/v1/landmarks", 405),
        ("OPTIONS", "/api/v1/vision/labels", 405),
        ("BREW", "/api/v1/tag", 405),
        ("GET", "/api/v1/", 404),
        ("POST", "/api/v1/tagger", 404),
        ("POST", "/api/v1/vision/caption", 404),
        ("POST", "/api/v1/vision/labels/a/b", 404),
        ("GET", "/api/v1/../../etc/passwd", 404),
        ("GET", "/", 404),
    ],
)
def test_other_addresses_and_methods(server, method, path, status):
    found, headers, answer = server.ask(method, path)
    assert found == status
    if method != "HEAD":
        check("Error", answer)
        assert answer["code"] == status
    if status == 405 and method != "BREW":
        assert headers["Allow"] == ("GET" if "landmarks" in path else "POST")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/tag"), ("GET", "/api/v1/landmarks")])
def test_without_the_token_nothing_is_answered(server, method, path, token):
    status, headers, answer = server.ask(method, path, RED if method == "POST" else None, token=token)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    check("Error", answer)


@pytest.mark.parametrize(("scheme", "status"), [("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)])
def test_scheme_of_the_token(server, scheme, status):
    authorization = f"{scheme} {TOKEN}"
    assert server.ask("GET", "/api/v1/landmarks", token=None, Authorization=authorization)[0] == status


def test_without_a_token_of_the_server_none_is_asked_for():
    with running(token="") as server:
        assert server.ask("POST", "/api/v1/tag", RED, token=None)[0] == 200


def test_an_address_may_ask_for_so_much_a_minute():
    with running(rate=3) as server:
        assert [server.tag(RED)[0] for _ in range(3)] == [200] * 3
        status, headers, answer = server.tag(RED)
        assert (status, int(headers["Retry-After"])) == (429, 20)
        check("Error", answer)


def test_images_of_a_request_count_each():
    with running(rate=5) as server:
        assert server.labels(photoprism([data_url(RED)] * 5))[0] == 200
        assert server.labels(photoprism([data_url(RED)]))[0] == 429


def test_guesses_at_the_token_are_limited():
    with running(rate=3) as server:
        assert [server.ask("GET", "/api/v1/landmarks", token="wrong")[0] for _ in range(4)] == [401] * 3 + [
            429
        ]


def test_what_was_used_up_comes_back():
    now = [0.0]
    access = Access("", 60, lambda: now[0])
    for _ in range(60):
        access.count("10.0.0.1")
    with pytest.raises(RequestError) as caught:
        access.count("10.0.0.1")
    assert caught.value.headers["Retry-After"] == "1"
    access.count("10.0.0.2")  # another one
    now[0] = 1.5
    access.count("10.0.0.1")
    with pytest.raises(RequestError):
        access.count("10.0.0.1")


def test_addresses_of_one_customer_count_together():
    access = Access("", 1)
    access.count("2001:db8:1:2:3::4")
    with pytest.raises(RequestError):
        access.count("2001:db8:1:2:ffff::1")
    access.count("2001:db8:1:3::4")


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


def test_error_that_nobody_foresaw_says_nothing_of_the_photo(caplog):
    class Broken(Colours):
        def scores(self, picture):
            raise KeyError(name)

    name = "secret.jpg"
    with running(Broken()) as server, caplog.at_level(logging.DEBUG):
        status, _, answer = server.tag(RED)
    assert status == 500
    check("Error", answer)
    assert "secret" not in json.dumps(answer) + caplog.text
    assert "KeyError" in caplog.text


def test_log_does_not_name_photos(server, caplog):
    with caplog.at_level(logging.DEBUG):
        server.tag(form(("a", "secret.jpg", RED)), Content_Type=FORM)
        server.tag(form(("a", "secret.jpg", b"x")), Content_Type=FORM)
        server.ask("POST", "/api/v1/tag?name=secret.jpg", RED)
        server.ask("GET", "/secret.jpg")
        server.labels(photoprism(["https://example.org/secret.jpg"]), "/api/v1/vision/labels/secret")
    assert caplog.text.count("/api/v1/tag") == 3
    assert "secret" not in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.real
@pytest.mark.skipif(not os.environ.get("LANDMARK_IMAGES"), reason="needs LANDMARK_IMAGES")
def test_committed_export_names_test_photos_over_http():
    from src.inference.predictor import Predictor

    export = Path(__file__).parents[1] / "checkpoints" / "transfer_exported.pt"
    [folder] = (Path(os.environ["LANDMARK_IMAGES"]) / "test").glob("*.Eiffel_Tower")
    photos = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[:10]]
    with running(Predictor.load(export)) as server, ThreadPoolExecutor(5) as pool:
        found = [answer["landmark"] for _, _, answer in pool.map(server.tag, photos)]
    assert found.count("Eiffel Tower") >= 8


# Settings


def test_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    assert read_token(None) == ""
    monkeypatch.setenv("LANDMARK_API_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    assert "LANDMARK_API_TOKEN" not in os.environ  # kernels need not know it
    assert TOKEN not in repr(Settings(TOKEN))


@pytest.mark.parametrize("text", ["", "short", "two words and more", "größer als nichts"])
def test_token_that_is_none(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="at least 16"):
        read_token(file)
    with pytest.raises(ValueError, match="cannot be read"):
        read_token(tmp_path / "missing")


@pytest.mark.parametrize(
    ("ip", "alone"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("127.9.9.9", True), ("", False),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False)],
)  # fmt: skip
def test_beyond_this_machine_a_token_is_needed(ip, alone):
    check_reach(ip, TOKEN)
    if alone:
        check_reach(ip, "")
    else:
        with pytest.raises(ValueError, match="needs a token: set LANDMARK_API_TOKEN, or give --token-file"):
            check_reach(ip, "")


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
