"""What the tests of `src.host` share: requests to it, visits without a browser, and what it started."""

import json
import re
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import websocket
from browsing import CHROMIUM
from conftest import encode
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from PIL import Image

from src.app.host import PROTOCOL

RED = encode(Image.new("RGB", (320, 240), (220, 20, 20)))
VISITORS = 2
KERNEL = re.compile(r'"kernelId": ?"([0-9a-f-]{36})"')
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")


def processes(module, clone):
    """Pids of what the host of a clone started of a module; other tests have hosts of their own meanwhile."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if module.encode() in arguments and (process / "cwd").readlink() == clone:
                found.append(int(process.name))
        except OSError:
            pass  # it ended meanwhile
    return found


def fetch(address, method="GET", headers=None, data=None):
    """Status, headers and body."""
    request = urllib.request.Request(address, data, headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode("utf-8", "replace")


def kernel_of_new_page(host):
    status, _, page = fetch(host)
    assert status == 200
    return KERNEL.search(page)[1]


def leave(host, kernel_id):
    token = "0" * 32
    headers = {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}
    assert fetch(f"{host}voila/api/shutdown/{kernel_id}", "POST", headers, b"")[0] == 204


def visited(host, pages):
    """The status of each of so many pages, opened one after the other; then all are left."""
    answers = [fetch(host) for _ in range(pages)]
    for status, _, page in answers:
        if status == 200:
            leave(host, KERNEL.search(page)[1])
    return [status for status, _, _ in answers]


def all_places_free(host):
    return visited(host, VISITORS) == [200] * VISITORS


def channel(host, kernel_id, origin=None, protocols=(PROTOCOL,)):
    address = f"{host.replace('http', 'ws')}api/kernels/{kernel_id}/channels?session_id=s"
    return websocket.create_connection(address, timeout=120, origin=origin, subprotocols=list(protocols))


def message(kind, content):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "s", "version": "5.3"}
    parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
    return serialize_msg_to_ws_v1(parts, "shell")


def replies(connection, kind):
    """Kinds of the messages until one of this kind comes."""
    seen = []
    while kind not in seen:
        _, parts = deserialize_msg_from_ws_v1(connection.recv())
        seen.append(json.loads(parts[0])["msg_type"])
    return seen


def kernels(clone):
    """Those that were forked; the process that forks them has the same command line."""
    found = {pid: parent_of(pid) for pid in processes("src.app.forked", clone)}
    return {pid for pid, parent in found.items() if parent in found}


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None  # it ended meanwhile


def kernels_at_rest(clone):
    """Whether none comes or goes: the next to stand by starts a second after the last page was opened."""
    before = kernels(clone)
    time.sleep(2)
    return kernels(clone) == before
