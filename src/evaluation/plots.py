"""Pictures of an evaluation and of a training run; each function returns a matplotlib Figure.

The figures are closed for pyplot, so a notebook shows one where it is the value of a cell and
nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.data.decoded import read_picture
from src.evaluation.metrics import confusion, per_class
from src.evaluation.plots_unknown import plot_kinds, plot_rejection, plot_surest_unknown
from src.evaluation.predictions import Predictions
from src.evaluation.statistics import expected_calibration_error, reliability_bins, wilson_interval
from src.evaluation.style import (
    BLUE,
    GREY,
    INK,
    MISTAKES,
    ORANGE,
    PLAIN,
    gallery,
    name_rows,
    percent,
    percent_ticks,
    short,
    styled,
    subplots,
)
from src.inference.answers import Answering
from src.inference.own import Own


@styled
def plot_confusion(predictions: Predictions) -> Figure:
    """Counts of what is taken for what; the darker, the larger its share of the row."""
    counts, names = confusion(predictions), [short(name) for name in predictions.names]
    share = counts / counts.sum(axis=1, keepdims=True).clip(1)
    diagonal = np.eye(len(counts), dtype=bool)
    mistakes = np.ma.masked_where(diagonal | (counts == 0), share)
    darkest = max(0.3, float(share[~diagonal].max(initial=0)))

    cell = 0.21 if len(counts) <= 60 else 0.15  # inches; a notebook keeps every picture in its file
    side = max(4.5, 2.6 + cell * len(counts))
    small = 7.5 * cell / 0.21
    figure, axis = subplots(figsize=(side, side))
    axis.imshow(np.ma.masked_where(~diagonal, share), cmap="Greys", vmin=0, vmax=8)
    axis.imshow(mistakes, cmap=MISTAKES, vmin=0, vmax=darkest)
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = not diagonal[row, column] and share[row, column] > 0.7 * darkest
        color = "white" if dark else GREY if row == column else INK
        text = {"ha": "center", "va": "center", "fontsize": small, "color": color}
        axis.text(column, row, counts[row, column], **text)
    ticks = np.arange(len(counts))
    axis.set_xticks(ticks, names, rotation=90, fontsize=1.06 * small)
    axis.set_yticks(ticks, names, fontsize=1.06 * small)
    axis.set_xticks(ticks[1:] - 0.5, minor=True)
    axis.set_yticks(ticks[1:] - 0.5, minor=True)
    axis.grid(which="minor", linewidth=0.5)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("what the network says")
    axis.set_ylabel("what the photo shows")
    right = f"{percent(predictions.correct.mean())} of {len(predictions)} photos are right (grey)"
    title = f"{right}; mistakes are orange, darker for a larger share of the row"
    figure.suptitle(fill(title, int(11 * side)))
    return figure


@styled
def plot_reliability(predictions: Predictions) -> Figure:
    """Accuracy against confidence in bins of equal mass, the gap of each bin, and a histogram."""
    bins = reliability_bins(predictions.confidence, predictions.correct)
    error = expected_calibration_error(predictions.confidence, predictions.correct)
    low, high = np.array(
        [wilson_interval(round(b.accuracy * b.count), b.count) for b in bins.itertuples(index=False)]
    ).T
    colors = np.where(bins.accuracy < bins.confidence, ORANGE, BLUE)

    figure, axes = subplots(2, 2, figsize=(9.5, 4.6), height_ratios=(3, 1), width_ratios=(3, 2), sharex="col")
    top, histogram = axes[:, 0]
    lowest = min(0.9, np.floor(10 * min(bins.confidence.min(), bins.accuracy.min())) / 10)
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    top.vlines(bins.confidence, bins.accuracy, bins.confidence, colors=colors, linewidth=2)
    top.scatter(bins.confidence, bins.accuracy, c=colors, s=28, zorder=3)
    margin = 0.03 * (1 - lowest)
    limits = (lowest - margin, 1 + margin)
    top.set(xlim=limits, ylim=limits, ylabel="share that is right")
    top.set_title("Each dot is a group of photos; on the line it is as right as it claims")
    percent_ticks(top.yaxis)
    top.grid()
    histogram.hist(predictions.confidence, bins=np.linspace(lowest, 1, 26), color=GREY)
    histogram.set(xlabel="confidence: probability of the first guess", ylabel="photos")
    percent_ticks(histogram.xaxis)
    histogram.yaxis.set_major_locator(MaxNLocator(2, integer=True))

    for axis in axes[:, 1]:
        axis.remove()
    gaps = figure.add_subplot(axes[0, 0].get_gridspec()[:, 1])
    rows, gap = np.arange(len(bins)), bins.accuracy - bins.confidence
    gaps.barh(rows, gap, color=colors, height=0.7)
    gaps.hlines(rows, low - bins.confidence, high - bins.confidence, color=INK, linewidth=0.8)
    gaps.axvline(0, color=INK, linewidth=0.8)
    gaps.set_yticks(rows, [percent(value) for value in bins.confidence], fontsize=8.5)
    gaps.invert_yaxis()
    gaps.set(ylabel="mean confidence of the group", xlabel="accuracy − confidence, with 95 % interval")
    gaps.set_title("Orange claims too much, blue too little")
    percent_ticks(gaps.xaxis, 5)
    gaps.tick_params(axis="y", length=0)
    groups = f"{len(bins)} groups of about {bins['count'].iloc[0]} photos"
    figure.suptitle(f"Calibration error (ECE) {percent(error)} over {groups}")
    return figure


@styled
def plot_mistakes(predictions: Predictions, n: int = 12) -> Figure:
    """The most confident mistakes as pictures, with what was said and what is there."""
    wrong = np.flatnonzero(~predictions.correct & (predictions.labels >= 0))
    worst = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:n]
    titles = []
    for row in worst:
        said = short(predictions.names[predictions.predicted[row]], 24)
        shown = short(predictions.names[predictions.labels[row]], 32)
        titles.append(f"said {said} ({percent(predictions.confidence[row], 0)})\nis {shown}")
    figure = gallery([predictions.paths[row] for row in worst], titles)
    count = f"{len(wrong)} of {len(predictions)} photos"
    if len(worst):
        figure.suptitle(f"The most confident of the mistakes ({count})")
    else:
        figure.suptitle(f"No mistake in {len(predictions)} photos")
    return figure


@styled
def plot_per_class(predictions: Predictions) -> Figure:
    """F1, precision and recall of every class, the weakest on top."""
    table = per_class(predictions).query("support > 0").sort_values("f1", ignore_index=True)
    figure, axis = subplots(figsize=(7.5, 1.3 + 0.19 * len(table)), dpi=72)
    rows = table.index
    axis.hlines(rows, table.precision, table.recall, color=GREY, linewidth=1)
    axis.scatter(table.precision, rows, marker="D", s=20, color=ORANGE, label="precision")
    axis.scatter(table.recall, rows, marker="o", s=26, color=BLUE, label="recall")
    axis.scatter(table.f1, rows, marker="|", s=70, color=INK, label="F1")
    name_rows(axis, [f"{short(row.landmark)}  ({row.support})" for row in table.itertuples()])
    legend = {"ncols": 3, "handletextpad": 0.1, "columnspacing": 1, "borderaxespad": 0}
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), **legend)
    axis.set_title(f"Weakest first; mean F1 {percent(table.f1.mean())}")
    return figure


@styled
def plot_history(history: pd.DataFrame) -> Figure:
    """Loss, accuracy and learning rate of each epoch.

    Columns epoch, train_loss, train_accuracy, valid_loss, valid_accuracy, lr.
    """
    figure, axes = subplots(1, 3, figsize=(11, 3.1))
    loss, accuracy, rate = axes
    marker = {"marker": "o", "markersize": 3.5} if len(history) < 20 else {}
    for axis, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        for part, name, color in (("train", "training", GREY), ("valid", "validation", BLUE)):
            values = history[f"{part}_{quantity}"]
            axis.plot(history.epoch, values, color=color, label=name, linewidth=1.6, **marker)
    loss.legend()
    best = history.loc[history.valid_accuracy.idxmax()]
    accuracy.plot(best.epoch, best.valid_accuracy, "o", color=BLUE)
    loss.set_title("Loss")
    accuracy.set_title(f"Accuracy: best {percent(best.valid_accuracy)} in epoch {best.epoch:.0f}")
    percent_ticks(accuracy.yaxis)
    rate.plot(history.epoch, history.lr, color=INK, linewidth=1.6, **marker)
    rate.set_title("Learning rate")
    rate.set_ylim(bottom=0)
    rate.yaxis.set_major_formatter(PLAIN)
    for axis in axes:
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axis.grid(axis="y")
    return figure


def plot_all(
    predictions: Predictions, threshold: float, unknown: Predictions | None, kinds: pd.DataFrame | None
) -> dict[str, Figure]:
    """Every picture of an evaluation by name; three need `unknown` pictures and a table of `by_kind`."""
    drawn = {
        "confusion": plot_confusion(predictions),
        "reliability": plot_reliability(predictions),
        "mistakes": plot_mistakes(predictions),
        "per_class": plot_per_class(predictions),
    }
    if unknown is not None and kinds is not None:
        drawn["kinds"] = plot_kinds(kinds)
        drawn["rejection"] = plot_rejection(predictions, unknown, threshold)
        drawn["unknown"] = plot_surest_unknown(unknown, threshold)
    return drawn


@styled
def plot_answers(predictor: Answering, paths: Sequence[str | Path], own: Own | None = None) -> Figure:
    """Photos with what an export says of each: its three likeliest landmarks, or that it knows none.

    With own landmarks, what is said with them.
    """
    photos = [read_picture(path, predictor.short_side) for path in paths]
    columns = min(2, len(photos))
    rows = -(-len(photos) // columns)
    figure, axes = subplots(
        rows, 2 * columns, figsize=(5.4 * columns, 1.75 * rows), dpi=64, squeeze=False,
        width_ratios=[1.5, 1] * columns,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis("off")
    answers = predictor.predict(photos)
    answers = own.judge(answers) if own else answers
    for (picture, bars), photo, answer in zip(axes.reshape(-1, 2), photos, answers, strict=False):
        picture.imshow(photo)
        guesses = answer.guesses[:3]
        colour = BLUE if answer.recognised else GREY
        bars.barh(range(len(guesses)), [g.probability for g in guesses], color=colour, height=0.28)
        for row, guess in enumerate(guesses):
            text = f"{short(guess.landmark.name)}  {percent(guess.probability, 0)}"
            bars.text(0, row - 0.24, text, va="bottom", color=INK, fontsize=8.5)
        bars.set(xlim=(0, 1.6), ylim=(len(guesses) - 0.4, -0.8))
        headline = guesses[0].landmark.title if answer.recognised else "No landmark that I know"
        bars.set_title(short(headline, 44), fontsize=9, weight="bold")
    return figure


def live_curves() -> Callable[[pd.DataFrame], None]:
    """A function that draws the history so far into the notebook cell, in place of the last drawing."""
    from IPython.display import DisplayHandle, display

    shown: list[DisplayHandle] = []

    def draw(history: pd.DataFrame) -> None:
        figure = plot_history(history)
        if shown:
            shown[0].update(figure)
        else:
            shown.append(display(figure, display_id=True))

    return draw
