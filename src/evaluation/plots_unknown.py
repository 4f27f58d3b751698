"""Pictures of what a network says of photos that show none of its landmarks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from src.evaluation.metrics import OTHER_LANDMARKS, is_of_kind
from src.evaluation.predictions import Predictions
from src.evaluation.statistics import wilson_interval
from src.evaluation.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PLAIN,
    VIOLET,
    gallery,
    name_rows,
    percent,
    percent_ticks,
    short,
    styled,
    subplots,
)


@styled
def plot_rejection(predictions: Predictions, unknown: Predictions, threshold: float) -> Figure:
    """How surely photos of landmarks and of none count as known, and what any threshold costs.

    Unknown photos of the kind "other_landmark", the hard case, have a row of their own.
    """
    thresholds = np.quantile(predictions.known.astype(np.float64), np.linspace(0, 1, 301))
    answered = np.array([predictions.answered(t) for t in thresholds])
    coverage = answered.mean(axis=1)
    right = (answered & predictions.correct).sum(axis=1) / answered.sum(axis=1)
    passed = np.array([unknown.answered(t).mean() for t in thresholds])
    here, lost = predictions.answered(threshold), unknown.answered(threshold).mean()

    other = is_of_kind(unknown, OTHER_LANDMARKS)
    groups = [("photos of the landmarks", predictions.known, BLUE)]
    groups += [("unknown photos", unknown.known[~other], ORANGE)] if (~other).any() else []
    groups += [("photos of other landmarks", unknown.known[other], VIOLET)] if other.any() else []
    figure, axes = subplots(
        len(groups), 2, figsize=(10, 1 + 2 * len(groups)), sharex="col", width_ratios=(5, 4), squeeze=False
    )
    for axis, (name, known, color) in zip(axes[:, 0], groups, strict=True):
        axis.hist(known, bins=np.linspace(0, 1, 41), color=color, log=True)
        axis.set_ylim(bottom=0.7)
        axis.yaxis.set_major_formatter(PLAIN)
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.axvline(threshold, color=INK, linewidth=1)
        axis.set_ylabel("photos (log scale)")
        share = percent((known.astype(np.float64) >= threshold).mean())
        axis.set_title(f"{len(known)} {name}: {share} answered", color=color)
    axes[-1, 0].set(xlim=(0, 1), xlabel=f"known; answered from the line, {threshold:.3g}, on")

    for axis in axes[:, 1]:
        axis.remove()
    grid = axes[0, 0].get_gridspec()[:, 1].subgridspec(2, 1)
    top = figure.add_subplot(grid[0])
    bottom = figure.add_subplot(grid[1], sharex=top)
    shown = coverage >= min(0.5, here.mean())
    top.plot(coverage[shown], right[shown], color=BLUE)
    bottom.plot(coverage[shown], passed[shown], color=ORANGE)
    top.set_ylabel("right among the answered")
    top.tick_params(labelbottom=False)
    bottom.set_ylabel("unknown photos answered")
    bottom.set_ylim(0, 1.05 * max(passed.max(), 0.01))
    bottom.set_xlabel("landmark photos answered")
    percent_ticks(bottom.xaxis)
    for axis in (top, bottom):
        percent_ticks(axis.yaxis, 5)
        axis.grid()
    if here.any():
        accuracy = predictions.correct[here].mean()
        top.plot(here.mean(), accuracy, "o", color=INK)
        top.set_title(f"At the threshold {percent(accuracy)} of the answers are right")
    bottom.plot(here.mean(), lost, "o", color=INK)
    bottom.set_title(f"and {percent(lost)} of all unknown photos are answered")
    return figure


@styled
def plot_kinds(kinds: pd.DataFrame) -> Figure:
    """How many photos of each kind of no landmark are answered, with 95 % intervals; a table of `by_kind`."""
    table = kinds.sort_values(["answered", "photos"], ascending=[False, True], ignore_index=True)
    counts = (table.answered * table.photos).round().astype(int)
    bounds = [wilson_interval(count, of) for count, of in zip(counts, table.photos, strict=True)]
    low, high = np.array(bounds).T
    figure, axis = subplots(figsize=(7.5, 1.4 + 0.26 * len(table)))
    rows = np.arange(len(table))
    axis.hlines(rows, low, high, color=GREY, linewidth=1)
    axis.scatter(table.answered, rows, color=ORANGE, s=30, zorder=3)
    name_rows(axis, [f"{short(row.kind, 40)}  ({row.photos})" for row in table.itertuples()])
    axis.set_xlim(left=0)
    axis.set_xlabel("answered, each wrongly (95 % interval)")
    all_of_them = f"{counts.sum()} of {table.photos.sum()} photos of no landmark are answered"
    axis.set_title(f"{all_of_them}; by kind")
    return figure


@styled
def plot_surest_unknown(unknown: Predictions, threshold: float, n: int = 24) -> Figure:
    """The photos of no landmark that count as known most surely, with what was said of them."""
    surest = np.argsort(-unknown.known, kind="stable")[:n]
    answered = unknown.answered(threshold)
    titles = []
    for row in surest:
        said = "said" if answered[row] else "silent; nearest"
        name = short(unknown.names[unknown.predicted[row]], 24)
        titles.append(f"{said} ({percent(unknown.known[row], 0)})\n{name}")
    figure = gallery([unknown.paths[row] for row in surest], titles, columns=6)
    figure.suptitle(
        f"{answered.sum()} of {len(unknown)} photos of no landmark are answered; these come nearest to it"
    )
    return figure
