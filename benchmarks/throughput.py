"""Photo to answer: the published way, ours, and the floor, on the same photos in one run.

- published: Pillow decodes at full size, a float tensor, resized inside the TorchScript export, one by
  one; the time to start Python and to import torch is left out;
- ours: ``python -m src.tag`` as a whole process, from its start to the table, with a new catalog;
- floor: the fastest scaled JPEG decoding alone, and the network alone in ONNX Runtime, on all cores.

The photos are test pictures enlarged to 12 megapixels. Medians over rounds in which all take turns.
Answers are compared with those of TorchScript for the full-size picture.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import simplejpeg
import torch
from library_runs import fill, make_photos, run_tagger
from PIL import Image
from report import write_section
from torchvision.transforms.functional import to_tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, list_pictures
from src.inference.export_file import EXPORT, NETWORK, read_export
from src.inference.onnx_runtime import session
from src.inference.predictor import Predictor
from src.inference.torchscript import TorchScriptRuntime

CORES = os.cpu_count() or 1
PUBLISHED = 20  # photos of a round of the published way


@torch.inference_mode()
def published(model: torch.jit.ScriptModule, paths: list[Path]) -> None:
    """One at a time, everything at full size."""
    for path in paths:
        model(to_tensor(Image.open(path).convert("RGB"))[None])


def decode_alone(paths: list[Path], side: int) -> None:
    """As small as the decoder can while the short side is at least `side`, on all cores."""

    def decode(path: Path) -> None:
        simplejpeg.decode_jpeg(path.read_bytes(), min_height=side, min_width=side, fastdct=True)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(decode, paths))


def network_alone(run: Callable, count: int, size: int) -> None:
    """The network on a picture that is there already, on all cores."""
    picture = np.zeros((1, 3, size, size), np.float32)
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda _number: run(None, {"pixels": picture}), range(count)))


def timed(function: Callable, *arguments: object) -> float:
    """Seconds."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def measured(
    paths: list[Path], folders: dict[int, Path], rounds: int
) -> tuple[dict[str, float], dict[int, tuple[float, float]]]:
    """Median milliseconds a photo of the published way and both parts of the floor; ours by photos.

    Ours is seconds and peak memory in MB of whole processes.
    """
    exported, script = read_export(EXPORT), TorchScriptRuntime(EXPORT).model
    size, network = exported.info["size"], session(exported, NETWORK).run
    ways = {
        "published": (lambda: timed(published, script, paths[:PUBLISHED]), PUBLISHED),
        "decode": (lambda: timed(decode_alone, paths, size), len(paths)),
        "network": (lambda: timed(network_alone, network, len(paths), size), len(paths)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    runs: dict[int, list[tuple[float, float]]] = {count: [] for count in folders}
    for number in range(rounds + 1):  # the first one warms up
        for name, (way, count) in ways.items():
            seconds = way()
            taken[name] += [1000 * seconds / count] if number else []
        for count, folder in folders.items():
            run = run_tagger(folder, folder.with_name(f"{folder.name}-{number}.csv"))
            runs[count] += [run] if number else []
        print(number, {count: run[-1:] for count, run in runs.items()}, flush=True)
    alone = {name: median(values) for name, values in taken.items()}
    ours = {count: (median(s for s, _ in run), median(mb for _, mb in run)) for count, run in runs.items()}
    return alone, ours


def parity(paths: list[Path]) -> tuple[float, float]:
    """Share of photos with the same likeliest landmark, and the largest difference of its probability."""
    exact, fast, same, gap = TorchScriptRuntime(EXPORT), Predictor.load(EXPORT), 0, 0.0
    for path in paths:
        expected, known, _ = exact.scores(Image.open(path).convert("RGB"))
        scores, also_known, _ = fast.scores(read_picture(path, fast.short_side))
        same += expected.argmax() == scores.argmax()
        gap = max(gap, abs(expected.max() - scores[expected.argmax()]), abs(known - also_known))
    return same / len(paths), gap


def report(alone: dict[str, float], runs: dict[int, tuple[float, float]]) -> list[str]:
    """What was measured on photos of 12 megapixels, as Markdown."""
    floor = alone["decode"] + alone["network"]
    lines = [
        f"A photo of 12 megapixels takes {alone['published']:.0f} ms the published way; the floor is "
        f"{alone['decode']:.1f} (decoding) + {alone['network']:.1f} (network) = {floor:.1f} ms.",
        "",
        "| photos of 12 megapixels | ours, whole process | ms a photo | faster than published "
        "| of the floor's speed | peak memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for count, (seconds, memory) in runs.items():
        ms = 1000 * seconds / count
        lines.append(
            f"| {count:,} | {seconds:.1f} s | {ms:.1f} | {alone['published'] / ms:.1f} × | {floor / ms:.2f} "
            f"| {memory:.0f} MB |"
        )
    return lines


def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=int, nargs="+", default=[1, 264, 2000], help="of 12 megapixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--library", type=int, nargs="+", default=[1000, 10_000], help="as they are, once")
    options = parser.parse_args()
    test, *_ = list_pictures(find_data_set() / "test")
    with tempfile.TemporaryDirectory() as place:
        different = min(264, max(options.photos))
        paths = make_photos(test[:: len(test) // different][:different], Path(place, "made"), (4000, 3000))
        folders = {count: Path(place, f"photos{count}") for count in options.photos}
        for count, folder in folders.items():
            fill(folder, paths, count)
        lines = report(*measured(paths, folders, options.rounds))
        print(*lines, sep="\n", flush=True)
        large, every = parity(paths[::4]), parity(test)
        rows = []
        for count in options.library:
            fill(Path(place, "library"), test, count)
            rows.append((count, *run_tagger(Path(place, "library"), Path(place, f"{count}.csv"))))
    lines += [
        "",
        "| test pictures as they are | ours, whole process | peak memory |",
        "| --- | --- | --- |",
        *(f"| {count:,} | {seconds:.1f} s | {memory:.0f} MB |" for count, seconds, memory in rows),
        "",
        f"Same landmark as TorchScript for {every[0]:.1%} of the {len(test)} test pictures, within "
        f"{every[1]:.4f}; for {large[0]:.1%} of {len(paths[::4])} of 12 megapixels, within {large[1]:.3f}.",
    ]
    write_section("Photo to answer", __doc__ or "", "\n".join(lines))


if __name__ == "__main__":
    main()
