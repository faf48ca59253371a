"""Expert load by layer: each expert's share of the tokens, relative to an even share."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.plots.panels import padded, small_multiples
from study.report.plots.plot import Plot
from study.report.plots.style import BLUE, GREY, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """Columns cell, replicate, block, rank, load: the experts of a block, ranked by load, busiest first.

    Experts of different replicates do not correspond, so only ranks can be compared.
    """
    found = analysis.expert_load
    ranks = found.groupby(["cell", "replicate", "block"], sort=False)["load"].rank(method="first", ascending=False)
    return found.assign(rank=ranks.astype("Int64"))[["cell", "replicate", "block", "rank", "load"]]


def draw(loads: pd.DataFrame) -> "Figure":
    def panel(axes: "Axes", name: str) -> None:
        own = loads[loads["cell"] == name]
        axes.axhline(1, color=GREY, linewidth=0.8, zorder=1)
        spread = own.groupby("block")["load"].agg(["min", "max"])
        axes.vlines(spread.index.astype(float), spread["min"], spread["max"], color=LIGHT, linewidth=1.2, zorder=1)
        axes.plot(own["block"], own["load"], "o", color=BLUE, markersize=3, alpha=0.55, markeredgewidth=0, zorder=2)

    blocks = padded(float(loads["block"].min()), float(loads["block"].max()), 0.08)
    highest = 1.05 * max(float(loads["load"].max()), 1.0)
    names = list(dict.fromkeys(loads["cell"]))
    return small_multiples(names, panel, ("block", blocks), ("load, in even shares", (0.0, highest)))


PLOT = Plot(
    section=Section.EXPERT_LOAD,
    title="Expert load by layer",
    caption=(
        "Each dot is one expert of one replicate: its share of the tokens routed in that block on validation images, "
        "in units of an even share. Perfectly even routing puts all dots on the line at 1; a dot near 0 is a barely "
        "used expert. Cells without routing are not shown."
    ),
    compute=compute,
    draw=draw,
)
