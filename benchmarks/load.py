"""Many visitors at once: clients that speak as a browser does, against the app on loopback.

Each opens the page, all send a 12-megapixel photo at the same time, in parts as `app.js` does, and wait
for its card; every card must name the landmark that the model itself names. Memory is the private memory of
the kernels, which is what a visitor adds. Then comes what happens beyond the limit of visitors, and last what
a visitor takes who teaches a place of their own: before and after all their photos became its examples.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
from jupyter_server.services.kernels.connection.base import (
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from PIL import Image
from report import write_section
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.app.correcting import CORRECT, NAME_IT
from src.app.host import PROTOCOL
from src.data.folders import find_data_set, list_pictures
from src.inference.export_file import EXPORT
from src.inference.predictor import Predictor
from src.photos.decode import read_photo

ROOT = Path(__file__).resolve().parents[1]
PART = 2 * 2**20  # as in app.js
TIMEOUT = 120  # seconds for anything
LESSONS = (5, 40)  # photos that a visitor teaches a place with


class Visitor:
    """One visitor: an open page and the websocket of its kernel."""

    def __init__(self, address: str) -> None:
        self.address, self.session = address, uuid.uuid4().hex
        self.models: dict[str, dict] = {}  # what the page would show, by the widgets' ids
        self.received = 0  # messages that the app has dealt with
        self.pressed: set[str] = set()  # buttons of cards whose photos taught something
        self.socket: WebSocketClientConnection

    async def open(self) -> float:
        """Open the page until its upload button could be pressed; seconds."""
        start = time.perf_counter()
        page = await AsyncHTTPClient().fetch(self.address, request_timeout=TIMEOUT)
        kernel = re.search(rb'"kernelId": ?"([0-9a-f-]{36})"', page.body)
        assert kernel, "the page names no kernel"
        self.kernel = kernel[1].decode()
        path = f"api/kernels/{self.kernel}/channels?session_id={self.session}"
        self.socket = await websocket_connect(
            self.address.replace("http", "ws") + path, max_message_size=2**27, subprotocols=[PROTOCOL]
        )
        comm = uuid.uuid4().hex
        about = {"comm_id": comm, "target_name": "jupyter.widget.control", "data": {}}
        await self._send("comm_open", about, metadata={"version": "1.0.0"})
        await self._send("comm_msg", {"comm_id": comm, "data": {"method": "request_states"}})
        await self._until(lambda: self._ids("AnyModel"))
        return time.perf_counter() - start

    async def upload(self, name: str, data: bytes) -> tuple[float, str]:
        """Send a photo; seconds until its card is there, and the card."""
        start, before = time.perf_counter(), len(self._cards())
        parts = [data[i : i + PART] for i in range(0, len(data), PART)]
        [area] = self._ids("AnyModel")
        for number, part in enumerate(parts, 1):
            seen = self.received
            about = {
                "name": name,
                "size": len(data),
                "photo": 1,
                "of": 1,
                "part": number,
                "parts": len(parts),
            }
            content = {"comm_id": area, "data": {"method": "custom", "content": about}}
            await self._send("comm_msg", content, [part])
            await self._until(lambda seen=seen: self.received > seen)
        await self._until(lambda: len(self._cards()) > before)
        return time.perf_counter() - start, self._cards()[-1]

    async def teach(self, name: str) -> None:
        """Say that the photo of the next card shows a place, and wait until the page has dealt with it."""
        button = self._untaught()[0]
        self.pressed.add(button)
        forms = len(self._buttons("Confirm"))
        await self._press(button)
        await self._until(lambda: len(self._buttons("Confirm")) > forms)
        said = {"method": "update", "state": {"value": name}, "buffer_paths": []}
        await self._send("comm_msg", {"comm_id": self._ids("ComboboxModel")[-1], "data": said})
        taught = len(self._buttons("Take back"))
        await self._press(self._buttons("Confirm")[-1])
        await self._until(lambda: len(self._buttons("Take back")) > taught)

    async def _press(self, button: str) -> None:
        data = {"method": "custom", "content": {"event": "click"}}
        await self._send("comm_msg", {"comm_id": button, "data": data})

    def _untaught(self) -> list[str]:
        return [i for i in self._buttons(NAME_IT, CORRECT) if i not in self.pressed]

    def _buttons(self, *labels: str) -> list[str]:
        return [i for i in self._ids("ButtonModel") if self.models[i].get("description") in labels]

    async def leave(self) -> None:
        """As app.js does when a page is closed."""
        self.socket.close()
        token = uuid.uuid4().hex
        await AsyncHTTPClient().fetch(
            f"{self.address}voila/api/shutdown/{self.kernel}",
            method="POST",
            body="",
            headers={"Cookie": f"_xsrf={token}", "X-XSRFToken": token},
        )

    async def _send(self, kind: str, content: dict, buffers=(), metadata: dict | None = None) -> None:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": self.session}
        header |= {"version": "5.3", "date": datetime.now(UTC).isoformat()}
        parts = [json.dumps(part).encode() for part in (header, {}, metadata or {}, content)]
        await self.socket.write_message(serialize_msg_to_ws_v1([*parts, *buffers], "shell"), binary=True)

    async def _until(self, condition) -> None:
        end = time.monotonic() + TIMEOUT
        while not condition():
            data = await asyncio.wait_for(self.socket.read_message(), end - time.monotonic())
            if data is None:
                raise ConnectionError("the server hung up")
            _, (header, _, _, content, *_) = deserialize_msg_from_ws_v1(data)
            if json.loads(header)["msg_type"] in ("comm_open", "comm_msg"):
                content = json.loads(content)
                body = content["data"]
                self.received += body.get("content", {}).get("kind") == "received"
                states = body.get("states", {content["comm_id"]: {"state": body.get("state", {})}})
                for model, state in states.items():
                    known = self.models.setdefault(model, {"_model_name": state.get("model_name")})
                    known.update(state["state"])

    def _ids(self, model_name: str) -> list[str]:
        return [i for i, state in self.models.items() if state.get("_model_name") == model_name]

    def _cards(self) -> list[str]:
        return [v for v in self._values() if 'class="lt-guesses"' in v or "lt-problem" in v]

    def _values(self) -> list[str]:
        return [state["value"] for state in self.models.values() if isinstance(state.get("value"), str)]


def photos(count: int) -> list[tuple[str, bytes, str]]:
    """Name, bytes and expected headline of test pictures enlarged to 12 megapixels."""
    paths, *_ = list_pictures(find_data_set() / "test")
    predictor, found = Predictor.load(EXPORT), []
    for path in paths[:: max(1, len(paths) // (2 * count))]:
        file = io.BytesIO()
        with Image.open(path) as picture:
            picture.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(
                file, "JPEG", quality=97
            )
        [answer] = predictor.predict([read_photo(file.getvalue())])
        if answer.recognised:
            found.append((path.name, file.getvalue(), escape(answer.guesses[0].landmark.title)))
        if len(found) == count:
            break
    return found


def start_server(visitors: int) -> tuple[subprocess.Popen, str]:
    """The app in public, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "src.host", f"--port={port}", f"--visitors={visitors}"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}health", timeout=2).read()
            time.sleep(8)  # until the network is loaded and a kernel stands by
            return server, address
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start")


