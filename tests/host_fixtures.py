"""Fixtures of the tests of `src.host`."""

import shutil

import pytest
from browsing import copy_app, served
from host_visits import VISITORS, kernel_of_new_page, leave


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tiny_export):
    folder = copy_app(tmp_path_factory.mktemp("hosted") / "clone", "src", "voila.json")
    shutil.copy(tiny_export, folder / "checkpoints" / "transfer_exported.pt")
    return folder


@pytest.fixture(scope="module")
def host(clone):
    with served(clone, f"--visitors={VISITORS}", module="src.host") as address:
        yield address


@pytest.fixture
def kernel(host):
    """The id of a kernel that a page was opened with; closed afterwards as a browser does."""
    kernel_id = kernel_of_new_page(host)
    yield kernel_id
    leave(host, kernel_id)
