"""Main effects: mean test accuracy at every level of each factor, averaged over the other factors."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """The fit's table of main effects, without levels whose mean the design cannot estimate."""
    found = analysis.main_effects
    return found[found["mean"].notna()].reset_index(drop=True)


def draw(effects: pd.DataFrame) -> "Figure":
    rows = []
    for factor, levels in effects.groupby("factor", sort=False):
        rows.append(Row(str(factor), heading=True))
        rows += [_row(level, first=i == 0) for i, (_, level) in enumerate(levels.iterrows())]
    return dots_and_whiskers(rows, "test accuracy, %")


def _row(level: pd.Series, first: bool) -> Row:
    return Row(
        name=f"{level['level']} (baseline)" if first else level["level"],
        value=100 * level["mean"],
        low=100 * level["low"],
        high=100 * level["high"],
        numbers=formats.percent_with(level["mean"], level["low"], level["high"]),
        colour=BLACK if first else BLUE,
        marker="s" if first else "o",
        filled=not first,
    )


PLOT = Plot(
    section=Section.INTERACTIONS,
    title="Main effects",
    caption=(
        "Mean test accuracy at each level, with equal weights for the levels of all other factors (least-squares "
        "means), and 95 % intervals from the error named below the analysis of variance. They are for comparisons of "
        "levels: unless that error is the variation over replicates, they leave out what all cells of a replicate have "
        "in common. Open squares are the baseline's levels. The effect of a factor with interactions depends on the "
        "levels of other factors."
    ),
    compute=compute,
    draw=draw,
    intervals=True,
)
