"""Shares of variance: how much of the variance between trials each factor and interaction explains."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.factorial import ALPHA
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import (  # fmt: skip
    BLACK,
    BLUE,
    GREY,
    LIGHT,
    ORANGE,
    SIZE,
    SMALL,
    WIDTH,
    light_grid,
    new_figure,
    wrapped,
)
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT, RIGHT, TOP, BOTTOM = 2.35, 1.75, 0.12, 0.5  # inches around the axes, as in `whiskers`
LINE, GAP = 0.145, 0.1
MOST = 30  # bars, so that the figure stays readable; its CSV file is complete
STYLES = {
    "main": (BLUE, ""),
    "interaction": (ORANGE, "////"),
    "interactions": (ORANGE, "////"),
    "lack of fit": (GREY, "...."),
    "error": (LIGHT, ""),
}


def compute(analysis: Analysis) -> pd.DataFrame:
    """The analysis of variance without replicates and total, largest share first, chance last."""
    table = analysis.anova
    shown = table[table["kind"].isin(list(STYLES))]
    if shown.empty:
        return shown
    shown = shown[shown["eta_squared"].notna()]
    order = shown.assign(last=shown["kind"] == "error").sort_values(
        ["last", "eta_squared"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="last").reset_index(drop=True)


def draw(shares: pd.DataFrame) -> "Figure":
    rows = shares if len(shares) <= MOST else pd.concat([shares.head(MOST - 1), shares.tail(1)])
    names = [wrapped("chance (error)" if row["kind"] == "error" else row["term"], LEFT - 0.2, 3) for row in _rows(rows)]
    heights = [LINE * (name.count("\n") + 1) + GAP for name in names]
    inner = sum(heights) + GAP
    height = TOP + inner + BOTTOM
    figure = new_figure(WIDTH, height)
    axes = figure.add_axes(
        (LEFT / WIDTH, BOTTOM / height, (WIDTH - LEFT - RIGHT) / WIDTH, inner / height), ylim=(inner, 0)
    )
    axes.set_xlim(0, 105 * max(float(rows["eta_squared"].max()), 0.01))
    axes.set_yticks([])
    light_grid(axes, "x")
    axes.set_xlabel("share of variance, %")
    beside, y = axes.get_yaxis_transform(), GAP / 2
    for row, name, tall in zip(_rows(rows), names, heights, strict=True):
        colour, hatch = STYLES[row["kind"]]
        middle = y + tall / 2
        axes.barh(middle, 100 * row["eta_squared"], 0.11, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        start = (0.05 - LEFT) / (WIDTH - LEFT - RIGHT)
        weight = "bold" if row["p_adjusted"] < ALPHA else "normal"
        axes.text(start, middle, name, transform=beside, va="center", fontsize=SIZE, fontweight=weight)
        axes.text(1.04, middle, _numbers(row), transform=beside, va="center", fontsize=SMALL, color=BLACK)
        y += tall
    return figure


def _rows(table: pd.DataFrame) -> list[pd.Series]:
    return [row for _, row in table.iterrows()]


def _numbers(row: pd.Series) -> str:
    share = f"{formats.percent(row['eta_squared'])} %"
    return share if pd.isna(row["p_adjusted"]) else f"{share}, p (Holm) {formats.p_value(row['p_adjusted'])}"


PLOT = Plot(
    section=Section.INTERACTIONS,
    title="Shares of variance",
    caption=(
        "Shares of the variance between trials (replicates excluded): factors (plain bars), two-factor interactions "
        "(hatched), what remains between cells (dotted) and chance (grey). Bold: distinguishable from "
        "chance after Holm's correction. With missing cells, shares need not sum to 100 %."
    ),
    compute=compute,
    draw=draw,
)
