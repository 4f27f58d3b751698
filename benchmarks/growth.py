"""How time and memory of tagging grow with photos, threads, the size of the photos, and classes.

Photos, threads: fresh ``python -m src.tag`` processes on libraries of test pictures, start included.
Size: one photo from file to answer on one core, test pictures enlarged or shrunk; memory is that of a
fresh process on 100 of them. Classes: one picture through the model with a linear head and examples of so
many classes that are made up; memory is again that of a fresh process. Medians over rounds in which all take
turns. An exponent is the slope of a line through the logarithms of all points: 1 is proportional, 0 does not
grow.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from library_runs import ROOT, fill, make_photos, run_tagger
from report import write_section

sys.path.insert(0, str(Path(__file__).parents[1]))

from src.data.decoded import read_picture
from src.data.folders import find_data_set, list_pictures
from src.evaluation.calibration import EXAMPLES
from src.inference.export_file import ABOUT, EXPORT, read_export
from src.inference.exported import torchscript
from src.inference.exporter import upgrade
from src.inference.predictor import Predictor
from src.inference.report import answer_report, read_report
from src.inference.torchscript import load_script
from src.library.read_ahead import THUMBNAIL_SIDE

FEW = 100  # photos of the libraries that only the memory is measured with
FIGURE = ROOT / "docs" / "growth.png"
KINDS = 10  # different photos of each size; the others are their copies
CARRIED = ("onnx", "own_space")  # entries for what the file made here does not carry
BLUE, ORANGE, GREY = "#1f5fa8", "#c2571a", "#5f6670"


@dataclass
class Growth:
    """What was measured against one quantity: a row a value, with the median seconds and megabytes."""

    quantity: str
    unit: str  # of the time
    values: list[float]
    times: list[float]
    megabytes: list[float]

    def exponents(self) -> tuple[float, float]:
        """Of time and of memory."""
        return slope(self.values, self.times), slope(self.values, self.megabytes)


def slope(x: list[float], y: list[float]) -> float:
    """The exponent b of the power law ``y = a x^b`` that lies closest in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0]) if len(x) > 1 else float("nan")


def rounded(exponent: float) -> str:
    """With two digits, and no minus before a zero."""
    return f"{round(exponent, 2) + 0.0:.2f}"


def in_turns(ways: dict, rounds: int) -> dict:
    """Medians of what each way returns, a tuple of numbers, over rounds in which all take turns."""
    taken: dict = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            taken[name].append(way(number))
            print(name, taken[name][-1], flush=True)
    return {name: tuple(median(column) for column in zip(*rows, strict=True)) for name, rows in taken.items()}


def median_ms(function: Callable, items: Iterable) -> float:
    """Milliseconds that the function takes for one of the items."""
    taken = []
    for item in items:
        start = time.perf_counter()
        function(item)
        taken.append(1000 * (time.perf_counter() - start))
    return median(taken)


def growth(quantity: str, unit: str, measured: dict) -> Growth:
    """A `Growth` from what `in_turns` found by value."""
    times, megabytes = zip(*measured.values(), strict=True)
    return Growth(quantity, unit, list(measured), list(times), list(megabytes))


def over_photos(test: list[Path], place: Path, options: argparse.Namespace) -> Growth:
    """Whole runs on libraries of more and more photos."""
    for count in options.photos:
        fill(place / f"photos{count}", test, count)

    def way(count: int):
        return lambda n: run_tagger(place / f"photos{count}", place / f"photos{count}-{n}.csv")

    return growth("photos", "s", in_turns({count: way(count) for count in options.photos}, options.rounds))


def over_workers(test: list[Path], place: Path, options: argparse.Namespace) -> Growth:
    """Whole runs on one library with more and more threads."""
    fill(place / "shared", test, options.shared)

    def way(count: int):
        return lambda n: run_tagger(place / "shared", place / f"w{count}-{n}.csv", "--workers", str(count))

    return growth("threads", "s", in_turns({count: way(count) for count in options.workers}, options.rounds))


