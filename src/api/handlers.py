"""The addresses of the interface, as handlers of tornado: alone, or beside those of Voila.

They need no cookie, so no other site can use one, and take no part in Jupyter's or Voila's own checks. A body
is counted while it comes. What is refused is still read to its end, as many clients look at the answer only
then, but not kept. Nothing of a request is logged but its address in general, status and time.
"""

from __future__ import annotations

import json
import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, cast

from tornado.http1connection import HTTP1Connection
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler, stream_request_body

from src.api.answers import Seen, labels_answer, landmarks_answer, photo_answer
from src.api.bodies import MAX_BODY, from_base64, images_of, is_address, json_object, photo_in
from src.api.errors import RequestError, sentence_of
from src.api.service import Service

RECEIVING = 120.0  # seconds that a body may take
THROWN_AWAY = 4 * MAX_BODY  # bytes of a refused body that are read
UNLIMITED = 2**62  # for tornado, whose own refusal is not JSON
ROOT = "/api/v1"
OPENAPI = Path(__file__).with_name("openapi.json")

logger = logging.getLogger("tornado.access")


@stream_request_body
class Handler(RequestHandler):
    """What all addresses have in common: who is let in, how a body is read, how errors are told."""

    methods: ClassVar[tuple[str, ...]] = ("GET",)
    address: ClassVar[str]  # in general, for the log
    open_to_all = False  # whether it is answered without the token
    needs_model = False
    answer: Callable[..., Awaitable[dict]]  # what is sent, as JSON can hold it; raises RequestError

    def initialize(self, service: Service) -> None:
        self.service = service
        self._refusal: RequestError | None = None
        self._parts: list[bytes] = []
        self._received = self._held = 0
        self._inside = self._gone = False

    def set_default_headers(self) -> None:
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")

    def check_xsrf_cookie(self) -> None:
        """Cookies let nobody in here, so there is nothing to protect."""

    def prepare(self) -> None:
        cast(HTTP1Connection, self.request.connection).set_max_body_size(UNLIMITED)
        self._deadline = IOLoop.current().call_later(RECEIVING, self._give_up)
        try:
            self._admit()
        except RequestError as problem:
            self._refuse(problem)

    def _admit(self) -> None:
        headers = self.request.headers
        if self.open_to_all:
            self.service.access.count(self.client)
        else:
            self.service.access.check(self.client, headers.get("Authorization", ""))
        if self.request.method not in self.methods:
            raise RequestError(405, sentence_of(405), Allow=", ".join(self.methods))
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RequestError(415, "Send the body as it is, without Content-Encoding.")
        if self._announced() > MAX_BODY:
            raise RequestError(413, _too_large())
        if self.needs_model and not self.service.ready():
            raise RequestError(503, "The model is being started; please try again.", wait=5)
        self.service.enter()
        self._inside = True

    def _announced(self) -> int:
        """How many bytes the body has, as its header says; 0 where it does not say, or nonsense."""
        length = self.request.headers.get("Content-Length", "")
        return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0

    def _refuse(self, problem: RequestError) -> None:
        """Answer at once where the client waits for that or would send too much, else after the body."""
        self._refusal, self._parts = problem, []
        if "Expect" in self.request.headers or self._announced() > THROWN_AWAY:
            raise problem

    def data_received(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._refusal is not None:
            if self._received > THROWN_AWAY and not self._finished:
                self._tell(self._refusal)
            return
        try:
            if self._received > MAX_BODY:
                raise RequestError(413, _too_large())
            self.service.hold(len(chunk))
            self._held += len(chunk)
            self._parts.append(chunk)
        except RequestError as problem:
            self._refusal, self._parts = problem, []
            self._let_go()

    async def _respond(self, *arguments: str) -> None:
        IOLoop.current().remove_timeout(self._deadline)
        if self._refusal is not None:
            raise self._refusal
        answer = await self.answer(*arguments)
        if not self._gone:
            self.finish(json.dumps(answer))

    head = get = post = put = delete = patch = options = _respond  # `methods` says which are taken

    async def look(self, data: bytes, name: str) -> Seen:
        """The final answer for one photo; raises RequestError."""
        return await self.service.run(self._look, data, name)

    def _look(self, data: bytes, name: str) -> Seen:
        if self._gone:  # others wait
            raise RequestError(400, "The client hung up.")
        return self.service.look(data, name)

    @property
    def client(self) -> str:
        """Its address."""
        return self.request.remote_ip or ""

    @property
    def content_type(self) -> str:
        """Of the body, with parameters."""
        return self.request.headers.get("Content-Type", "")

    def body(self) -> bytes:
        """The whole body, once."""
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def finish(self, chunk: Any = None) -> Any:
        self.set_header("Content-Type", "application/json")
        return super().finish(chunk)

    def on_finish(self) -> None:
        self._end()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._gone = True
        self._end()

    def _end(self) -> None:
        """Give up what the request holds; called once or twice."""
        if hasattr(self, "_deadline"):
            IOLoop.current().remove_timeout(self._deadline)
        self._parts = []
        self._let_go()

    def _let_go(self) -> None:
        if self._inside:
            self._inside = False
            self.service.leave(self._held)

    def _give_up(self) -> None:
        if not self._finished:
            late = RequestError(408, f"The body did not come within {RECEIVING:.0f} seconds.")
            self._tell(self._refusal or late)

    def _tell(self, problem: RequestError) -> None:
        self.send_error(problem.status_code, exc_info=(type(problem), problem, None))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, RequestError):
            for name, text in error.headers.items():
                self.set_header(name, text)
        sentence = error.sentence if isinstance(error, RequestError) else sentence_of(status_code)
        self.finish(json.dumps(self.error(status_code, sentence)))

    def error(self, status: int, sentence: str) -> dict:
        """What is sent instead of an answer."""
        return {"code": status, "error": sentence}

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Where an error that nobody foresaw happened, but not its message, which may name the photo."""
        if not isinstance(value, HTTPError):
            logger.error("%s at %s:\n%s", typ, self.address, "".join(traceback.format_tb(tb)))

    def _log(self) -> None:
        """See tornado; without the address as it was sent, which may name the photo."""
        status = self.get_status()
        level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
        method = self.request.method if self.request.method in self.SUPPORTED_METHODS else "another method"
        seconds = self.request.request_time()
        logger.log(level, "%d %s %s (%s) %.0f ms", status, method, self.address, self.client, 1000 * seconds)


class Tag(Handler):
    """One photo: which landmark it shows, and its tags."""

    methods, address, needs_model = ("POST",), f"{ROOT}/tag", True

    async def answer(self) -> dict:
        data, name = await self.service.run(photo_in, self.content_type, self.body())
        return photo_answer(await self.look(data, name))


class Labels(Handler):
    """PhotoPrism's label model: images of one photo, which it sends in JSON."""

    methods, address, needs_model = ("POST",), f"{ROOT}/vision/labels", True
    _id = ""

    async def answer(self, _model: str | None = None) -> dict:
        request = await self.service.run(json_object, self.body())
        if isinstance(given := request.get("id"), str):
            self._id = given[:100]
        images = images_of(request)
        self.service.access.count(self.client, len(images) - 1)
        seen = []
        for number, image in enumerate(images, 1):
            name = f"Image {number}"
            if is_address(image):
                data = await self.service.fetcher.fetch(image, name)
            else:
                data = await self.service.run(from_base64, image, name)
            seen.append(await self.look(data, name))
        return labels_answer(seen, self._request_id())

    def error(self, status: int, sentence: str) -> dict:
        return {"id": self._request_id(), **super().error(status, sentence)}

    def _request_id(self) -> str:
        self._id = self._id or str(uuid.uuid4())
        return self._id


