"""Kills at random times: what is started again must end as if nothing had happened.

Each task runs as a process of its own that is killed (SIGKILL) after a random time and started again; at its
end its result is compared, byte for byte or number for number, with that of a run without kills. After every
kill no half file may be taken for a whole one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image
from report import write_section

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.folders import find_data_set, list_pictures
from src.inference.export_file import EXPORT, SUMS
from src.inference.predictor import Predictor
from src.models.checkpoints import load_checkpoint

ROOT = Path(__file__).resolve().parents[1]


class Task(ABC):
    """Something that is killed; `folder` is all that it may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def command(self) -> list[str]:
        """What is run, and run again."""

    @abstractmethod
    def result(self) -> object:
        """What two runs must have in common."""

    @abstractmethod
    def check(self) -> None:
        """Raise where a half file would be taken for a whole one; called after every kill."""


def make_pictures(root: Path, count: int) -> Path:
    """Three classes that differ in colour, for training in seconds."""
    chance = np.random.default_rng(0)
    for part, number in (("train", count), ("test", 4)):
        for label, name in enumerate(("00.Red", "01.Green", "02.Blue")):
            (root / part / name).mkdir(parents=True)
            for i in range(number):
                pixels = chance.integers(0, 90, (40, 60, 3), dtype=np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(root / part / name / f"{i}.jpg")
    return root


class Training(Task):
    """``python -m src.train``, with loading processes, until its last epoch."""

    SETTINGS = ("--epochs", "4", "--sizes", "32", "--eval-size", "32", "--batch-size", "8")

    def command(self) -> list[str]:
        data = self.folder.parent / "pictures"
        if not data.exists():
            make_pictures(data, 40)
        where = ["--data", str(data), "--runs", str(self.folder / "runs")]
        return [sys.executable, "-m", "src.train", "--model", "scratch", *where, *self.SETTINGS]

    def check(self) -> None:
        for path in self.folder.rglob("*.pt"):
            load_checkpoint(path)

    def result(self) -> object:
        found = {}
        for path in sorted((self.folder / "runs").rglob("*.pt")):
            state = load_checkpoint(path)
            history = [{k: v for k, v in row.items() if "second" not in k} for row in state["history"]]
            weights = {name: tensor.double().sum().item() for name, tensor in state["weights"].items()}
            found[str(path.relative_to(self.folder))] = (history, weights)
        return found


class Export(Training):
    """``python -m src.export`` of that training, over an older export with its sums beside it."""

    def command(self) -> list[str]:
        run, file = self.folder.parent / "Training-whole" / "runs" / "scratch" / "train", self.folder / "e.pt"
        if not file.exists():
            (self.folder / SUMS).write_text("")
            shutil.copy(EXPORT, file)
            sum_ = hashlib.sha256(file.read_bytes()).hexdigest()
            (self.folder / SUMS).write_text(f"{sum_}  {file.name}\n")
        data = self.folder.parent / "pictures"
        return [sys.executable, "-m", "src.export", str(run), str(file), "--data", str(data)]

    def check(self) -> None:
        Predictor.load(self.folder / "e.pt")

    def result(self) -> object:
        predictor = Predictor.load(self.folder / "e.pt")
        answer = predictor.scores(Image.new("RGB", (60, 40), (77, 77, 77)))[0].tolist()
        return predictor.info["test"], answer, sorted(p.name for p in self.folder.iterdir())


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""


class Download(Task):
    """The data set over HTTP, slowly, and its unpacking."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        pictures = make_pictures(folder / "source", 60)
        file = folder / "set.zip"
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted(pictures.rglob("*.jpg")):
                archive.write(path, f"landmark_images/{path.relative_to(pictures)}")
        shutil.rmtree(pictures)
        self.server = _QuietServer(("127.0.0.1", 0), _slow_server_of(file.read_bytes()))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def command(self) -> list[str]:
        code = (
            "import sys; from pathlib import Path; from src.data.download import download_data_set;"
            "download_data_set(Path(sys.argv[1]), sys.argv[2], progress=False, classes=3)"
        )
        address = f"http://127.0.0.1:{self.server.server_port}/set.zip"
        return [sys.executable, "-c", code, str(self.folder / "pictures"), address]

    def check(self) -> None:
        train, test = (self.folder / "pictures" / part for part in ("train", "test"))
        if train.is_dir() and test.is_dir():
            assert len(list(train.rglob("*.jpg"))) == 180
            assert len(list(test.rglob("*.jpg"))) == 12

    def result(self) -> object:
        return _tree(self.folder / "pictures")


class Tagging(Task):
    """``python -m src.tag --write sidecar`` over real photos with the committed model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "photos").mkdir()
        paths, *_ = list_pictures(find_data_set() / "test")
        for number, path in enumerate(paths[:: len(paths) // 60][:60]):
            shutil.copyfile(path, folder / "photos" / f"{number}{path.suffix}")

    def command(self) -> list[str]:
        out = ["--out", str(self.folder / "tags.csv"), "--write", "sidecar"]
        return [sys.executable, "-m", "src.tag", str(self.folder / "photos"), *out]

    def check(self) -> None:
        for path in (self.folder / "photos").glob("*.xmp"):
            assert path.read_text("utf-8").rstrip().endswith('<?xpacket end="w"?>'), path

    def result(self) -> object:
        files = {name: sum_ for name, sum_ in _tree(self.folder).items() if ".sqlite" not in name}
        table = (self.folder / "tags.csv").read_text("utf-8")
        return files | {"tags.csv": table.replace(str(self.folder), "")}  # which differs from run to run


def _tree(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def _slow_server_of(body: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", '"one"')
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            for at in range(start, len(body), 8192):
                self.wfile.write(body[at : at + 8192])
                time.sleep(0.02)

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


def run(task: Task, after: float | None = None) -> bool:
    """Run the task's process, or kill it and all that it started after so many seconds; whether it ended."""
    process = subprocess.Popen(
        task.command(),
        cwd=ROOT,
        env={**os.environ, "no_proxy": "*", "TQDM_DISABLE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = process.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        task.check()
        return False
    if process.returncode:
        raise RuntimeError(f"{type(task).__name__}: {said.decode()[-2000:]}")
    return True


def try_task(kind: type[Task], folder: Path, kills: int, chance: random.Random) -> dict:
    """Kill a task so often, over as many runs as that takes, and compare each with a whole run."""
    whole = kind(folder / f"{kind.__name__}-whole")
    start = time.perf_counter()
    run(whole)
    seconds, expected = time.perf_counter() - start, whole.result()
    done, wrong, runs = 0, 0, 0
    while done < kills:
        runs += 1
        task = kind(folder / f"{kind.__name__}-{runs}")
        for _ in range(4):  # then it may finish
            if done == kills or run(task, chance.uniform(0.2, 1.0) * seconds):
                break
            done += 1
        run(task)
        wrong += task.result() != expected
    return {"task": (kind.__doc__ or "").split(",")[0], "kills": done, "runs": runs, "different": wrong}


def main() -> int:
    """Kill, and write the section of `RESULTS.md`; 1 where a result differed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=15, help="of each of the four tasks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, rows = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as folder:
        for kind in (Training, Export, Download, Tagging):
            rows.append(try_task(kind, Path(folder), options.kills, chance))
            print(json.dumps(rows[-1]), flush=True)
    lines = ["| task | kills | runs | results that differ |", "| --- | --- | --- | --- |"]
    lines += [f"| {r['task']} | {r['kills']} | {r['runs']} | {r['different']} |" for r in rows]
    write_section("Kills", __doc__, "\n".join(lines))
    return int(any(row["different"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