def over_megapixels(test: list[Path], place: Path, options: argparse.Namespace) -> Growth:
    """One photo from file to answer, 4 : 3, of more and more pixels."""
    fast = Predictor.load(EXPORT)

    def answer(path: Path) -> None:
        data, side = path.read_bytes(), fast.short_side
        answer_report(read_report(data, path.name, short_side=side, thumbnail_side=THUMBNAIL_SIDE), fast)

    def way(megapixels: float):
        width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
        folder = place / f"size{megapixels}"
        paths = make_photos(test[:: len(test) // KINDS][:KINDS], folder, (width, width * 3 // 4))
        fill(place / f"library{megapixels}", paths, min(FEW, options.shared))

        def measure(number: int) -> tuple[float, float]:
            taken = median_ms(answer, paths)
            out = place / f"size{megapixels}-{number}.csv"
            return taken, run_tagger(place / f"library{megapixels}", out, "--workers", "1")[1]

        return measure

    ways = {megapixels: way(megapixels) for megapixels in options.megapixels}
    answer(test[0])  # the first is slow
    return growth("megapixels", "ms a photo", in_turns(ways, options.rounds))


def with_classes(classes: int, path: Path) -> Predictor:
    """The export with a made-up head, and made-up examples, of so many classes, also saved at `path`."""
    info, model, chance = read_export(EXPORT).info, load_script(EXPORT), torch.Generator().manual_seed(0)
    head, score = model.network.network.head, model.judged.score
    weight = torch.randn(classes, head.weight.shape[1], generator=chance) * head.weight.std()
    head.weight, head.bias = torch.nn.Parameter(weight), torch.nn.Parameter(torch.zeros(classes))
    model.judged.evidence, model.class_names = weight, [f"{number:05}.Made_up" for number in range(classes)]
    owners = torch.arange(classes).repeat_interleave(EXAMPLES)
    examples = torch.randn(len(owners), score.axes.shape[1], generator=chance)
    score.owners, score.examples = owners, torch.nn.functional.normalize(examples)
    landmarks = [info["classes"][0] | {"class_name": name} for name in model.class_names]
    about = {name: entry for name, entry in info.items() if name not in CARRIED} | {"classes": landmarks}
    with torchscript():
        torch.jit.save(model, path, _extra_files={ABOUT: json.dumps(about)})
    return upgrade(path, path)  # the graphs of so many classes


def over_classes(test: list[Path], place: Path, options: argparse.Namespace) -> tuple[Growth, list[float]]:
    """One picture through networks of more and more classes, and the megabytes of their files."""
    fill(place / "few", test, min(FEW, options.shared))
    pictures = [read_picture(path, 10_000) for path in test[:: len(test) // KINDS][:KINDS]]
    files = {classes: place / f"{classes}.pt" for classes in options.classes}

    def way(classes: int):
        fast = with_classes(classes, files[classes])
        fast.predict(pictures[:1])

        def measure(number: int) -> tuple[float, float]:
            taken = median_ms(lambda picture: fast.predict([picture]), pictures)
            out = place / f"c{classes}-{number}.csv"
            return taken, run_tagger(place / "few", out, "--model", str(files[classes]))[1]

        return measure

    measured = in_turns({classes: way(classes) for classes in options.classes}, options.rounds)
    return growth("classes", "ms a picture", measured), [f.stat().st_size / 1e6 for f in files.values()]


def draw(found: list[Growth]) -> None:
    """Time above, memory below, a column a quantity, all axes logarithmic."""
    from matplotlib.figure import Figure  # not pyplot: nothing is shown

    figure = Figure(figsize=(13, 6.4), dpi=110, layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False, sharex="col")
    memory = [megabytes for one in found for megabytes in one.megabytes]  # on one scale, to compare them
    for column, one in enumerate(found):
        unit, *rest = one.unit.split(" ", 1)
        above, below = axes[:, column]
        name = f"{' '.join(['time', *rest])} ({unit})"
        _panel(above, one, name, one.times, one.exponents()[0], BLUE, one.times)
        _panel(below, one, "peak memory (MB)", one.megabytes, one.exponents()[1], ORANGE, memory)
        below.set_xlabel(one.quantity, fontsize=12)
    figure.supxlabel("Points: medians. Dashed: the power law of the title.", fontsize=11, color=GREY)
    FIGURE.parent.mkdir(exist_ok=True)
    figure.savefig(FIGURE)


def _panel(
    axis, one: Growth, what: str, values: list[float], exponent: float, colour: str, shown: list[float]
) -> None:
    """One quantity; the axis has room for all of `shown`."""
    x = np.array(one.values)
    height = np.exp(np.mean(np.log(values)) + exponent * (np.log(x) - np.log(x).mean()))
    axis.plot(x, height, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)))
    axis.plot(x, values, "o", color=colour, markersize=7)
    axis.set(xscale="log", yscale="log")
    # at least a decade high, or what hardly grows would look steep
    middle = (min(shown) * max(shown)) ** 0.5
    axis.set_ylim(min(min(shown) / 1.6, middle / 3.2), max(max(shown) * 1.6, middle * 3.2))
    axis.set_xlim(x.min() / 1.5, x.max() * 1.5)
    axis.set_xticks(x, [f"{value:,g}" for value in x])
    axis.minorticks_off()
    low, high = axis.get_ylim()
    ticks = [t for d in range(-2, 7) for t in (10.0**d, 3 * 10.0**d) if low <= t <= high]
    axis.set_yticks(ticks, [f"{tick:,g}" for tick in ticks])
    axis.tick_params(labelsize=10.5)
    axis.set_title(f"{what}\n∝ {one.quantity}$^{{{rounded(exponent)}}}$", fontsize=12.5, loc="left")
    axis.grid(color="#e3e6ea", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def table(one: Growth, extra: tuple[str, list[float]] | None = None) -> list[str]:
    """A Markdown table, a column a value."""
    times, megabytes = one.exponents()
    rows = [(f"time, {one.unit}", one.times, times), ("peak memory, MB", one.megabytes, megabytes)]
    if extra:
        rows.append((*extra, slope(one.values, extra[1])))
    lines = [
        f"| {one.quantity} | {' | '.join(f'{value:,g}' for value in one.values)} | exponent |",
        "| --- " * (len(one.values) + 2) + "|",
    ]
    for name, values, exponent in rows:
        cells = (f"{value:,.0f}" if value >= 100 else f"{value:.1f}" for value in values)
        lines.append(f"| {name} | {' | '.join(cells)} | {rounded(exponent)} |")
    return [*lines, ""]


def main() -> None:
    """Measure, draw, and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=int, nargs="+", default=[100, 316, 1000, 3162, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--shared", type=int, default=1000, help="photos of the libraries of the others")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.1, 1, 4, 12, 48])
    parser.add_argument("--classes", type=int, nargs="+", default=[50, 158, 500, 1581, 5000])
    options = parser.parse_args()
    test, *_ = list_pictures(find_data_set() / "test")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        found = [f(test, place, options) for f in (over_photos, over_workers, over_megapixels)]
        classes, sizes = over_classes(test, place, options)
    draw([*found, classes])
    lines = [line for one in found for line in table(one)] + table(classes, ("file, MB", sizes))
    last = found[0]
    late = slope(last.values[-2:], last.times[-2:])
    lines.append(
        f"Between the last two libraries the exponent of the time is {late:.2f}: the start weighs less. "
        f"Runs with threads are on {options.shared:,} photos. {options.rounds} rounds. "
        "The figure is [docs/growth.png](../docs/growth.png)."
    )
    write_section("Growth", __doc__, "\n".join(lines))


if __name__ == "__main__":
    main()
