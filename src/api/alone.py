"""The interface alone: no page, no kernels, no Voila, and the model in this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from src.api.access import check_reach
from src.api.handlers import Handler, NotFound, routes
from src.api.service import Service, Settings
from src.inference.answers import Answering

IDLE = 75.0  # seconds that a connection may stand unused, or its headers take
MAX_HEADERS = 16 * 1024  # bytes
LAST = 10.0  # seconds for what is in work when the server is stopped


class Health(Handler):
    """200, as the model is loaded before anything is answered."""

    address, open_to_all = "/health", True

    async def answer(self) -> dict:
        return {"status": "ok"}


def serve(export: Path, ip: str, port: int, settings: Settings) -> None:
    """Answer until stopped.

    Args:
        export: the exported model.
        ip: the address to listen at; empty for all of this machine.
        port: 0 for any that is free.
        settings: see there.

    Raises:
        FileNotFoundError, ValueError: see `src.inference.predictor.Predictor.load` and
            `src.inference.own_file.load_own`; or nothing can be served like this.
    """
    check_reach(ip, settings.token)
    try:
        sockets = bind_sockets(port, ip or None)
    except OSError as error:
        raise ValueError(f"{ip or 'This machine'} cannot be listened at, port {port}: {error}.") from error
    from src.inference.predictor import Predictor  # here, as it takes a while

    service = service_of(Predictor.load(export), settings)
    service.model()  # with the own landmarks, should these not fit
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(_serve(sockets, service))


def service_of(predictor: Answering, settings: Settings) -> Service:
    """The service of a model that is loaded."""
    return Service(settings, lambda: predictor, lambda: True)


def application(service: Service) -> Application:
    """The interface for a server of tornado."""
    own = {"service": service}
    return Application(
        [("/health", Health, own), *routes(service)],
        default_handler_class=NotFound,
        default_handler_args=own,
    )


async def _serve(sockets: list, service: Service) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # on Windows, where Ctrl-C ends it anyway
            loop.add_signal_handler(number, stop.set)
    server = HTTPServer(application(service), idle_connection_timeout=IDLE, max_header_size=MAX_HEADERS)
    server.add_sockets(sockets)
    host, port = sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"The interface answers at http://{shown}:{port}/api/v1/ (Ctrl-C stops it).", flush=True)
    await stop.wait()
    server.stop()
    end = time.monotonic() + LAST
    while service.requests and time.monotonic() < end:
        await asyncio.sleep(0.05)
    await server.close_all_connections()
    service.close()
