"""Fixtures of the tests of `src.teach`."""

import pytest
from teach_photos import photo

from src import teach


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, and it is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here, tiny_export, capsys):
    """Run the command: exit status, lines of its output and of its errors."""

    def run(*arguments):
        try:
            status = teach.main(["--model", str(tiny_export), *map(str, arguments)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


@pytest.fixture
def photos(here):
    """Five photos of a yellow house."""
    return [photo(here / "house" / f"IMG_{n}.jpg", seed=n) for n in range(5)]
