"""The app in public, as ``python -m src.host`` starts it.

It is Voila with `app.ipynb`, the settings of `voila.json` and all of Voila's own options, and what Voila
alone does not do: one process holds the model for all visitors (`src.inference.shared`), there are at
most so many visitors at once and a polite page for the next, ``/health`` says whether all is well, no visitor
can bring it to a stop, and where that is wanted the HTTP interface (`src.api`) is answered beside the page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError
from traitlets import Instance, Int, Unicode, default
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from src.api.access import check_reach
from src.api.handlers import routes
from src.api.service import Service, Settings
from src.app import forked, my_landmarks
from src.inference.export_file import EXPORT
from src.inference.shared import ADDRESS, SharedPredictor, is_ready

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 60  # seconds that a page may take to load
PROTOCOL = "v1.kernel.websocket.jupyter.org"
FULL = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="30"><title>Landmark tagger</title>
<style>body{font:17px/1.6 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1.5rem;
color:#1d2733}h1{font-size:1.5rem}</style><h1>All places are taken</h1>
<p>As many people as this server can look after are using the landmark tagger right now. This page tries
again every half minute; or come back a little later.</p></html>"""


class Kernels(AsyncMappingKernelManager):
    """Counts the places that are taken, and frees those that nobody uses.

    A place is taken by a kernel, by one that is just starting and by one that an admitted page will start.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._starting = 0
        self._promised: list[float] = []  # until when each is waited for
        self._given: set[str] = set()  # kernels that stood by no more when idle ones were last looked for
        self._given_before: set[str] = set()  # and the time before
        self._loaded: set[str] = set()  # those that their page has connected to
        self._channels: dict[str, set[Channel]] = {}  # what is connected now

    @default("cull_connected")
    def _default_cull_connected(self) -> bool:
        return True  # else a tab that is left open would keep its place for ever

    @property
    def count(self) -> int:
        self._promised = [end for end in self._promised if end > time.monotonic()]
        return len(list(self.list_kernel_ids())) + self._starting + len(self._promised)

    def promise(self) -> None:
        """A page was admitted, and a kernel will start for it: its own, or the next one to stand by.

        That may be long after the page was sent, as Voila waits before it lets another one stand by.
        """
        self._promised.append(time.monotonic() + TIMEOUT)

    async def start_kernel(self, **kwargs: Any) -> str:  # type: ignore[override]  # typed as if not async
        """See Voila."""
        del self._promised[:1]
        self._starting += 1
        try:
            return await super().start_kernel(**kwargs)
        finally:
            self._starting -= 1

    async def shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """See Voila; what is connected is closed too, else each tab left open would cost some ten files."""
        try:
            await super().shutdown_kernel(kernel_id, *args, **kwargs)
        finally:
            self._loaded.discard(kernel_id)
            for channel in self._channels.pop(kernel_id, ()):
                channel.close(reason="the kernel was stopped")

    def connected(self, channel: Channel) -> None:
        """A page has connected to its kernel."""
        self._loaded.add(channel.kernel_id)
        self._channels.setdefault(channel.kernel_id, set()).add(channel)

    def disconnected(self, channel: Channel) -> None:
        """A page has gone, or its connection has broken."""
        self._channels.get(channel.kernel_id, set()).discard(channel)

    async def cull_kernels(self) -> None:
        """See Jupyter; Voila passes on those that do not stand by."""
        self._given, self._given_before = set(), self._given
        await super().cull_kernels()

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """Stop one that was not used for `cull_idle_timeout` seconds, or whose page was never loaded."""
        kernel: Any = self.get_kernel(kernel_id)  # Jupyter gives it `last_activity`
        now = datetime.now(UTC)
        self._given.add(kernel_id)
        if kernel_id not in self._given_before:  # it may have stood by for hours, and its page be loading
            kernel.last_activity = now
        idle = (now - kernel.last_activity).total_seconds()
        unloaded = kernel_id not in self._loaded and kernel.execution_state != "busy"
        if unloaded and idle > TIMEOUT + self.cull_interval:
            self.log.warning("Stopping kernel %s, as its page was never loaded.", kernel_id)
            await self.shutdown_kernel(kernel_id)
        else:
            await super().cull_kernel_if_idle(kernel_id)


class Page(TornadoVoilaHandler):
    """The app, or a polite page where all places are taken."""

    async def get(self, path: str | None = None) -> None:
        kernels, host = self.kernel_manager, self.settings["voila"]
        standing_by = host.voila_configuration.preheat_kernel * host.voila_configuration.default_pool_size
        if not path:
            if kernels.count >= host.visitors + standing_by:
                self.set_status(503)
                self.set_header("Retry-After", "30")
                self.finish(FULL)
                return
            kernels.promise()
        await super().get(path)


class Channel(VoilaKernelWebsocketHandler):
    """Voila's way to a kernel, for pages that speak the protocol that Voila's pages speak.

    Voila 0.5 takes every binary message for one of that protocol, and reads the length fields of any other
    one for a count of some 10¹⁵ parts: a single visitor who offers no protocol would stop the server.
    """

    kernel_id: str

    async def get(self, kernel_id: str) -> None:
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        if PROTOCOL not in [name.strip() for name in offered.split(",")]:
            raise HTTPError(400, f"Offer the protocol {PROTOCOL}.")
        await super().get(kernel_id)

    async def open(self, kernel_id: str) -> None:
        self.kernel_manager.connected(self)
        await super().open(kernel_id)

    def on_close(self) -> None:
        self.kernel_manager.disconnected(self)
        super().on_close()


class Health(JupyterHandler):
    """200 while the model's process takes requests, else 503; starts no kernel."""

    def get(self) -> None:
        ready = self.settings["voila"].is_ready()
        self.set_status(200 if ready else 503)
        self.finish("ok" if ready else "the model's process is being started")


