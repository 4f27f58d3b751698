"""Progress, in one way: bars in terminals, and in a log a line each minute."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from types import TracebackType

from tqdm.auto import tqdm

LINE_AFTER = 60.0  # seconds between the lines in a log


def progress_bar(*args, **options) -> tqdm:
    """A bar of tqdm's, or none where ``TQDM_DISABLE`` is set: tqdm itself heeds that in terminals only.

    With ``disable=None`` there is a bar in terminals and notebooks and nothing in a log.
    """
    if os.environ.get("TQDM_DISABLE"):
        options["disable"] = True
    return tqdm(*args, **options)


class Tally:
    """Counts photos while they are dealt with, and says how fast, how long still, and what was found so far.

    A context. In a terminal there is a bar; elsewhere a line each minute, so a short run says nothing. Where
    Ctrl-C ends it, the counts are printed.

    Args:
        total: how many photos there are, if that is known.
    """

    def __init__(self, total: int | None):
        self.done, self._total, self._found = 0, total, Counter[str]()
        self._bar = progress_bar(total=total, unit="photo", disable=None)
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Tally:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._bar.close()
        if kind is KeyboardInterrupt:
            print(f"{self._counts()}.", file=sys.stderr)

    def add(self, found: str = "") -> None:
        """Count one photo more, and what was found of it, if that is worth a word."""
        self.done += 1
        if found:
            self._found[found] += 1
            self._bar.set_postfix_str(self._findings(), refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and not os.environ.get("TQDM_DISABLE") and now - self._said >= LINE_AFTER:
            self._said = now
            print(f"{self._counts()}; {self._pace(now - self._start)}.", file=sys.stderr)

    def _counts(self) -> str:
        total = "" if self._total is None else f" of {self._total:,}"
        return ": ".join(filter(None, (f"{self.done:,}{total} photos", self._findings())))

    def _findings(self) -> str:
        return ", ".join(f"{count:,} {found}" for found, count in sorted(self._found.items()))

    def _pace(self, seconds: float) -> str:
        rate = self.done / seconds
        if self._total is None:
            return f"{rate:.3g} a second"
        return f"{rate:.3g} a second, {_duration((self._total - self.done) / rate)} left"


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
