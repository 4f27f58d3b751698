"""Kernels forked from one process that has imported the page.

A kernel of its own takes two seconds of a core and 70 MB for each visitor, most of it for modules that
are the same for all; a forked one takes a third of both. `src.host` starts this process. Requests are lines
of JSON over a Unix socket in a folder that only its owner may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner

from src.inference.shared import connect, listen

ADDRESS = "LANDMARK_KERNELS"  # the environment variable that names the socket
TIMEOUT = 10.0  # seconds to wait for a request
# what all kernels import, some of it only once they have started
NEEDED = (
    "src.app.page",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "psutil",
    "tornado.platform.asyncio",
    "tornado.queues",
)
LARGEST = 2**20  # bytes of a request: a command and an environment


class Forked(LocalProvisioner):
    """Has kernels forked by the process at `ADDRESS`."""

    process: Any = None  # a `ForkedKernel`

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """See Jupyter; `cmd` is ``[python, "-m", "ipykernel_launcher", …]``."""
        folder = str(kwargs.get("cwd") or Path.cwd())
        request = {"arguments": cmd[3:], "environment": kwargs["env"], "folder": folder}
        pid = await asyncio.to_thread(ask_for_kernel, os.environ[ADDRESS], request)
        self.process = ForkedKernel(pid)
        self.pid = self.pgid = pid
        self.cwd = folder
        return self.connection_info


class ForkedKernel:
    """What `LocalProvisioner` wants to know of a process, for one that is another one's child."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._file = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """None while it runs; else 0, as only its parent knows how it ended."""
        return 0 if select.select([self._file], [], [], 0)[0] else None

    def wait(self) -> int:
        """Wait for its end."""
        select.select([self._file], [], [])
        os.close(self._file)
        return 0

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._file, number)

    def terminate(self) -> None:
        """As `Popen`."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """As `Popen`."""
        self.send_signal(signal.SIGKILL)


def ask_for_kernel(address: str, request: dict[str, Any]) -> int:
    """The process that was forked for a request, by that at `address`, which may only be starting.

    Raises:
        OSError: nothing answers.
    """
    with connect(address) as connection:
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answer:
            return int(answer.readline() or b"0")


def serve(address: str) -> None:
    """Fork a kernel for each request, until the process that started this one is gone."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # nobody debugs, and it takes 15 MB a kernel
    for module in NEEDED:
        import_module(module)
    gc.collect()
    gc.freeze()  # else the collector would write to every page of memory, and so copy it for each kernel
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for kernels that have ended
    parent = os.getppid()
    with listen(address) as server:
        while os.getppid() == parent:
            with contextlib.suppress(OSError, ValueError):
                client, _ = server.accept()
                with client:
                    client.settimeout(TIMEOUT)
                    _fork_for(client, server)


def _fork_for(client: socket.socket, server: socket.socket) -> None:
    with client.makefile("rb") as lines:
        request = json.loads(lines.readline(LARGEST))
    pid = os.fork()
    if not pid:
        client.close()
        server.close()
        _become_kernel(**request)
    client.sendall(b"%d\n" % pid)


def _become_kernel(arguments: list[str], environment: dict[str, str], folder: str) -> NoReturn:
    """Be a kernel until its end; what started this process must never go on in a child."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        import ipywidgets
        from ipykernel.kernelapp import IPKernelApp

        sys.argv = ["ipykernel_launcher", *arguments]
        parent = f"--IPKernelApp.parent_handle={os.getppid()}"  # it ends with this one
        kernel = IPKernelApp.instance()
        kernel.initialize([*arguments, parent, "--HistoryManager.enabled=False"])
        ipywidgets.load_ipython_extension(kernel.shell)  # it was imported before there was a kernel
        kernel.start()
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
