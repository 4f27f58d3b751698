"""Photos at an address, ``s3://bucket/folder``, and not in a folder: listed and read by pyarrow or fsspec.

pyarrow itself knows ``s3``, ``gs``, ``abfs``, ``hdfs`` and ``file``, and takes keys and settings from the
environment; for any other scheme, the package that fsspec wants for it must be installed.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from src.files import FileError, patiently, printable, shown_name
from src.photos.decode import check_size
from src.photos.errors import PhotoError
from src.photos.files import Found, called_like_photo, is_hidden, is_library

_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")  # two letters and more, as "C:" is a disk


class AddressError(ValueError):
    """Nothing can be found at an address; the message is one sentence."""


def is_address(text: str) -> bool:
    """Whether this is an address and not a path of this machine."""
    return _SCHEME.match(text) is not None


class Addressed:
    """The photos below an address. Their own ones have neither keys nor options, so they may go into a table.

    Raises AddressError where no program is known that reads such addresses.
    """

    def __init__(self, address: str) -> None:
        self._scheme = address[: address.index("://") + len("://")]
        try:
            self._files, self._root = _open(address)
            self._json: dict[str, list[str]] = defaultdict(list)  # names by folder
        except (OSError, ValueError, ImportError) as error:
            raise AddressError(f"{self._scheme}… cannot be opened: {_line(error)}") from error

    def find(self, passed_over: Counter) -> Iterator[Found]:
        """All photos, by their names, but not hidden ones, as `find_photos` does for a folder.

        Args:
            passed_over: counts, by suffix, the files that are passed over.

        Raises AddressError where the list cannot be had.
        """
        from pyarrow.fs import FileSelector

        selector = FileSelector(self._root, recursive=True)
        try:
            entries = patiently(lambda: self._files.get_file_info(selector), _may_pass)
        except Exception as error:  # each kind of storage fails in its own ways
            raise AddressError(f"{self._address(self._root)} cannot be listed: {_line(error)}") from error
        for entry in entries:
            below = PurePosixPath(entry.path[len(self._root) :])
            if not entry.is_file or any(is_hidden(part) or is_library(part) for part in below.parts):
                continue
            if below.suffix.lower() == ".json":
                self._json[self._address(entry.path).rpartition("/")[0]].append(below.name)
            if called_like_photo(below.name, passed_over):
                yield Found(self._address(entry.path), entry.size or 0, entry.mtime_ns or 0)

    def json_names(self, folder: str) -> list[str]:
        """The files in a folder whose names end in ".json", as `find` saw them."""
        return self._json.get(folder, [])

    def read_start(self, address: str, size: int) -> bytes:
        """So many bytes of a file, or all where it is smaller; raises FileError."""
        return self._read(address, lambda file: file.read(size))

    def read(self, address: str) -> bytes:
        """The whole file at an address that `find` gave; raises FileError, or PhotoError if too large."""

        def whole(file: Any) -> bytes:
            check_size(max(1, file.size()), address)  # that it is empty is for its reader to say
            return file.read()

        return self._read(address, whole)

    def _read(self, address: str, read: Callable[[Any], bytes]) -> bytes:
        own = self._root.startswith(self._scheme)
        path = address if own else address.removeprefix(self._scheme)

        def opened() -> bytes:
            with self._files.open_input_file(path) as file:
                return read(file)

        try:
            return patiently(opened, _may_pass)
        except PhotoError:
            raise
        except Exception as error:  # each kind of storage fails in its own ways
            raise FileError(f"{shown_name(address)} cannot be read: {_line(error)}") from error

    def _address(self, path: str) -> str:
        return path if path.startswith(self._scheme) else self._scheme + path


def _open(address: str) -> tuple:
    """The file system of an address, and the path in it."""
    import pyarrow  # here, as a folder needs none of this
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        return FileSystem.from_uri(address)
    except pyarrow.ArrowInvalid:  # none of pyarrow's own
        import fsspec

        files, path = fsspec.url_to_fs(address)
        return PyFileSystem(FSSpecHandler(files)), path


def _may_pass(error: Exception) -> bool:
    """Whether a further try may succeed; the kinds of storage have no numbers for that in common."""
    return not isinstance(error, (PhotoError, FileNotFoundError, NotADirectoryError, PermissionError))


def _line(error: Exception) -> str:
    return printable(str(error) or type(error).__name__).rstrip(".") + "; check the address and try again."