class Landmarks(Handler):
    """What the model can recognise."""

    address, needs_model = f"{ROOT}/landmarks", True

    async def answer(self) -> dict:
        model = await self.service.run(self.service.model)
        return landmarks_answer(model, self.service.own)


class OpenApi(Handler):
    """What this interface is, for programs."""

    address, open_to_all = f"{ROOT}/openapi.json", True

    async def answer(self) -> dict:
        return json.loads(OPENAPI.read_text("utf-8"))


class NotFound(Handler):
    """Any other address."""

    methods, address, open_to_all = Handler.SUPPORTED_METHODS, "an unknown address", True

    async def answer(self, *_: str) -> dict:
        raise RequestError(404, sentence_of(404))


def routes(service: Service, prefix: str = "") -> list[tuple]:
    """The handlers for an application of tornado, below `prefix`."""
    own = {"service": service}
    return [
        (f"{prefix}{ROOT}/tag", Tag, own),
        (f"{prefix}{ROOT}/vision/labels(?:/([^/]+))?", Labels, own),
        (f"{prefix}{ROOT}/landmarks", Landmarks, own),
        (rf"{prefix}{ROOT}/openapi\.json", OpenApi, own),
        (f"{prefix}{ROOT}(?:/.*)?", NotFound, own),
    ]


def _too_large() -> str:
    return f"The body has more than {MAX_BODY // 2**20} MB; send a smaller photo."
