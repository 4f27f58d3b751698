"""What all requests share: the model, the threads that read photos and ask it, and how much is in work."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from src.api.access import Access
from src.api.answers import Seen
from src.api.bodies import check_photo_size
from src.api.errors import RequestError, request_error
from src.api.fetching import Fetcher
from src.inference.answers import Answering
from src.inference.own import Own
from src.inference.own_file import load_own
from src.inference.report import answer_report, final_answers, read_report

PLACES = 64  # requests at once; some 3 s of work on two cores
HELD = 512 * 2**20  # bytes of bodies at once
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the command says of the interface.

    Attributes:
        token: see `Access`.
        rate: photos a minute for each address.
        hosts: from which images may be fetched, see `Fetcher`.
        own: a file of own landmarks, see `src.inference.own_file`.

    Raises ValueError where a host is none.
    """

    token: str = field(default="", repr=False)
    rate: int = 3000
    hosts: tuple[str, ...] = ()
    own: Path | None = None

    def __post_init__(self) -> None:
        Fetcher(self.hosts)


class Service:
    """One for a process; its methods are called in the event loop, but `look` and what `run` runs."""

    def __init__(self, settings: Settings, load: Callable[[], Answering], ready: Callable[[], bool]) -> None:
        """See the class.

        Args:
            settings: see there.
            load: gives the model; called in a thread, and again after the model gave no answer.
            ready: whether it can be asked now.
        """
        self.access, self.fetcher = Access(settings.token, settings.rate), Fetcher(settings.hosts)
        self.ready, self._load, self._own_file = ready, load, settings.own
        self.own: Own | None = None  # those of the file, from when the model was loaded
        self._model: Answering | None = None
        self._loading = threading.Lock()
        # decoding and the model leave Python's lock alone, so threads use all cores; one more as some wait
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1) + 1, "photos")
        self.requests = self.held = 0

    def enter(self) -> None:
        """Count a request; raises RequestError where there are too many."""
        if self.requests >= PLACES:
            raise RequestError(503, "The server has as much to do as it can; please try again.", wait=2)
        self.requests += 1

    def hold(self, size: int) -> None:
        """Count bytes of a body; raises RequestError where there are too many."""
        if self.held + size > HELD:
            raise RequestError(503, "The server holds as many photos as it can; please try again.", wait=2)
        self.held += size

    def leave(self, held: int) -> None:
        """A request is over, and its bytes are given up."""
        self.requests -= 1
        self.held -= held

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What a function says, called in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def model(self) -> Answering:
        """The model, loaded once, and the own landmarks with it; raises what `load` and `load_own` raise."""
        with self._loading:
            if self._model is None:
                model = self._load()
                if self._own_file:
                    taught = load_own(self._own_file, model.space_id)
                    self.own = Own.beside(model, taught)
                self._model = model
            return self._model

    def look(self, data: bytes, name: str) -> Seen:
        """The final answer for one photo, in the one way that photos take.

        Raises:
            RequestError: there is none.
        """
        check_photo_size(len(data), name)
        try:
            model = self.model()
            # no one sees the thumbnail
            report = read_report(data, name, short_side=model.short_side, thumbnail_side=1)
            report = answer_report(report, model)
            [revised] = final_answers(
                [report], model.known_threshold, len(model.landmarks), together=False, own=self.own
            )
        except Exception as error:
            problem = request_error(error)
            if problem is None:
                raise
            if problem.status_code == 503:  # another one may be loaded when it comes back
                self._model = None
            raise problem from error
        return Seen(revised, report.taken.latitude is not None, model)

    def close(self) -> None:
        """Stop; what is in work is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
