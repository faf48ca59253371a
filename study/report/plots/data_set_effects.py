"""The effect of every level on each data set, with its 95 % interval, for studies with several."""

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
    """The table of effects on each data set, without rows that have no comparison yet."""
    rows = analysis.data_set_effects
    return rows[rows["n"] > 0].reset_index(drop=True)


def draw(effects: pd.DataFrame) -> "Figure":
    rows = []
    for (factor, level, baseline), own in effects.groupby(["factor", "level", "baseline"], sort=False):
        rows.append(Row(f"{factor}: {level} (compared with {baseline})", heading=True))
        rows += [_row(effect) for _, effect in own.iterrows()]
    return dots_and_whiskers(rows, "change of test accuracy, percentage points", zero=True)


def _row(effect: pd.Series) -> Row:
    return Row(
        name=effect["data_set"],
        value=100 * effect["difference"],
        low=100 * effect["low"],
        high=100 * effect["high"],
        numbers=formats.points_with(effect["difference"], effect["low"], effect["high"]),
        colour=BLUE if effect["distinguishable"] else BLACK,
        filled=bool(effect["distinguishable"]),
        marker="D" if effect["n"] == 1 else "o",
    )


PLOT = Plot(
    section=Section.DATA_SETS,
    title="Effect of each level on each data set",
    caption=(
        "Each dot is the change of test accuracy on one data set, with its 95 % interval for this comparison alone. "
        "Filled: distinguishable from no change after the correction for all of these rows. Open: not. Open diamonds: "
        "a single replicate, so no interval. Arrows, and whiskers that end at the edge, extend beyond the axis; the "
        "numbers are on the right."
    ),
    compute=compute,
    draw=draw,
    intervals=True,
)
