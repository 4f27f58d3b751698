"""The HTTP interface beside the page, as `python -m src.host --api` answers."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from api_server import TOKEN
from browsing import served
from conftest import wait_until
from host_visits import RED, VISITORS, fetch, kernel_of_new_page, leave, processes

pytest_plugins = ("host_fixtures",)

pytestmark = pytest.mark.browser


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
    leave(host, kernel_of_new_page(host))
    assert "/api/v1/tag" in log.read_text()
    assert "mine.jpg" not in log.read_text()


def test_interface_waits_for_a_network_that_comes_back(host_with_api):
    host, log = host_with_api
    headers = {"Authorization": f"Bearer {TOKEN}"}
    [network] = processes("src.inference.shared", log.parent.with_name("clone"))
    os.kill(network, signal.SIGKILL)
    wait_until(lambda: fetch(f"{host}api/v1/tag", "POST", headers, RED)[0] == 200)


def test_interface_beyond_this_machine_needs_a_token(clone):
    command = [sys.executable, "-m", "src.host", "--no-browser", "--port=0", "--api", "--Voila.ip=0.0.0.0"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "Beyond this machine (--ip 0.0.0.0) the interface needs a token" in done.stderr
    assert "Traceback" not in done.stderr
