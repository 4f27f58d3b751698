"""Images at addresses: from hosts that were allowed by name, and from nowhere else."""

import asyncio
import socket
import ssl
import subprocess
import threading

import pytest
from api_server import running
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from src.api import fetching
from src.api.errors import RequestError
from src.api.fetching import Fetcher


class Images(RequestHandler):
    def get(self, name):
        self.application.asked.append(name)
        if name == "moved":
            self.redirect("/image")
        elif name == "missing":
            self.send_error(404)
        else:
            self.write(b"x" * (3000 if name == "large" else 10))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of localhost and 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=x "
    command += "-addext subjectAltName=DNS:localhost,DNS:photos.example.org,IP:127.0.0.1"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def images(certificate, monkeypatch):
    """A server of images by https that is trusted; gives what was asked for, and its port."""
    trusted = ssl.create_default_context(cafile=certificate[0])
    monkeypatch.setattr(fetching, "_tls", lambda: trusted)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*certificate)
    application = Application([("/(.*)", Images)])
    application.asked = []
    sockets, loop, stop = bind_sockets(0, "127.0.0.1"), asyncio.new_event_loop(), asyncio.Event()

    async def serve():
        server = HTTPServer(application, ssl_options=tls)
        server.add_sockets(sockets)
        await stop.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    yield application.asked, sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def fetch(address, *hosts):
    return asyncio.run(Fetcher(hosts).fetch(address, "Image 1"))


def refused(address, *hosts):
    with pytest.raises(RequestError) as caught:
        fetch(address, *hosts)
    assert caught.value.status_code == 422
    return caught.value.sentence


def test_image_of_an_allowed_host(images):
    asked, port = images
    assert fetch(f"https://127.0.0.1:{port}/image", "photos.example.org", f"127.0.0.1:{port}") == b"x" * 10
    assert asked == ["image"]


def test_image_is_fetched_for_photoprism(images):
    asked, port = images
    with running(hosts=(f"127.0.0.1:{port}",)) as server:
        for request in ({"url": f"https://127.0.0.1:{port}/a"}, {"images": [f"https://127.0.0.1:{port}/b"]}):
            status, _, answer = server.labels(request)
            assert (status, "Image 1 is not a picture" in answer["error"]) == (415, True)
    assert asked == ["a", "b"]


@pytest.mark.parametrize(
    "address",
    [
        "https://localhost:PORT/image",
        "https://127.0.0.1/image",  # another port
        "https://127.0.0.1:PORT1/image",
        "http://127.0.0.1:PORT/image",
        "https://user@127.0.0.1:PORT/image",
        "https://127.0.0.1:PORT@example.org/image",
        "https://example.org#@127.0.0.1:PORT/image",
        "https://example.org\\@127.0.0.1:PORT/image",
        "https://127.0.0.1:PORT/ima ge",
        "https://127.0.0.1:PORT/ima\r\nHost: x",
        "https://127.1:PORT/image",
        "https://2130706433:PORT/image",
        "https://127.0.0.1:99999/image",
        "https://127.0.0.1:x/image",
        "https://[::1/image",
        "https:///image",
        "file:///etc/passwd",
        "gopher://127.0.0.1:PORT/image",
    ],
)
def test_no_other_address_is_asked(images, address):
    asked, port = images
    refused(address.replace("PORT", str(port)), f"127.0.0.1:{port}")
    assert asked == []


def test_host_that_is_not_named_is_not_asked():
    assert "--allow-host" in refused("https://photos.example.org/a.jpg")


def test_name_of_a_private_address_is_not_asked(images):
    asked, port = images
    assert "OSError" in refused(f"https://localhost:{port}/image", f"localhost:{port}")
    assert asked == []


@pytest.mark.parametrize(
    "found",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "::1",
     "fe80::1%lo", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "224.0.0.1"],
)  # fmt: skip
def test_private_addresses(found):
    assert not fetching._is_public(found)


@pytest.mark.parametrize("found", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"])
def test_public_addresses(found):
    assert fetching._is_public(found)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    async def resolve(self, host, port, family=0):
        return [(2, ("93.184.216.34", port)), (2, ("10.0.0.1", port))]

    monkeypatch.setattr(fetching.DefaultLoopResolver, "resolve", resolve)
    assert "OSError" in refused("https://photos.example.org/a.jpg", "photos.example.org")


@pytest.mark.parametrize(("path", "reason"), [("moved", "status 302"), ("missing", "status 404")])
def test_redirects_and_errors_are_not_followed(images, path, reason):
    asked, port = images
    assert reason in refused(f"https://127.0.0.1:{port}/{path}", f"127.0.0.1:{port}")
    assert asked == [path]


def test_image_that_is_too_large(images, monkeypatch):
    _, port = images
    monkeypatch.setattr(fetching, "MAX_BYTES", 2000)
    assert "could not be fetched" in refused(f"https://127.0.0.1:{port}/large", f"127.0.0.1:{port}")


def test_certificate_that_is_not_trusted(images, monkeypatch):
    asked, port = images
    monkeypatch.setattr(fetching, "_tls", ssl.create_default_context)
    assert "could not be fetched" in refused(f"https://127.0.0.1:{port}/image", f"127.0.0.1:{port}")
    assert asked == []


def test_host_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(fetching, "SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert "could not be fetched" in refused(f"https://127.0.0.1:{port}/image", f"127.0.0.1:{port}")


@pytest.mark.parametrize("host", ["", "photos.example.org:x", "[::1", ":443"])
def test_host_that_is_none(host):
    with pytest.raises(ValueError, match="is no host; give a name"):
        Fetcher([host])
