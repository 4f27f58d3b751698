"""Made-up photo libraries, and fresh ``python -m src.tag`` processes on them; for several benchmarks."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def make_photos(paths: list[Path], folder: Path, size: tuple[int, int]) -> list[Path]:
    """JPEGs of that size (width, height), in pixels."""
    folder.mkdir()
    made = []
    for number, path in enumerate(paths):
        made.append(folder / f"{number}.jpg")
        with Image.open(path) as picture:
            resized = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        resized.save(made[-1], quality=92)
    return made


def fill(folder: Path, paths: list[Path], count: int) -> None:
    """Copies of photos until the folder has so many, each with its own content, or it would be known."""
    folder.mkdir(exist_ok=True)
    for number in range(sum(1 for _ in folder.iterdir()), count):
        data = paths[number % len(paths)].read_bytes()
        (folder / f"{number}.jpg").write_bytes(data + number.to_bytes(4, "big"))


def run_tagger(folder: Path, out: Path, *options: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a fresh ``python -m src.tag FOLDER --out OUT``."""
    command = [sys.executable, "-m", "src.tag", str(folder), "--out", str(out), *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the tagger ended with {process.returncode}")
    return time.perf_counter() - start, peak / 1000


def peak_memory(pid: int) -> int:
    """The most memory that a process has had, kB; 0 once it has ended."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
