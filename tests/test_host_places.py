"""The app in public: a place that nobody uses is free again."""

import shutil
import time

import pytest
from browsing import Visit, served, sync_api
from conftest import wait_until
from host_visits import (
    KERNEL,
    VISITORS,
    all_places_free,
    channel,
    fetch,
    kernel_of_new_page,
    kernels_at_rest,
    leave,
    message,
    needs_chromium,
    replies,
)

pytest_plugins = ("host_fixtures",)

pytestmark = pytest.mark.browser

IDLE = 10  # seconds without use, where a test waits for them; on a busy machine a page takes some, too


def alive(host, kernel_id):
    return fetch(f"{host}api/kernels/{kernel_id}")[0] == 200


@pytest.fixture(scope="module")
def hasty_clone(clone, tmp_path_factory):
    return shutil.copytree(clone, tmp_path_factory.mktemp("hasty") / "clone")


@pytest.fixture(scope="module")
def hasty_host(hasty_clone):
    """A host that stops a kernel which was not used for some seconds."""
    options = (f"--MappingKernelManager.cull_idle_timeout={IDLE}", "--MappingKernelManager.cull_interval=1")
    with served(hasty_clone, f"--visitors={VISITORS}", *options, module="src.host") as address:
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
    wait_until(lambda: all_places_free(hasty_host))


@needs_chromium
def test_page_that_lost_its_place_says_so(hasty_host, chromium):
    wait_until(lambda: all_places_free(hasty_host))
    visit = Visit(chromium, hasty_host)
    sync_api.expect(visit.page.get_by_role("button", name="Choose photos")).to_be_visible()
    kernel_id = KERNEL.search(visit.page.content())[1]
    wait_until(lambda: not alive(hasty_host, kernel_id))
    sync_api.expect(visit.page.locator(".lt-ended")).to_be_hidden()
    visit.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when it is shown again
    sync_api.expect(visit.page.locator(".lt-ended")).to_be_visible()
    visit.page.close()


def test_kernel_that_stood_by_for_long_lives_for_the_page_that_gets_it(hasty_host, hasty_clone):
    wait_until(lambda: all_places_free(hasty_host))
    wait_until(lambda: kernels_at_rest(hasty_clone))
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
