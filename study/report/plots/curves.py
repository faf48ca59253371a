"""Learning curves in small multiples: one cell each, before all others in grey."""

from typing import TYPE_CHECKING

import pandas as pd

from study.report.plots.panels import padded, small_multiples
from study.report.plots.style import BLUE, GREY, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def mean_curves(curves: pd.DataFrame, metric: str) -> pd.DataFrame:
    """From one row per cell, replicate and epoch to one per cell and epoch: n, mean, low and high (the extremes)."""
    known = curves.dropna(subset=[metric])
    groups = known.groupby(["cell", "epoch"], sort=False)[metric]
    return groups.agg(n="size", mean="mean", low="min", high="max").reset_index()


def draw_curves(curves: pd.DataFrame, ylabel: str, shown: tuple[float, float]) -> "Figure":
    """A panel per cell: its mean in blue with the range of its replicates; all cells' means in grey behind it.

    `shown` are the quantiles of all means between which the axis reaches, so that first epochs do not flatten the rest.
    """
    from matplotlib.collections import LineCollection

    by_cell = {str(cell): rows.astype({"epoch": float}) for cell, rows in curves.groupby("cell", sort=False)}
    lines = [rows[["epoch", "mean"]].to_numpy() for rows in by_cell.values()]
    first = next(iter(by_cell))

    def panel(axes: "Axes", name: str) -> None:
        axes.add_collection(LineCollection(lines, colors=LIGHT, linewidths=0.6, zorder=1))
        if name != first:
            axes.plot(*lines[0].T, color=GREY, linewidth=1.0, linestyle=(0, (3, 2)), zorder=2)
        own = by_cell[name]
        axes.fill_between(own["epoch"], own["low"], own["high"], color=BLUE, alpha=0.25, linewidth=0)
        marker = "o" if len(own) == 1 else ""
        axes.plot(own["epoch"], own["mean"], color=BLUE, linewidth=1.4, zorder=3, marker=marker, markersize=3)

    low, high = (float(curves["mean"].quantile(share)) for share in shown)
    epochs = padded(float(curves["epoch"].min()), float(curves["epoch"].max()))
    return small_multiples(list(by_cell), panel, ("epoch", epochs), (ylabel, padded(low, high)))