def kernel_memory() -> list[float]:
    """Private memory of each kernel, MB."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"src.app.forked" in (folder / "cmdline").read_bytes():
                lines = (folder / "smaps_rollup").read_text()
                found.append(sum(map(int, re.findall(r"Private_\w+:\s+(\d+) kB", lines))) / 1e3)
        except OSError:
            pass  # it ended meanwhile
    return found


async def visit(address: str, visitors: int, rounds: int, pictures: list) -> dict:
    """So many visitors open the page one after another and send photos at the same times."""
    present = [Visitor(address) for _ in range(visitors)]
    opened, waits, wrong = [], [], 0
    for visitor in present:
        opened.append(await visitor.open())
    for number in range(rounds):
        chosen = [pictures[(number + i) % len(pictures)] for i in range(visitors)]
        sent = [v.upload(name, data) for v, (name, data, _) in zip(present, chosen, strict=True)]
        for (seconds, card), (_, _, title) in zip(await asyncio.gather(*sent), chosen, strict=True):
            waits.append(seconds)
            wrong += f"<h2>{title}</h2>" not in card
    memory = np.mean(sorted(kernel_memory())[-visitors:])
    for visitor in present:
        await visitor.leave()
    p50, p95 = np.percentile(waits, [50, 95])
    return {
        "opened": np.median(opened),
        "p50": p50,
        "p95": p95,
        "wrong": wrong,
        "photos": len(waits),
        "MB": memory,
    }


async def beyond(address: str, limit: int) -> str:
    """What the visitors beyond the limit get."""
    present = [Visitor(address) for _ in range(limit)]
    for visitor in present:
        await visitor.open()
    answers = [await AsyncHTTPClient().fetch(address, raise_error=False) for _ in range(5)]
    for visitor in present:
        await visitor.leave()
    codes = sorted({answer.code for answer in answers})
    return f"{limit} visitors are in; five more got status {codes} and a page that tries again."


async def teaching(address: str, pictures: list) -> list[str]:
    """Rows of a table: what a visitor takes before and after teaching a place with all their photos."""
    rows = [
        "| photos on the page | memory | once all of them taught a place |",
        "| --- | --- | --- |",
    ]
    for count in LESSONS:
        visitor = Visitor(address)
        await visitor.open()
        for number in range(count):
            name, data, _ = pictures[number % len(pictures)]
            await visitor.upload(name, data + b"%d" % number)  # else copies would teach once
        before = max(kernel_memory())
        for _ in range(count):
            await visitor.teach("Grandma's garden")
        after = max(kernel_memory())
        await visitor.leave()
        rows.append(f"| {count} | {before:.0f} MB | {after:.0f} MB |")
        print(rows[-1], flush=True)
        await asyncio.sleep(5)
    return rows


async def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, nargs="+", default=[1, 10, 20, 40])
    parser.add_argument("--rounds", type=int, default=5, help="photos of each visitor")
    options = parser.parse_args()
    pictures = photos(8)
    server, address = start_server(max(options.visitors))
    rows = [
        "| visitors | photos | wrong answers | page open (median) | answer p50 | p95 | memory a visitor |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    try:
        for visitors in options.visitors:
            r = await visit(address, visitors, options.rounds, pictures)
            rows.append(
                f"| {visitors} | {r['photos']} | {r['wrong']} | {r['opened']:.1f} s | {r['p50']:.1f} s "
                f"| {r['p95']:.1f} s | {r['MB']:.0f} MB |"
            )
            print(rows[-1], flush=True)
            await asyncio.sleep(5)
        last = await beyond(address, max(options.visitors))
        await asyncio.sleep(5)
        lessons = await teaching(address, pictures)
    finally:
        server.terminate()
        server.wait(30)
    size = sum(len(data) for _, data, _ in pictures) / len(pictures) / 1e6
    about = f"{__doc__}\nThe photos have {size:.1f} MB on average; clients and server share the machine."
    write_section("Visitors at once", about, "\n".join([*rows, "", last, "", *lessons]))


if __name__ == "__main__":
    asyncio.run(main())
