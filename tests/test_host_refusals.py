"""The app in public: those who mean it harm get nothing but the page."""

import json
import socket
import uuid
from pathlib import Path

import pytest
import websocket
from host_visits import RED, channel, fetch, message, replies

pytest_plugins = ("host_fixtures",)

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent


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


def test_interface_is_off_unless_it_is_asked_for(host):
    assert fetch(f"{host}api/v1/landmarks")[0] in (403, 404)
    assert fetch(f"{host}api/v1/tag", "POST", {}, RED)[0] in (403, 404, 405)