class Host(Voila):
    """Voila for the public; see the module."""

    export = Unicode(str(EXPORT), help="The exported model that is served.").tag(config=True)
    visitors = Int(20, help="How many people may use the app at once.").tag(config=True)
    own = Unicode("", help="A file of own landmarks for the page of every visitor.").tag(config=True)
    api = Instance(Settings, allow_none=True, help="Of the HTTP interface, where that is wanted.")
    notebook_path: str | None  # Voila's own
    forking: subprocess.Popen | None = None
    aliases = {**Voila.aliases, "visitors": "Host.visitors", "export": "Host.export", "own": "Host.own"}

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the settings; the folder of the socket is entered by its owner alone."""
        super().initialize(argv)
        if self.api is not None:
            self._check_reach(self.api.token)
        self._share_own()
        self.notebook_path = self.notebook_path or str(ROOT / "app.ipynb")
        self.open_browser = False
        self.voila_configuration.multi_kernel_manager_class = Kernels
        self._folder = tempfile.mkdtemp(prefix="landmark-tagger-")
        os.environ[ADDRESS] = str(Path(self._folder, "network"))
        os.environ[forked.ADDRESS] = str(Path(self._folder, "kernels"))
        self._was_ready = False
        self._start_network()
        if hasattr(os, "pidfd_open"):  # else each kernel is a process of its own from the start
            self._start_forking()

    def _share_own(self) -> None:
        """Tell the kernels of the file of own landmarks, and of none that was named elsewhere."""
        os.environ.pop(my_landmarks.FILE, None)
        if self.own:
            os.environ[my_landmarks.FILE] = str(Path(self.own).resolve())

    def _check_reach(self, token: str) -> None:
        try:
            check_reach(self.ip, token)
        except ValueError as error:
            self.log.critical(str(error))
            self.exit(1)

    def init_handlers(self) -> list[tuple]:
        """Voila's, with `Page` and `Channel` in place of its own, and before them ``/health`` and ours."""
        ours = {TornadoVoilaHandler: Page, VoilaKernelWebsocketHandler: Channel}
        handlers = [
            (path, ours.get(handler, handler), *rest) for path, handler, *rest in super().init_handlers()
        ]
        return [(url_path_join(self.server_url, "/health"), Health), *self._api_handlers(), *handlers]

    def _api_handlers(self) -> list[tuple]:
        if self.api is None:
            return []
        service = Service(self.api, lambda: SharedPredictor(os.environ[ADDRESS]), self.is_ready)
        return routes(service, self.server_url.rstrip("/"))

    def start(self) -> None:
        """Serve until stopped; a process that died is started again, unless it never took a request."""
        try:
            super().start()
        finally:
            for process in (self.network, self.forking):
                if process:
                    process.terminate()
            shutil.rmtree(self._folder, ignore_errors=True)

    def listen(self) -> None:
        """See Voila."""
        PeriodicCallback(self._look_after_network, 1000).start()
        PeriodicCallback(self._look_after_forking, 1000).start()
        super().listen()

    def is_ready(self) -> bool:
        """Whether the process with the model takes requests now; that it once did is remembered."""
        ready = is_ready(os.environ[ADDRESS])
        self._was_ready = self._was_ready or ready
        return ready

    def _start_network(self) -> None:
        export = str(Path(self.export).resolve())  # as it runs in another folder
        command = [sys.executable, "-m", "src.inference.shared", export, os.environ[ADDRESS]]
        self.network = subprocess.Popen(command, cwd=ROOT)

    def _look_after_network(self) -> None:
        self.is_ready()
        if self.network.poll() is None:
            return
        if not self._was_ready and self.network.returncode > 0:  # it gave up, and was not killed
            self.log.critical("%s cannot be served: see above.", self.export)
            self.exit(1)
        self.log.error("The model's process ended with %s: starting it again.", self.network.returncode)
        self._start_network()

    def _start_forking(self) -> None:
        """Start the process that forks kernels, and have Jupyter ask it for them."""
        command = [sys.executable, "-m", "src.app.forked", os.environ[forked.ADDRESS]]
        # threads of a library would not survive a fork
        self.forking = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
        factory = KernelProvisionerFactory.instance(parent=self)
        factory.provisioners["forked"] = EntryPoint("forked", "src.app.forked:Forked", factory.GROUP_NAME)
        factory.default_provisioner_name = "forked"

    def _look_after_forking(self) -> None:
        if self.forking and self.forking.poll() is not None:
            self.log.error("What forks kernels ended with %s: starting it again.", self.forking.returncode)
            self._start_forking()
