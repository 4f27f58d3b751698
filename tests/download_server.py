"""What the tests of the download share: a server on loopback that cuts, lies and changes its mind."""

import io
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from src.data import download

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
