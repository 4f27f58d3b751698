"""How the commands start: what they print never stops them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO


class _Output(io.FileIO):
    """A stream whose reader may leave (``… | head -1``): then the rest is dropped, and the work goes on."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def run(main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its status.

    A terminal that lacks a letter shows its code in place of it, and a reader that leaves is no error.
    """
    sys.stdout, sys.stderr = _reopened(sys.stdout), _reopened(sys.stderr)
    sys.exit(main())


def _reopened(stream: TextIO) -> TextIO:
    buffer = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
    line_buffering = stream.isatty() or stream is sys.stderr
    return io.TextIOWrapper(
        buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=line_buffering
    )
