"""Photo to answer: the published way, ours, and the floor, on the same photos in one run.

- published: Pillow decodes at full size, a float tensor, resized inside the export, one by one;
- ours: what ``python -m src.tag`` does, catalog included;
- floor: the fastest scaled JPEG decoding alone, and the model alone in the fastest runtime, on all cores.

The photos are test pictures enlarged to 12 megapixels, or shrunk to 0.1. Medians over rounds in which all
take turns. Answers are compared with those of the export for the full-size picture.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from src.inference.openvino import OpenVinoPredictor, fastest
from src.inference.predictor import Predictor
from src.library.catalog import Catalog
from src.library.run_local import answer_all
from src.photos.files import find_photos

EXPORT = Path(__file__).resolve().parents[1] / "checkpoints" / "transfer_exported.pt"
CORES = os.cpu_count() or 1


@torch.inference_mode()
def published(predictor: Predictor, paths: list[Path]) -> None:
    """One at a time, everything at full size."""
    for path in paths:
        predictor.model(to_tensor(Image.open(path).convert("RGB"))[None])


def ours(predictor, folder: Path) -> None:
    """As the tagger does it, with a new catalog."""
    with tempfile.TemporaryDirectory() as place, Catalog(Path(place, "tags.sqlite")) as catalog:
        catalog.note(find_photos(folder))
        answer_all(catalog, predictor, "model", CORES, many=False)


def decode_alone(paths: list[Path], side: int) -> None:
    """As small as the decoder can while the short side is at least `side`, on all cores."""

    def decode(path: Path) -> None:
        simplejpeg.decode_jpeg(path.read_bytes(), min_height=side, min_width=side, fastdct=True)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(decode, paths))


def network_alone(fast: OpenVinoPredictor, count: int, size: int) -> None:
    """The network on a picture that is there already, on all cores."""
    picture = np.zeros((1, 3, size, size), np.float32)

    def infer(_number: int) -> None:
        fast.infer(picture)

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(infer, range(count)))


def timed(function, *arguments) -> float:
    """Seconds."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def speeds(predictor: Predictor, fast, folder: Path, paths: list[Path], rounds: int) -> dict[str, float]:
    """Median milliseconds a photo of each way, and of the two parts of the floor."""
    size, count = predictor.info["size"], len(paths)
    few = paths[: max(5, count // 5)]
    ways = {
        "published": lambda: timed(published, predictor, few) * count / len(few),
        "ours": lambda: timed(ours, fast, folder),
        "decode": lambda: timed(decode_alone, paths, size),
        "network": lambda: timed(network_alone, fast, count, size),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first one warms up
        for name, way in ways.items():
            torch.set_num_threads(CORES if name == "published" else 1)
            seconds = way()
            if number:
                taken[name].append(1000 * seconds / count)
    return {name: statistics.median(values) for name, values in taken.items()}


def parity(predictor: Predictor, fast, paths: list[Path]) -> tuple[float, float]:
    """Share of photos with the same likeliest landmark, and the largest difference of its probability."""
    same, gap = 0, 0.0
    for path in paths:
        picture = read_picture(path, fast.short_side)
        exact, known = predictor.scores(Image.open(path).convert("RGB"))
        scores, fast_known = fast.scores(picture)
        same += exact.argmax() == scores.argmax()
        gap = max(gap, abs(exact.max() - scores[exact.argmax()]), abs(known - fast_known))
    return same / len(paths), gap


def whole_runs(paths: list[Path], folder: Path, counts: list[int]) -> list[tuple[int, float, float]]:
    """Photos, seconds and peak memory in MB of fresh ``python -m src.tag`` processes."""
    rows = []
    for count in counts:
        fill(folder, paths, count)
        rows.append((count, *run_tagger(folder, folder.parent / f"{count}.csv")))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--library", type=int, nargs="+", default=[1, 100, 1000, 10_000])
    options = parser.parse_args()
    test, *_ = list_pictures(find_data_set() / "test")
    predictor = Predictor.load(EXPORT)
    fast = fastest(predictor, CORES)
    lines = [
        "| photos of | published | ours | floor (decode + model) | ours is faster | of the floor's speed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as place:
        for name, size in (("12 megapixels", (4000, 3000)), ("0.1 megapixels", (366, 274))):
            folder = Path(place, name.replace(" ", "_"))
            paths = make_photos(test[:: len(test) // options.photos][: options.photos], folder, size)
            ms = speeds(predictor, fast, folder, paths, options.rounds)
            floor = ms["decode"] + ms["network"]
            lines.append(
                f"| {name} | {ms['published']:.0f} ms | {ms['ours']:.1f} ms | {floor:.1f} ms "
                f"({ms['decode']:.1f} + {ms['network']:.1f}) | {ms['published'] / ms['ours']:.1f} × "
                f"| {floor / ms['ours']:.2f} |"
            )
            print(lines[-1], flush=True)
        large = parity(predictor, fast, sorted(Path(place, "12_megapixels").iterdir()))
        every = parity(predictor, fast, test)
        rows = whole_runs(test, Path(place, "library"), options.library)
    lines += [
        "",
        f"Same landmark as the export for {every[0]:.1%} of the {len(test)} test pictures, within "
        f"{every[1]:.3f}; for {large[0]:.1%} of the 12-megapixel ones, within {large[1]:.3f}.",
        "",
        "| a fresh `python -m src.tag` on so many test pictures | seconds | peak memory |",
        "| --- | --- | --- |",
        *(f"| {count:,} | {seconds:.1f} | {memory:.0f} MB |" for count, seconds, memory in rows),
    ]
    write_section("Photo to answer", __doc__, "\n".join(lines))


if __name__ == "__main__":
    main()
