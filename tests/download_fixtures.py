"""Fixtures of the tests of the download."""

import threading

import pytest
from download_server import Server, make_zip

from src.data import download


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0)
    with Server() as server:
        server.body = make_zip()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    """The target inside a folder of its own, so that everything left beside it shows."""
    (tmp_path / "repository").mkdir()
    return tmp_path / "repository" / "landmark_images"
