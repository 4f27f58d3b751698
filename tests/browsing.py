"""Serving the app on loopback and visiting it in Chromium, for the tests that do."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from app_own_library import picture

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
ROOT = Path(__file__).resolve().parent.parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 120_000  # milliseconds; a test machine may be busy with something else
GREEN, GRAY = picture(20, 220, 20, size=(240, 320)), picture(128, 128, 128)


@contextlib.contextmanager
def served(folder, *options, module="voila"):
    """Voila, or what `module` makes of it, serving app.ipynb of `folder`; gives its address.

    It has settings of its own, and its log is `folder`-settings/log.txt.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder.with_name(f"{folder.name}-settings")
    own = {f"JUPYTER_{kind}_DIR": str(settings / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    environment = {**os.environ, **own, "IPYTHONDIR": str(settings / "ipython"), "JUPYTER_NO_CONFIG": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", module, "app.ipynb", "--no-browser", f"--port={port}", *options]
    log = settings / "log.txt"
    settings.mkdir()
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        yield f"http://127.0.0.1:{port_of(server, log)}/"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def port_of(server, log):
    """The port where Voila answers: another one than it was told where that was taken meanwhile."""
    end = time.monotonic() + TIMEOUT / 1000
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        if running := re.search(r"running at:\nhttp://\S+:(\d+)/", log.read_text()):
            return running[1]
        time.sleep(0.1)
    raise AssertionError(f"Voila did not start:\n{log.read_text()}")


class Visit:
    """An open page of the app, and what it tried to load from elsewhere or complained of."""

    def __init__(self, browser, address, script=""):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(TIMEOUT)
        self.went_out, self.errors = [], []
        self.page.route(lambda url: not url.startswith(address), self._refuse)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        if script:
            self.page.add_init_script(script)
        self.page.goto(address)

    def _refuse(self, route):
        self.went_out.append(route.request.url)
        route.abort()

    def upload(self, *files):
        """Choose (name, bytes) files with the button; wait until there is a card more for each."""
        cards = self.page.locator(".lt-card")
        wanted = cards.count() + len(files)
        with tempfile.TemporaryDirectory() as folder, self.page.expect_file_chooser() as chooser:
            paths = [Path(folder, str(number), name) for number, (name, _) in enumerate(files)]
            for path, (_, data) in zip(paths, files, strict=True):
                path.parent.mkdir()
                path.write_bytes(data)
            self.page.get_by_role("button", name="Choose photos").click()
            chooser.value.set_files(paths)
            sync_api.expect(cards).to_have_count(wanted)
        return [card.inner_text() for card in cards.all()]

    def clear(self):
        if self.page.locator(".lt-card").count():
            self.page.get_by_role("button", name="Clear results").click()
            sync_api.expect(self.page.locator(".lt-card")).to_have_count(0)

    def drop(self, *files):
        """Drop (name, bytes) files on the upload area."""
        files = [[name, list(data)] for name, data in files]
        self.page.evaluate(
            """(files) => {
                const dataTransfer = new DataTransfer();
                for (const [name, data] of files)
                    dataTransfer.items.add(new File([new Uint8Array(data)], name, { type: "image/jpeg" }));
                const options = { dataTransfer, bubbles: true, cancelable: true };
                for (const kind of ["dragenter", "dragover", "drop"])
                    document.querySelector(".lt-drop p").dispatchEvent(new DragEvent(kind, options));
            }""",
            files,
        )


def copy_app(folder, *names):
    folder.mkdir()
    for name in ("app.ipynb", *names):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    (folder / "checkpoints").mkdir()
    return folder


def assert_fits(visit):
    """No violation of any rule of axe-core, best practices included, and nothing to scroll sideways."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for width, scheme in ((390, "light"), (768, "light"), (1280, "light"), (1280, "dark")):
        visit.page.set_viewport_size({"width": width, "height": 844})
        visit.page.emulate_media(color_scheme=scheme)
        visit.page.wait_for_timeout(300)  # until colours have changed
        results = axe.Axe().run(visit.page)
        assert results.violations_count == 0, results.generate_report()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        summary = visit.page.locator(".lt-summary")
        if summary.count():
            assert summary.bounding_box()["height"] < 60  # two lines
