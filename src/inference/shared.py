"""One model for all visitors: a process that holds it, and what stands for it in the others.

The kernel of a visitor that asks this process has no model and no runtime of its own to load and to keep.
`src.host` starts it. Requests and answers are numbered plain bytes over a Unix socket in a folder that only
its owner may enter; nothing in them is ever unpickled or run.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from src.inference.answers import Answering, InferenceError, Scores
from src.inference.space import Space

if TYPE_CHECKING:
    from src.inference.predictor import Predictor

ADDRESS = "LANDMARK_PREDICTOR"  # the environment variable that names the socket
TIMEOUT = 60.0  # seconds to wait for the process to start, or for an answer
ATTEMPTS = 3  # of a request that breaks off
PAUSE = 0.2  # seconds between attempts
LARGEST = 64 * 2**20  # bytes of a request or answer; `src.photos.decode` gives pictures of at most 12
# what is asked for; an answer repeats it, or failed
INFO, SCORES, HEAT, SPACE, FAILED = b"i", b"s", b"h", b"p", b"f"
_HEADER = struct.Struct("<QcI")  # number of the request, what is asked for, bytes that follow
_SHAPE = struct.Struct("<II")

logger = logging.getLogger(__name__)


class SharedPredictor(Answering):
    """Asks the process at `address`; connects anew where that was started again. Threads may share it.

    Raises:
        InferenceError: no answer, here or in any method: none within `TIMEOUT` seconds, the process ended
            again and again, it failed on the picture, or it holds another model than before.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._own = threading.local()  # `connection` of each thread, so that several are answered at once
        self._numbers = itertools.count(1)  # of requests
        self._info = b""  # `info` as it was sent
        super().__init__(json.loads(self._ask(INFO)))

    def scores(self, picture: Image.Image) -> Scores:
        values = np.frombuffer(self._ask(SCORES, _packed(picture)), np.float32)
        known, classes = values[0], len(self.landmarks)
        return Scores(values[1 : 1 + classes], float(known), values[1 + classes :])

    def space(self) -> Space:
        return Space.from_bytes(self._ask(SPACE))

    def heat(self, picture: Image.Image) -> np.ndarray:
        answer = self._ask(HEAT, _packed(picture))
        return np.frombuffer(answer, np.float32, offset=_SHAPE.size).reshape(_SHAPE.unpack_from(answer))

    def _ask(self, what: bytes, body: bytes = b"") -> bytes:
        for _ in range(ATTEMPTS):
            try:
                return self._exchange(what, body)
            except ConnectionError:  # the process ended, and another is on its way
                time.sleep(PAUSE)
            except OSError as error:
                raise InferenceError("The model does not answer; please try again.") from error
        raise InferenceError("The model stopped while it was asked; please try again.")

    def _exchange(self, what: bytes, body: bytes) -> bytes:
        """Ask and get the answer; any failure ends the connection, lest the next request get this answer."""
        connection = getattr(self._own, "connection", None)
        try:
            if connection is None:
                connection = self._own.connection = connect(self._address)
                self._check_model(connection)
            return self._info if what == INFO else self._request(connection, what, body)
        except BaseException:
            if connection is not None:
                connection.close()
            self._own.connection = None
            raise

    def _request(self, connection: socket.socket, what: bytes, body: bytes = b"") -> bytes:
        asked = next(self._numbers)
        connection.settimeout(TIMEOUT)
        _send(connection, asked, what, body)
        number, kind, answer = _receive(connection)
        if number != asked:
            raise ConnectionError(f"answer {number} came to request {asked}")
        if kind == FAILED:
            raise InferenceError(f"The model failed ({answer.decode()}); please try again.")
        return answer

    def _check_model(self, connection: socket.socket) -> None:
        """The process may hold a newer export since it was started again, with other classes."""
        info = self._request(connection, INFO)
        if self._info and info != self._info:
            raise InferenceError("The model was replaced; please reload the page.")
        self._info = info


def _packed(picture: Image.Image) -> bytes:
    rgb = picture.convert("RGB")
    return _SHAPE.pack(*rgb.size) + rgb.tobytes()


def connect(address: str) -> socket.socket:
    """A connection to a process that may only be starting; raises TimeoutError."""
    end = time.monotonic() + TIMEOUT
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(TIMEOUT)  # else it would wait for ever where many connect
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > end:
                raise TimeoutError(f"nothing answers at {address}") from error
        time.sleep(0.05)


def _send(connection: socket.socket, number: int, what: bytes, body: bytes) -> None:
    connection.sendall(_HEADER.pack(number, what, len(body)) + body)


def _receive(connection: socket.socket) -> tuple[int, bytes, bytes]:
    """Number, kind and body of the next request or answer."""
    number, what, length = _HEADER.unpack(_read(connection, _HEADER.size))
    if length > LARGEST:
        raise ConnectionError(f"{length} bytes are more than a request or answer has")
    return number, what, _read(connection, length)


def _read(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 2**20))
        if not part:
            raise ConnectionError("the other side hung up")
        data += part
    return bytes(data)


def is_ready(address: str) -> bool:
    """Whether a process answers at the address; it listens as soon as it has loaded its model."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        return connection.connect_ex(address) == 0


def listen(address: str) -> socket.socket:
    """A socket at an address, in the place of one that was killed; `accept` waits for a second at most."""
    with contextlib.suppress(FileNotFoundError):
        Path(address).unlink()
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen(128)
    server.settimeout(1.0)
    return server


def serve(export: str | Path, address: str) -> None:
    """Answer at `address` with an export, until the process that started this one is gone.

    Raises:
        FileNotFoundError, ValueError: see `src.inference.predictor.Predictor.load`.
    """
    from src.inference.predictor import Predictor  # here, as those who ask need no runtime

    predictor, parent = Predictor.load(export), os.getppid()
    turns = threading.Semaphore(os.cpu_count() or 1)  # more pictures at once would only take memory
    with listen(address) as server:
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                client, _ = server.accept()
                threading.Thread(target=_serve_client, args=(client, predictor, turns), daemon=True).start()


def _serve_client(connection: socket.socket, predictor: Predictor, turns: threading.Semaphore) -> None:
    """Answer one visitor's kernel until it hangs up."""
    with connection, contextlib.suppress(OSError):
        while True:
            number, what, body = _receive(connection)
            try:
                answer = _answer(what, body, predictor, turns)
            except Exception as error:  # this request failed; the next need not
                logger.exception("A request failed.")
                what, answer = FAILED, type(error).__name__.encode()
            _send(connection, number, what, answer)


def _answer(what: bytes, body: bytes, predictor: Predictor, turns: threading.Semaphore) -> bytes:
    if what == INFO:
        return json.dumps(predictor.info).encode()
    if what == SPACE:
        return predictor.space_file
    picture = Image.frombytes("RGB", _SHAPE.unpack_from(body), body[_SHAPE.size :])
    with turns:
        if what == SCORES:
            probabilities, known, features = predictor.scores(picture)
            return np.concatenate([[known], probabilities, features]).astype(np.float32).tobytes()
        if what == HEAT:
            heat = predictor.heat(picture).astype(np.float32)
            return _SHAPE.pack(*heat.shape) + heat.tobytes()
    raise ValueError(f"{what!r} is no request")


if __name__ == "__main__":
    try:
        serve(*sys.argv[1:])
    except (FileNotFoundError, ValueError) as problem:
        sys.exit(str(problem))
