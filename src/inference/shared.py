"""One network for all visitors: a process that holds it, and what stands for it in the others.

A notebook kernel with torch and a network of its own takes 400 MB; one that asks this process takes a
quarter of that, and its page opens seconds sooner. `src.host` starts it. Messages are plain bytes over a
Unix socket in a folder that only its owner may enter; nothing in them is ever unpickled or run.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from PIL import Image

from src.inference.answers import Answering

ADDRESS = "LANDMARK_PREDICTOR"  # the environment variable that names the socket
PATIENCE = 60.0  # seconds to wait for the process to start, or for an answer
ATTEMPTS = 3  # of a question that breaks off
LARGEST = 64 * 2**20  # bytes of a message; `src.photos.decode` gives pictures of at most 12
INFO, PREDICT, HEAT = b"i", b"p", b"h"
_SHAPE = struct.Struct("<II")


class SharedPredictor(Answering):
    """Asks the process at `address`; connects anew where that was started again.

    Raises:
        OSError: no answer within `PATIENCE` seconds, here or in any method.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None
        super().__init__(json.loads(self._ask(INFO)))

    def scores(self, picture: Image.Image) -> tuple[np.ndarray, float]:
        values = np.frombuffer(self._ask(PREDICT, picture), np.float32)
        return values[:-1], float(values[-1])

    def heat(self, picture: Image.Image) -> np.ndarray:
        data = self._ask(HEAT, picture)
        return np.frombuffer(data, np.float32, offset=_SHAPE.size).reshape(_SHAPE.unpack_from(data))

    def _ask(self, what: bytes, picture: Image.Image | None = None) -> bytes:
        if picture:
            rgb = picture.convert("RGB")
            what += _SHAPE.pack(*rgb.size) + rgb.tobytes()
        for _ in range(ATTEMPTS):
            try:
                return self._exchange(what)
            except (EOFError, ConnectionError):  # the process ended, and another is on its way
                self._connection = None
                time.sleep(0.2)
        raise OSError("the network's process broke off")

    def _exchange(self, message: bytes) -> bytes:
        self._connection = self._connection or _connect(self._address)
        self._connection.send_bytes(message)
        if not self._connection.poll(PATIENCE):
            raise TimeoutError("the network's process does not answer")
        return self._connection.recv_bytes(LARGEST)


def _connect(address: str) -> Connection:
    end = time.monotonic() + PATIENCE
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(address)
            return Connection(client.detach())
        except OSError:
            client.close()
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def serve(export: str | Path, address: str) -> None:
    """Answer at `address` with an export, until the process that started this one is gone.

    Raises:
        FileNotFoundError, ValueError: see `src.inference.predictor.Predictor.load`.
    """
    from src.inference.predictor import Predictor  # here, as those who ask need no torch

    predictor, turn, parent = Predictor.load(export), threading.Lock(), os.getppid()
    with contextlib.suppress(FileNotFoundError):  # of one that was killed
        Path(address).unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(128)
        server.settimeout(1.0)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                client, _ = server.accept()
                connection = Connection(client.detach())
                threading.Thread(target=_attend, args=(connection, predictor, turn), daemon=True).start()


def _attend(connection: Connection, predictor: Answering, turn: threading.Lock) -> None:
    """Answer one visitor's kernel until it hangs up or sends what makes no sense."""
    with connection, contextlib.suppress(EOFError, OSError, ValueError, struct.error):
        while True:
            message = connection.recv_bytes(LARGEST)
            with turn:  # one picture at a time, on all cores
                answer = _answer(message, predictor)
            connection.send_bytes(answer)


def _answer(message: bytes, predictor: Answering) -> bytes:
    what = message[:1]
    if what == INFO:
        return json.dumps(predictor.info).encode()
    picture = Image.frombytes("RGB", _SHAPE.unpack_from(message, 1), message[1 + _SHAPE.size :])
    if what == PREDICT:
        probabilities, known = predictor.scores(picture)
        return np.append(probabilities, known).astype(np.float32).tobytes()
    heat = predictor.heat(picture)
    return _SHAPE.pack(*heat.shape) + heat.astype(np.float32).tobytes()


if __name__ == "__main__":
    serve(*sys.argv[1:])
