"""How the plots look: colours, type and the ways to write a number or a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from src.data.decoded import read_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.typing import RcKeyType

# Okabe and Ito's colours, which any colour vision tells apart
BLUE, ORANGE, VIOLET = "#0072B2", "#D55E00", "#CC79A7"
INK, GREY, PALE = "#222222", "#767676", "#E4E4E4"
MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#FCE8DA", "#F3A66E", ORANGE])
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
STYLE: dict[RcKeyType, Any] = {
    "figure.dpi": 90,  # a notebook keeps every picture in its file
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def percent(value: float, digits: int = 1) -> str:
    """A share in [0, 1] as people read it, "93.2 %"."""
    return f"{100 * value:.{digits}f} %"


def percent_ticks(axis: Axis, most: int = 6) -> None:
    """Write an axis of shares in percent, with so many ticks at most."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def name_rows(axis: Axes, names: Sequence[str]) -> None:
    """Write names beside rows, from the top down, and shares below them."""
    axis.set_yticks(range(len(names)), names, fontsize=8.5)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    percent_ticks(axis.xaxis)
    axis.grid(axis="x")


def styled(plot: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in this module's style and leave pyplot as it was."""

    @wraps(plot)
    def drawn(*args, **kwargs) -> Figure:
        import matplotlib.pyplot as plt

        with matplotlib.rc_context(STYLE):
            figure = plot(*args, **kwargs)
            figure.draw_without_rendering()  # makes ticks and layout while the style holds
        figure.set_layout_engine("none")  # the layout is done, and slow for a hundred labels
        plt.close(figure)
        return figure

    return drawn


def subplots(*args, **kwargs) -> Any:
    """`matplotlib.pyplot.subplots`."""
    import matplotlib.pyplot as plt  # here, because it chooses a backend

    return plt.subplots(*args, **kwargs)


def gallery(paths: Sequence[str | Path], titles: Sequence[str], columns: int = 4) -> Figure:
    """Pictures side by side, each below its title of two lines; the more columns, the smaller."""
    columns = min(columns, max(2, len(paths)))
    rows = max(1, -(-len(paths) // columns))
    width = 2.45 if columns <= 4 else 1.9  # inches
    figure, axes = subplots(
        rows, columns, figsize=(width * columns, 0.9 * width * rows), dpi=54, squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
        axis.set_anchor("NW")
    for axis, path, title in zip(axes.flat, paths, titles, strict=False):
        axis.imshow(read_picture(path, 160))
        axis.set_title(title, fontsize=8.5, pad=4)
    return figure


def short(name: str, width: int = 30) -> str:
    """A name cut at a word to so many letters at most."""
    return shorten(name, width, placeholder=" …")
