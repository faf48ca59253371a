"""Learning curves as small multiples: one cell per panel, in front of all others in grey."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from study.report.plots.panels import padded, small_multiples
from study.report.plots.style import BLUE, GREY, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 200  # of other cells in a panel; more are drawn as their span


def mean_curves(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """From one row per cell, replicate and epoch to one per cell and epoch: n, mean, low (minimum), high."""
    known = curves.dropna(subset=[metric])
    groups = known.groupby(["cell", "epoch"], sort=False)[metric]
    return groups.agg(n="size", mean="mean", low="min", high="max").reset_index()


def draw_curves(curves: pd.DataFrame, ylabel: str, shown: tuple[float, float]) -> "Figure":
    """A panel per cell: its mean in blue with the range of its replicates; all cells' means in grey behind it.

    `shown` are the quantiles of all means that limit the axis, so that the first epochs do not flatten the rest.
    """
    points = curves[["epoch", "mean", "low", "high"]].to_numpy(dtype=float)
    by_cell = {str(cell): points[rows] for cell, rows in curves.groupby("cell", sort=False).indices.items()}
    first = points[curves["cell"] == curves["cell"].iloc[0], :2]

    def panel(axes: "Axes", name: str) -> None:
        _draw_others(axes, curves, list(by_cell.values()))
        own = by_cell[name]
        if name != next(iter(by_cell)):
            axes.plot(*first.T, color=GREY, linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)
        epoch, mean, lowest, highest = own.T
        axes.fill_between(epoch, lowest, highest, color=BLUE, alpha=0.25, linewidth=0)
        axes.plot(epoch, mean, color=BLUE, linewidth=1.4, zorder=3, marker="o" if len(own) == 1 else "", markersize=3)

    low, high = (float(curves["mean"].quantile(share)) for share in shown)
    epochs = padded(float(curves["epoch"].min()), float(curves["epoch"].max()))
    xlabel = "epoch" if len(by_cell) <= MOST_LINES else f"epoch (grey: the span of all {len(by_cell):,})"
    return small_multiples(list(by_cell), panel, (xlabel, epochs), (ylabel, padded(low, high)))


def _draw_others(axes: "Axes", curves: pd.DataFrame, cells: Sequence[np.ndarray]) -> None:
    """All cells' means, or their span if there are many."""
    from matplotlib.collections import LineCollection

    if len(cells) <= MOST_LINES:
        axes.add_collection(LineCollection([rows[:, :2] for rows in cells], colors=LIGHT, linewidths=0.6, zorder=1))
        return
    span = curves.groupby("epoch")["mean"].agg(["min", "max"])
    axes.fill_between(span.index.astype(float), span["min"], span["max"], color=LIGHT, linewidth=0, zorder=1)
