"""The HTTP interface as PhotoPrism asks it for labels."""

import base64
import re
import uuid

import pytest
from api_server import (
    GRAY,
    GREEN,
    RED,
    check,
    data_url,
    one_server,
    photoprism,
)
from conftest import encode
from PIL import Image

server = one_server


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
