"""Effect of each factor: change of test accuracy at every level, with its 95 % interval."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.effects import matches
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def compute(analysis: Analysis) -> pd.DataFrame:
    """The table of effects, without levels that have no comparison yet."""
    return analysis.effects[analysis.effects["n"] > 0].reset_index(drop=True)


def draw(effects: pd.DataFrame) -> "Figure":
    rows = []
    for (factor, baseline), levels in effects.groupby(["factor", "baseline"], sort=False):
        rows.append(Row(f"{factor} (compared with {baseline})", heading=True))
        rows += [_row(level) for _, level in levels.iterrows()]
    return dots_and_whiskers(rows, "change of test accuracy, percentage points", zero=True)


def _row(level: pd.Series) -> Row:
    return Row(
        name=level["level"],
        value=100 * level["difference"],
        low=100 * level["low"],
        high=100 * level["high"],
        numbers=formats.points_with(level["difference"], level["low"], level["high"]),
        colour=BLUE if level["distinguishable"] else BLACK,
        filled=bool(level["distinguishable"]),
        marker="D" if pd.isna(level["low"]) else "o",
    )


PLOT = Plot(
    section=Section.EFFECTS,
    title="Effect of each factor",
    caption=(
        "Each dot is the change of test accuracy from the baseline's level of a factor (in brackets) to the named "
        "level, with the 95 % interval of this comparison alone. Filled: distinguishable from no change, after the "
        "correction for all comparisons. Open: not distinguishable, also where the interval excludes zero. Open "
        "diamonds: no interval. Arrows, and whiskers that end at the edge, extend beyond "
        "the axis; the numbers are on the right."
    ),
    compute=compute,
    expected=lambda facts: bool(matches(facts)),
    draw=draw,
    intervals=True,
)
