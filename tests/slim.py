"""What a fresh machine gets from `make app`: run by its Python, it tags a photo and opens the page.

No test of pytest's, as that is not installed there; `.ci/run` runs it.
"""

import csv
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "torchvision", "scipy", "pandas", "sklearn", "matplotlib")
TIMEOUT = 120  # seconds for anything


def tag(folder: Path) -> None:
    """A gray picture gets a row, and no landmark."""
    (folder / "photos").mkdir()
    Image.new("RGB", (640, 480), (120, 130, 125)).save(folder / "photos" / "gray.jpg")
    command = [sys.executable, "-m", "src.tag", str(folder / "photos"), "--out", str(folder / "tags.csv")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT)
    [row] = csv.DictReader((folder / "tags.csv").open(encoding="utf-8-sig"))
    assert (row["landmark"], row["error"]) == ("", ""), row


def open_page() -> None:
    """Voila starts a kernel, runs the notebook in it and sends the page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("voila")), "app.ipynb", "--no-browser", f"--port={port}"]
    voila = subprocess.Popen(command, cwd=ROOT)
    try:
        page, end = "", time.monotonic() + TIMEOUT
        while not page and time.monotonic() < end and voila.poll() is None:
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT).read().decode()
            except urllib.error.HTTPError as error:
                page = f"{error.code} {error.read().decode()}"
            except OSError:
                time.sleep(0.2)
        assert "kernelId" in page and "Landmark tagger" in page, page[:2000]
        assert 'role="alert">' not in page, page
    finally:
        voila.terminate()
        voila.wait(30)


if __name__ == "__main__":
    assert not any(map(find_spec, HEAVY)), "more is installed than requirements-app.txt lists"
    with tempfile.TemporaryDirectory() as place:
        tag(Path(place))
    open_page()
    print("The slim install tags a photo and opens the page.")
