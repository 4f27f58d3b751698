"""The tagger's work on a Ray cluster: workers read photos and ask the model, one process keeps the catalog.

Only paths go out, and only answers come back, so one catalog serves many machines. What a worker that dies
had in hand is given to another; what has come back is safe, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow

from src.files import printable
from src.inference.report import PhotoReport
from src.library.catalog import Catalog
from src.library.read_ahead import answer_or_error, answer_row, finding, report_or_error
from src.library.remote import Addressed
from src.photos.files import read_photo_file
from src.progress import Tally

TASK = 32  # photos that go to a worker at a time, and that another has to do again where it dies
RETRIES = 4  # of a task: machines come and go, but a photo that kills its worker must not go round for ever

_ANSWER = pyarrow.schema(
    {
        "path": pyarrow.binary(),  # as file systems have it, which need not be Unicode
        "error": pyarrow.string(),  # why there is no answer; then all that follows is null
        # else as `answer_row` gives it
        "hash": pyarrow.string(),
        "known": pyarrow.float64(),
        "guesses": pyarrow.string(),
        "taken": pyarrow.string(),
        "latitude": pyarrow.float64(),
        "longitude": pyarrow.float64(),
        "camera": pyarrow.string(),
        "thumbnail": pyarrow.binary(),
        "features": pyarrow.binary(),
    }
)


class ClusterError(RuntimeError):
    """The cluster cannot be had, or has failed; the message is one sentence."""


class Worker:
    """A process of the cluster that holds the model and answers for the photos of a task.

    Args:
        export: reference to the bytes of an export.
        address: where the photos are, if not in a folder that this machine has as well.
    """

    def __init__(self, export, address: str | None) -> None:
        import ray

        from src.inference.predictor import Predictor

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "export.pt")
            path.write_bytes(ray.get(export))
            self._predictor = Predictor.load(path)
        self._read = Addressed(address).read if address else read_photo_file

    def __call__(self, task: pyarrow.Table) -> pyarrow.Table:
        """A table with a column ``path`` becomes one of `_ANSWER`, a row for each photo."""
        return pyarrow.Table.from_pylist([self._answer(path) for path in task["path"].to_pylist()], _ANSWER)

    def _answer(self, path: bytes) -> dict:
        report = report_or_error(os.fsdecode(path), self._predictor.short_side, self._read)
        if isinstance(report, PhotoReport):
            report = answer_or_error(report, self._predictor)
        if isinstance(report, str):
            return {"path": path, "error": report}
        return {"path": path, **answer_row(report)}


def answer_all(
    catalog: Catalog,
    export: bytes,
    model: str,
    workers: int | None,
    address: str | None,
    threshold: float,
) -> None:
    """Ask the model about every photo that it has not answered for, as `src.library.run_local` does.

    Args:
        catalog: knows the photos, and gets the answers.
        export: the file of the model.
        model: its name in the catalog.
        workers: how many processes answer, each on a core of its own; as many as there are cores if None.
        address: where the photos are, if not in a folder that every machine has.
        threshold: the smallest ``known`` that is counted as a landmark meanwhile.

    Raises:
        ClusterError: the cluster that ``RAY_ADDRESS`` names is not there, or a task failed again and again.
    """
    tasks = list(_tasks(catalog.unanswered(model)))
    if not tasks:
        return
    with _connected(workers) as size, Tally(catalog.count_unanswered(model)) as tally:
        for answers in _answers(tasks, min(size, len(tasks)), export, address):
            for row in answers.to_pylist():
                result = row["error"] or row
                catalog.save(os.fsdecode(row["path"]), model, result)
                tally.add(finding(result, threshold))


def _tasks(paths: Iterator[str]) -> Iterator[pyarrow.Table]:
    while task := [os.fsencode(path) for path in islice(paths, TASK)]:
        yield pyarrow.table({"path": pyarrow.array(task, pyarrow.binary())})


def _answers(
    tasks: list[pyarrow.Table], workers: int, export: bytes, address: str | None
) -> Iterator[pyarrow.Table]:
    """A table of `_ANSWER` for each task, in the order in which they are done."""
    import ray
    from ray.data import ActorPoolStrategy

    with warnings.catch_warnings():
        # of the number of retries, which Ray takes no more from 2.64 on; the requirements stop before that
        warnings.simplefilter("ignore", DeprecationWarning)
        answered = ray.data.from_arrow(tasks).map_batches(
            Worker,
            fn_constructor_args=(ray.put(export), address),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=workers),
            num_cpus=1,
            max_task_retries=RETRIES,
        )
    return iter(answered.iter_batches(batch_size=None, batch_format="pyarrow"))


@contextmanager
def _connected(workers: int | None) -> Iterator[int]:
    """Join the cluster that ``RAY_ADDRESS`` names, or start one on this machine; gives the number of workers.

    Ray reports nothing to its makers, and what is started here listens on this machine only.
    """
    address = os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {}
    if address == "local":
        # Ray's switch for "no other machines", on every system in spite of its name; read when it is imported
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        options = {"num_cpus": workers or os.cpu_count(), "include_dashboard": False}
    else:  # one that is not there would be waited for a quarter of an hour
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else it warns of how its own actors are made
    import ray
    import ray.data.exceptions

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters comes as an exception
    ray.data.DataContext.get_current().enable_progress_bars = False
    code = {"py_modules": [str(Path(__file__).parents[1])], "excludes": ["__pycache__"]}
    try:
        try:
            ray.init(
                address, runtime_env=code, log_to_driver=False, logging_level=logging.CRITICAL, **options
            )
        except Exception as error:  # Ray has no class for a cluster that cannot be had
            raise ClusterError(f"There is no Ray cluster at {address}: {_line(error)}.") from error
        yield workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
        raise ClusterError(
            f"The cluster failed: {_line(error)}; see to it, and start again to go on."
        ) from error
    finally:
        ray.shutdown()


def _line(error: Exception) -> str:
    """What went wrong, on one line; above the last one are tracebacks of other machines."""
    return printable(str(error).strip().rpartition("\n")[2]).rstrip(".") or type(error).__name__
