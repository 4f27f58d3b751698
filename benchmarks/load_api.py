"""The HTTP interface under load: 20 clients at once, on loopback, each with one photo after another.

The photos are test pictures enlarged to 12 megapixels, each file with its own content. Beside the page
(`python -m src.host --api`) the model has a process of its own; alone (`--api-only`) it does not. The tagger
is `python -m src.tag` on the same photos, its start included; what the interface answers is compared with its
table.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from library_runs import ROOT, fill, make_photos, peak_memory, run_tagger
from report import write_section

sys.path.insert(0, str(ROOT))

from src.data.folders import find_data_set, list_pictures

TIMEOUT = 120  # seconds for anything
PICTURES = 40  # different ones


@contextlib.contextmanager
def served(*options: str) -> Iterator[tuple[int, int]]:
    """A server that is ready: its port and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "src.host",
        f"--port={port}",
        "--ip=127.0.0.1",
        "--rate=1000000",
        *options,
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + TIMEOUT
        while not _ready(port):
            assert time.monotonic() < end and server.poll() is None, "the server did not start"
            time.sleep(0.1)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(30)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/api/v1/landmarks")
        return connection.getresponse().status == 200
    return False


def ask(port: int, paths: list[Path]) -> list[tuple[float, int, str]]:
    """One client: seconds, status and landmark of each photo."""
    answers = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        for path in paths:
            data, start = path.read_bytes(), time.perf_counter()
            connection.request("POST", "/api/v1/tag", data, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            seconds = time.perf_counter() - start
            answers.append((seconds, response.status, answer.get("landmark") or ""))
    return answers


def load(port: int, paths: list[Path], clients: int) -> tuple[float, list[tuple[float, int, str]]]:
    """Seconds for all photos by so many clients, and what each photo got, in the order of the clients."""
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = list(pool.map(lambda number: ask(port, paths[number::clients]), range(clients)))
    return time.perf_counter() - start, [answer for part in parts for answer in part]


def row(name: str, seconds: float, found: list, expected: list[str], rate: float, memory: float) -> str:
    """A line of the table."""
    p50, p95 = np.percentile([waited for waited, _, _ in found], [50, 95])
    errors = sum(status != 200 for _, status, _ in found)
    other = sum(
        status == 200 and landmark != wanted
        for (_, status, landmark), wanted in zip(found, expected, strict=True)
    )
    speed = len(found) / seconds
    return (
        f"| {name} | {len(found):,} | {errors} | {other} | {speed:.1f} | {speed / rate:.2f} | {p50:.2f} s "
        f"| {p95:.2f} s | {memory:.0f} MB |"
    )


def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=20)
    options = parser.parse_args()
    chosen, *_ = list_pictures(find_data_set() / "test")
    with tempfile.TemporaryDirectory() as place:
        folder, table = Path(place, "photos"), Path(place, "tags.csv")
        made = make_photos(
            chosen[:: max(1, len(chosen) // PICTURES)][:PICTURES], Path(place, "made"), (4000, 3000)
        )
        fill(folder, made, options.photos)
        seconds, memory = run_tagger(folder, table, "--no-outings")
        rate = options.photos / seconds
        with table.open(newline="") as file:
            answers = {line["path"]: line["landmark"] for line in csv.DictReader(file)}
        paths = [Path(path) for path in sorted(answers)]
        expected = [
            answers[str(path)] for i in range(options.clients) for path in paths[i :: options.clients]
        ]
        rows = [
            "| | photos | errors | other answers | photos/s | of the tagger's | p50 | p95 | memory |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            f"| tagger | {options.photos:,} | 0 | | {rate:.1f} | 1 | | | {memory:.0f} MB |",
        ]
        for name, option in (("alone", "--api-only"), ("beside the page", "--api")):
            with served(option) as (port, pid):
                seconds, found = load(port, paths, options.clients)
                rows.append(row(name, seconds, found, expected, rate, peak_memory(pid) / 1000))
            print(rows[-1], flush=True)
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
    about = f"{__doc__}\nThe photos have {size:.1f} MB on average; clients and server share the machine."
    write_section("Photos over HTTP", about, "\n".join(rows))


if __name__ == "__main__":
    main()
