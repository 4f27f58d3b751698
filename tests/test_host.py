"""The app in public: `python -m src.host` with as many visitors as it takes, and its model's process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from browsing import Visit, served
from conftest import wait_until
from host_visits import (
    RED,
    VISITORS,
    all_places_free,
    fetch,
    kernels,
    kernels_at_rest,
    needs_chromium,
    processes,
    visited,
)

pytest_plugins = ("host_fixtures",)

pytestmark = pytest.mark.browser


@needs_chromium
def test_visitors_share_one_network_and_the_next_is_asked_to_wait(host, chromium, clone):
    visits = [Visit(chromium, host) for _ in range(VISITORS)]
    for visit in visits:
        assert "Taj Mahal" in visit.upload(("a.jpg", RED))[0]
    status, headers, page = fetch(host)
    assert (status, headers["Retry-After"]) == (503, "30")
    assert "All places are taken" in page

    assert kernels(clone)
    for pid in kernels(clone):
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libtorch" not in maps and "onnxruntime" not in maps

    [network] = processes("src.inference.shared", clone)
    os.kill(network, signal.SIGKILL)
    assert "Taj Mahal" in visits[0].upload(("b.jpg", RED))[0]
    assert fetch(f"{host}health")[0] == 200

    for visit in visits:  # as when it is left; what a page says while Playwright closes it may get lost
        visit.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")
    wait_until(lambda: fetch(f"{host}health")[0] == 200)

    def all_left():
        visits[0].page.wait_for_timeout(100)  # pages say it only while something is asked of Playwright
        return all_places_free(host)

    wait_until(all_left)
    for visit in visits:
        visit.page.close()


def test_no_page_slips_in_before_the_next_kernel_stands_by(host):
    wait_until(lambda: all_places_free(host))
    assert visited(host, VISITORS + 2) == [200] * VISITORS + [503] * 2


def test_health_starts_no_kernel(host, clone):
    wait_until(lambda: fetch(f"{host}health")[0] == 200)
    wait_until(lambda: kernels_at_rest(clone))
    before = kernels(clone)
    for _ in range(5):
        assert fetch(f"{host}health")[2] == "ok"
    assert not kernels(clone) - before


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
        [network] = processes("src.inference.shared", folder)
        (folder / "checkpoints" / "transfer_exported.pt").unlink()  # so that it cannot come back
        os.kill(network, signal.SIGKILL)
        wait_until(lambda: fetch(f"{host}health")[0] == 503)
        for _ in range(20):  # while it is started again and again
            assert fetch(f"{host}health")[0] == 503
            time.sleep(0.2)
