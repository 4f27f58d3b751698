"""What the tests of the HTTP interface share: a server in a thread with a model of colours, and clients."""

import asyncio
import base64
import contextlib
import http.client
import json
import socket
import threading
import uuid

import jsonschema
import numpy as np
import pytest
from conftest import encode
from PIL import Image
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from src.api.alone import application, service_of
from src.api.handlers import OPENAPI
from src.api.service import Settings
from src.inference.answers import Answering, Scores
from src.landmarks.table import describe

NAMES = ["Taj Mahal", "Eiffel Tower", "Hawa Mahal"]
TOKEN = "correct-horse-battery"
BOUNDARY = "abc"
JSON = "application/json"
RED, GREEN, GRAY = (
    encode(Image.new("RGB", (64, 48), colour)) for colour in ((230, 10, 10), (10, 230, 10), (99, 99, 99))
)


class Colours(Answering):
    """Takes red for the Taj Mahal, green for the Eiffel Tower, blue for the Hawa Mahal, gray for none."""

    def __init__(self):
        classes = [describe(name.replace(" ", "_")).to_dict() for name in NAMES]
        super().__init__({"classes": classes, "known_threshold": 0.5, "size": 32, "fingerprint": "0584d8aa"})

    def scores(self, picture):
        mean = np.array(picture.resize((1, 1)).getpixel((0, 0)), np.float32) + 1
        return Scores(mean / mean.sum(), float(max(mean / mean.sum()) ** 2))


class Server:
    """A running server: its service, and requests to it."""

    def __init__(self, service, port):
        self.service, self.port = service, port

    def ask(self, method, path, body=None, token=TOKEN, **headers):
        """Status, headers and JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            headers = {name.replace("_", "-"): text for name, text in headers.items()}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read() or b"null")

    def tag(self, data, **headers):
        return self.ask("POST", "/api/v1/tag", data, **headers)

    def labels(self, request, path="/api/v1/vision/labels"):
        return self.ask("POST", path, json.dumps(request), Content_Type="application/json")

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), 30)


@contextlib.contextmanager
def running(predictor=None, *, service=None, **settings):
    """A `Server` in a thread of this process."""
    service = service or service_of(predictor or Colours(), Settings(**({"token": TOKEN} | settings)))
    started, loop = threading.Event(), asyncio.new_event_loop()
    found = {}

    async def serve():
        found["server"], found["stop"] = HTTPServer(application(service)), asyncio.Event()
        sockets = bind_sockets(0, "127.0.0.1")
        found["server"].add_sockets(sockets)
        found["port"] = sockets[0].getsockname()[1]
        started.set()
        await found["stop"].wait()
        found["server"].stop()
        await found["server"].close_all_connections()
        service.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield Server(service, found["port"])
    finally:
        loop.call_soon_threadsafe(found["stop"].set)
        thread.join(10)


@pytest.fixture(scope="module")
def one_server():
    """The same for all tests of a file, which calls it `server`; the download has a fixture of that name."""
    with running() as running_server:
        yield running_server


def form(*files):
    """A multipart body of (field, file name or None, bytes)."""
    parts = []
    for field, name, data in files:
        file = "" if name is None else f'; filename="{name}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"{file}\r\n\r\n'
        parts += [head.encode(), data, b"\r\n"]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def data_url(data):
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def as_json(data):
    return json.dumps({"image": base64.b64encode(data).decode()})


def photoprism(images, **more):
    """As `ApiRequest` of its internal/ai/vision is sent: these two fields also where they say nothing."""
    request = {"id": str(uuid.uuid4()), "model": "landmark-tagger:latest", "version": "latest"}
    return request | {"suffix": "", "stream": False, "images": images} | more


def check(schema, answer):
    """What is answered is what the document says."""
    document = json.loads(OPENAPI.read_text("utf-8"))
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{schema}", **document}).validate(answer)
