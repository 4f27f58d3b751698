"""The HTTP interface: its answers, what it tells those who ask wrongly, and what stays out of its log."""

import base64
import io
import json
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_server import (
    FORM,
    GRAY,
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
    photoprism,
    running,
)
from conftest import encode
from metadata_samples import CAMERA, rational
from PIL import Image

from src.api import handlers
from src.api.handlers import routes
from src.inference.own import Taught
from src.inference.own_file import save_own
from src.inference.predictor import Predictor
from src.inference.teaching import see
from src.landmarks.table import Landmark

server = one_server


def placed(data, gps):
    """The photo with a position."""
    exif = Image.Exif()
    exif[0x8825] = gps
    with Image.open(io.BytesIO(data)) as picture:
        return encode(picture, exif=exif)


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


# What is logged


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
