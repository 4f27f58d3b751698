"""The app in public: `python -m src.host` as visitors, and those who mean it harm, meet it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import websocket
from api_server import TOKEN
from browsing import CHROMIUM, Visit, copy_app, served, sync_api
from conftest import encode
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from PIL import Image

from src.app.host import PROTOCOL

ROOT = Path(__file__).resolve().parent.parent
RED = encode(Image.new("RGB", (320, 240), (220, 20, 20)))
VISITORS = 2
IDLE = 5  # seconds without use, where a test waits for them
KERNEL = re.compile(r'"kernelId": ?"([0-9a-f-]{36})"')
pytestmark = pytest.mark.browser
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Debian's chromium")


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def cmdline(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def processes(text, address=b"LANDMARK_PREDICTOR="):
    """Pids of what a host started, by a text of the command line; other tests run servers of their own."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text in cmdline(folder.name) and address in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            pass  # it ended meanwhile
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tiny_export):
    folder = copy_app(tmp_path_factory.mktemp("hosted") / "clone", "src", "voila.json")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    return folder


@pytest.fixture(scope="module")
def host(clone):
    with served(clone, f"--visitors={VISITORS}", module="src.host") as address:
        yield address


def fetch(address, method="GET", headers=None, data=None):
    """Status, headers and body."""
    request = urllib.request.Request(address, data, headers or {}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read().decode("utf-8", "replace")


@pytest.fixture
def kernel(host):
    """The id of a kernel that a page was opened with, and the page; closed afterwards as a browser does."""
    status, _, page = fetch(host)
    assert status == 200
    kernel_id = KERNEL.search(page)[1]
    yield kernel_id
    leave(host, kernel_id)


def leave(host, kernel_id):
    token = "0" * 32
    headers = {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}
    assert fetch(f"{host}voila/api/shutdown/{kernel_id}", "POST", headers, b"")[0] == 204


@needs_chromium
def test_visitors_share_one_network_and_the_next_is_asked_to_wait(host, chromium, clone):
    visits = [Visit(chromium, host) for _ in range(VISITORS)]
    for visit in visits:
        assert "Taj Mahal" in visit.upload(("a.jpg", RED))[0]
    status, headers, page = fetch(host)
    assert (status, headers["Retry-After"]) == (503, "30")
    assert "All places are taken" in page

    assert kernels()
    for pid in kernels():
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in maps and "onnxruntime" not in maps

    [network] = [pid for pid in processes("src.inference.shared") if str(clone) in cmdline(pid)]
    os.kill(network, signal.SIGKILL)
    assert "Taj Mahal" in visits[0].upload(("b.jpg", RED))[0]
    assert fetch(f"{host}health")[0] == 200

    for visit in visits:  # as when it is left; what a page says while Playwright closes it may get lost
        visit.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    wait_until(lambda: fetch(f"{host}health")[0] == 200)
    wait_until(lambda: visited(host))
    for visit in visits:
        visit.page.close()


def test_no_page_slips_in_before_the_next_kernel_stands_by(host):
    wait_until(lambda: visited(host))
    answers = [fetch(host) for _ in range(VISITORS + 2)]
    for status, _, page in answers:
        if status == 200:
            leave(host, KERNEL.search(page)[1])
    assert [status for status, _, _ in answers] == [200] * VISITORS + [503] * 2


def visited(host):
    status, _, page = fetch(host)
    if status == 200:
        leave(host, KERNEL.search(page)[1])
    return status == 200


@pytest.mark.parametrize("path", [
    "app.ipynb", "voila.json", "src/app/page.py", "src/landmarks/landmarks.csv",
    "checkpoints/transfer_exported.pt",
    "../clone/app.ipynb", "%2e%2e/clone/app.ipynb", "..%2fclone%2fapp.ipynb", "....//app.ipynb",
    "%61pp.ipynb", "app.ipynb%00", "app.ipynb/", "./app.ipynb", "//app.ipynb", "etc/passwd",
    "../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%252e%252e/app.ipynb", "..%5capp.ipynb",
])  # fmt: skip
@pytest.mark.parametrize(
    "door", ["", "voila/files/", "voila/static/", "voila/templates/", "voila/labextensions/", "files/"]
)
def test_nothing_but_the_page_is_served(host, door, path):
    """Sent as it stands: a client would tidy the path up before."""
    address, port = host.removeprefix("http://").rstrip("/").split(":")
    with socket.create_connection((address, int(port)), 30) as connection:
        connection.sendall(
            f"GET /{door}{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    status = int(answer.split()[1])
    assert status >= 300
    for secret in (b"nbformat", b"VoilaConfiguration", b"def show", b"class_name,", b"PK\x03\x04", b"root:"):
        assert secret not in answer
    assert b"Traceback" not in answer


def channel(host, kernel_id, origin=None, protocols=(PROTOCOL,)):
    address = f"{host.replace('http', 'ws')}api/kernels/{kernel_id}/channels?session_id=s"
    return websocket.create_connection(address, timeout=20, origin=origin, subprotocols=list(protocols))


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


def test_no_code_runs_through_the_websocket(host, kernel, tmp_path):
    code = f"open({str(tmp_path / 'ran')!r}, 'w')"
    connection = channel(host, kernel)
    for kind, content in [
        ("execute_request", {"code": code, "silent": False, "user_expressions": {"x": code}}),
        ("inspect_request", {"code": code, "cursor_pos": 1}),
        ("complete_request", {"code": code, "cursor_pos": 1}),
        ("debug_request", {"command": "evaluate", "arguments": {"expression": code}}),
        ("history_request", {"hist_access_type": "tail", "n": 5}),
    ]:
        connection.send_binary(message(kind, content))
    connection.send_binary(message("kernel_info_request", {}))
    seen = replies(connection, "kernel_info_reply")
    connection.close()
    assert not {
        kind for kind in seen if kind.startswith(("execute", "inspect", "complete", "debug", "history"))
    }
    assert not (tmp_path / "ran").exists()


def test_who_speaks_another_protocol_does_not_stop_the_server(host, kernel):
    for protocols in ((), ("another",)):
        with pytest.raises(websocket.WebSocketBadStatusException, match="400"):
            channel(host, kernel, protocols=protocols)
    channel(host, kernel).close()


def test_pages_of_others_can_neither_talk_to_a_kernel_nor_stop_it(host, kernel):
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        channel(host, kernel, origin="https://elsewhere.example")
    assert fetch(f"{host}voila/api/shutdown/{kernel}", "POST", data=b"")[0] == 403
    assert fetch(f"{host}api/kernels/{kernel}", "DELETE")[0] == 403
    channel(host, kernel).close()


def test_kernels_cannot_be_listed_guessed_or_started(host):
    for path in (
        "api/kernels",
        "api/sessions",
        "api/contents",
        "api/terminals",
        f"api/kernels/{uuid.uuid4()}",
    ):
        assert fetch(f"{host}{path}")[0] in (403, 404)
    token = "0" * 32
    headers = {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}
    assert fetch(f"{host}api/kernels", "POST", headers, b"{}")[0] in (403, 404, 405)
    assert fetch(f"{host}voila/api/shutdown/{uuid.uuid4()}", "POST", headers, b"")[0] in (403, 404, 500)


def kernels():
    """Those that were forked; the process that forks them has the same command line."""
    found = set(processes("src.app.forked"))
    return {pid for pid in found if parent_of(pid) in found}


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kernels_at_rest():
    """Whether none comes or goes: the next to stand by starts a second after the last page was opened."""
    before = kernels()
    time.sleep(2)
    return kernels() == before


def test_health_starts_no_kernel(host):
    wait_until(lambda: fetch(f"{host}health")[0] == 200)
    wait_until(kernels_at_rest)
    before = kernels()
    for _ in range(5):
        assert fetch(f"{host}health")[2] == "ok"
    assert not kernels() - before


def test_page_tells_browsers_to_trust_nobody_else(host, kernel):
    headers = fetch(f"{host}health")[1]
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"


def test_a_message_beyond_the_limit_ends_its_own_connection(host, kernel):
    limit = json.loads((ROOT / "voila.json").read_text())["Voila"]["tornado_settings"]
    connection = channel(host, kernel)
    too_much = "x" * (limit["websocket_max_message_size"] + 1)
    with pytest.raises((websocket.WebSocketException, OSError)):
        print(connection.send(too_much), connection.recv())
    assert fetch(f"{host}health")[0] == 200


def kernel_of_new_page(host):
    status, _, page = fetch(host)
    assert status == 200
    return KERNEL.search(page)[1]


def alive(host, kernel_id):
    return fetch(f"{host}api/kernels/{kernel_id}")[0] == 200


@pytest.fixture(scope="module")
def hasty_host(clone, tmp_path_factory):
    """A host that stops a kernel which was not used for some seconds."""
    folder = shutil.copytree(clone, tmp_path_factory.mktemp("hasty") / "clone")
    options = (f"--MappingKernelManager.cull_idle_timeout={IDLE}", "--MappingKernelManager.cull_interval=1")
    with served(folder, f"--visitors={VISITORS}", *options, module="src.host") as address:
        yield address


def test_page_left_open_loses_its_place_and_one_in_use_does_not(hasty_host):
    idle, used = kernel_of_new_page(hasty_host), kernel_of_new_page(hasty_host)
    left_open, in_use = channel(hasty_host, idle), channel(hasty_host, used)
    end = time.monotonic() + 5 * IDLE
    while alive(hasty_host, idle):
        assert time.monotonic() < end
        in_use.send_binary(message("comm_msg", {"comm_id": "0", "data": {}}))
        time.sleep(0.3)
    assert alive(hasty_host, used)
    in_use.send_binary(message("kernel_info_request", {}))
    replies(in_use, "kernel_info_reply")
    while left_open.recv():  # until it is closed; open ones would use up the files of the server
        pass
    in_use.close()
    wait_until(lambda: visited(hasty_host))


@needs_chromium
def test_page_that_lost_its_place_says_so(hasty_host, chromium):
    wait_until(lambda: visited(hasty_host))
    visit = Visit(chromium, hasty_host)
    sync_api.expect(visit.page.get_by_role("button", name="Choose photos")).to_be_visible()
    kernel_id = KERNEL.search(visit.page.content())[1]
    wait_until(lambda: not alive(hasty_host, kernel_id))
    sync_api.expect(visit.page.locator(".lt-ended")).to_be_hidden()
    visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when it is shown again
    sync_api.expect(visit.page.locator(".lt-ended")).to_be_visible()
    visit.page.close()


def test_kernel_that_stood_by_for_long_lives_for_the_page_that_gets_it(hasty_host):
    wait_until(lambda: visited(hasty_host))
    wait_until(kernels_at_rest)
    time.sleep(IDLE + 1)
    kernel_id = kernel_of_new_page(hasty_host)
    time.sleep(2.5)  # idle kernels are looked for meanwhile, and the page is still loading
    assert alive(hasty_host, kernel_id)
    leave(hasty_host, kernel_id)


def test_page_that_never_loads_gives_its_place_back_soon(clone, tmp_path):
    folder = shutil.copytree(clone, tmp_path / "clone")
    (folder / "hurried.py").write_text("import src.app.host as h; h.TIMEOUT = 20; h.Host.launch_instance()")
    with served(folder, "--MappingKernelManager.cull_interval=1", module="hurried") as host:
        loaded = kernel_of_new_page(host)
        connection = channel(host, loaded)
        unloaded = kernel_of_new_page(host)
        wait_until(lambda: not alive(host, unloaded))
        assert alive(host, loaded)
        connection.close()


def test_export_that_cannot_be_served_ends_the_host_with_a_sentence(clone):
    command = [sys.executable, "-m", "src.host", "--no-browser", "--port=0", "--export=missing.pt"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "missing.pt is not there" in done.stderr
    assert "missing.pt cannot be served" in done.stderr
    assert "FileNotFoundError" not in done.stderr


def test_health_tells_a_network_that_takes_no_requests(clone, tmp_path):
    folder = shutil.copytree(clone, tmp_path / "clone")
    with served(folder, module="src.host") as host:
        wait_until(lambda: fetch(f"{host}health")[0] == 200)
        [network] = [pid for pid in processes("src.inference.shared") if str(folder) in cmdline(pid)]
        (folder / "checkpoints" / "transfer_exported.pt").unlink()  # so that it cannot come back
        os.kill(network, signal.SIGKILL)
        wait_until(lambda: fetch(f"{host}health")[0] == 503)
        for _ in range(20):  # while it is started again and again
            assert fetch(f"{host}health")[0] == 503
            time.sleep(0.2)


@pytest.fixture(scope="module")
def host_with_api(clone, tmp_path_factory):
    """A host that answers programs as well, and the log that it writes."""
    folder = shutil.copytree(clone, tmp_path_factory.mktemp("api") / "clone")
    token = folder.with_name("token.txt")
    token.write_text(TOKEN)
    with served(
        folder, f"--visitors={VISITORS}", "--api", f"--token-file={token}", module="src.host"
    ) as address:
        wait_until(lambda: fetch(f"{address}health")[0] == 200)
        yield address, folder.with_name("clone-settings") / "log.txt"


def test_photo_is_answered_beside_the_page_without_a_cookie(host_with_api):
    host, log = host_with_api
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
    for _ in range(2):
        status, _, answer = fetch(f"{host}api/v1/tag?mine.jpg", "POST", headers, RED)
        assert (status, json.loads(answer)["landmark"]) == (200, "Taj Mahal")
    for path, method in (("tag", "POST"), ("landmarks", "GET"), ("vision/labels", "POST")):
        data = RED if method == "POST" else None
        assert fetch(f"{host}api/v1/{path}", method, {"Cookie": "_xsrf=x"}, data)[0] == 401
    status, _, answer = fetch(f"{host}api/v1/mine.jpg", "POST", headers, RED)
    assert (status, json.loads(answer)["code"]) == (404, 404)
    status, _, page = fetch(host)
    assert status == 200
    leave(host, KERNEL.search(page)[1])
    assert "/api/v1/tag" in log.read_text()
    assert "mine.jpg" not in log.read_text()


def test_interface_waits_for_a_network_that_comes_back(host_with_api):
    host, log = host_with_api
    headers = {"Authorization": f"Bearer {TOKEN}"}
    folder = str(log.parent.with_name("clone"))
    [network] = [pid for pid in processes("src.inference.shared") if folder in cmdline(pid)]
    os.kill(network, signal.SIGKILL)
    wait_until(lambda: fetch(f"{host}api/v1/tag", "POST", headers, RED)[0] == 200)


def test_interface_is_off_unless_it_is_asked_for(host):
    assert fetch(f"{host}api/v1/landmarks")[0] in (403, 404)
    assert fetch(f"{host}api/v1/tag", "POST", {}, RED)[0] in (403, 404, 405)


def test_interface_beyond_this_machine_needs_a_token(clone):
    command = [sys.executable, "-m", "src.host", "--no-browser", "--port=0", "--api", "--Voila.ip=0.0.0.0"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Beyond this machine (--ip 0.0.0.0) the interface needs a token" in done.stderr
    assert "Traceback" not in done.stderr
