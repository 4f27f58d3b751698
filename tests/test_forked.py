"""Kernels that are forked from one process are ordinary ones to Jupyter, and end with it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from conftest import wait_until
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from src.app.forked import ADDRESS, ForkedKernel, ask_for_kernel

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")


def gone(pid):
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture
def forking(tmp_path, monkeypatch):
    """The process that forks kernels."""
    address = str(tmp_path / "kernels")
    monkeypatch.setenv(ADDRESS, address)
    monkeypatch.setenv("LANDMARK_PREDICTOR", str(tmp_path / "none"))  # no runtime is loaded
    process = subprocess.Popen([sys.executable, "-m", "src.app.forked", address], cwd=ROOT)
    wait_until(lambda: Path(address).exists())
    yield process
    process.kill()
    process.wait()


async def said_by(manager, code):
    """What a kernel prints."""
    client, printed = manager.client(), []
    client.start_channels()
    try:
        await client.wait_for_ready(30)
        await client.execute_interactive(
            code, timeout=30, output_hook=lambda m: printed.append(m["content"].get("text", ""))
        )
    finally:
        client.stop_channels()
    return "".join(printed)


@pytest.fixture
def managers(forking, monkeypatch):
    """Managers of as many kernels as are asked for."""
    factory = KernelProvisionerFactory.instance()
    entry = EntryPoint("forked", "src.app.forked:Forked", "jupyter_client.kernel_provisioners")
    monkeypatch.setitem(factory.provisioners, "forked", entry)
    monkeypatch.setattr(factory, "default_provisioner_name", "forked")
    return AsyncKernelManager


def test_kernels_answer_each_for_itself_and_end_when_they_are_told(managers, forking, tmp_path):
    async def check():
        one, other = managers(), managers()
        await one.start_kernel(cwd=str(tmp_path), env={**os.environ, "VISITOR": "one"})
        await other.start_kernel(cwd=str(ROOT), env={**os.environ, "VISITOR": "other"})
        code = "import os, sys; here = os.getcwd(), os.environ['VISITOR'], os.getppid()\nprint(*here)"
        assert await said_by(one, code) == f"{tmp_path} one {forking.pid}\n"
        assert await said_by(other, f"mine = 1; {code}") == f"{ROOT} other {forking.pid}\n"
        assert await said_by(one, "print('mine' in globals())") == "False\n"
        pids = [manager.provisioner.pid for manager in (one, other)]
        await one.shutdown_kernel()
        assert not await one.is_alive()
        assert await other.is_alive()
        await other.shutdown_kernel(now=True)
        wait_until(lambda: all(map(gone, pids)))

    asyncio.run(check())


def test_kernels_end_with_the_process_that_forked_them(managers, forking):
    async def check():
        manager = managers()
        await manager.start_kernel()
        assert await said_by(manager, "print(1)") == "1\n"
        forking.kill()
        wait_until(lambda: ForkedKernel.poll(manager.provisioner.process) is not None)

    asyncio.run(check())


def test_what_is_no_request_and_a_kernel_that_fails_harm_nobody(forking):
    address = os.environ[ADDRESS]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(b"rubbish\n")
        assert connection.recv(10) == b""
    failing = {"arguments": ["-f", "/nowhere/at/all.json"], "environment": {}, "folder": "/nowhere"}
    pid = ask_for_kernel(address, failing)
    wait_until(lambda: gone(pid))
    assert forking.poll() is None


def test_a_process_that_has_ended_takes_no_signals():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    kernel = ForkedKernel(child.pid)
    assert kernel.poll() is None
    kernel.send_signal(signal.SIGKILL)
    assert kernel.wait() == 0
    child.wait()
