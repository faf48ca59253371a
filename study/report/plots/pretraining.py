"""With and without pre-training, and transfer: test accuracy of cells that differ only in their pre-training."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.pretraining import SAME, SCRATCH, TRANSFER, comparable
from study.report.placement import Section
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = {SCRATCH: (BLACK, "o", False), SAME: (BLUE, "o", True), TRANSFER: (VERMILLION, "^", True)}


def compute(analysis: Analysis) -> pd.DataFrame:
    """Sets of cells of which at least two have results."""
    return comparable(analysis.pretraining)


def draw(table: pd.DataFrame) -> "Figure":
    rows = []
    several = table["group"].nunique() > 1
    for number, group in table.groupby("group", sort=False):
        if several:
            rows.append(Row(f"set {number}: compared with {group.iloc[0]['reference']}", heading=True))
        origins = group.apply(_origin, axis="columns")
        unclear = origins.duplicated(keep=False) | (not several)
        names = origins.where(~unclear, origins + " (" + group["cell"] + ")")
        rows += [_row(cell, name) for name, (_, cell) in zip(names, group.iterrows(), strict=True)]
    return dots_and_whiskers(rows, "test accuracy, %")


def _row(cell: pd.Series, name: str) -> Row:
    colour, marker, filled = STYLES[cell["kind"]]
    return Row(
        name=name,
        value=100 * cell["mean"],
        low=100 * cell["low"],
        high=100 * cell["high"],
        numbers=formats.percent_with(cell["mean"], cell["low"], cell["high"]),
        colour=colour,
        marker=marker,
        filled=filled,
    )


def _origin(cell: pd.Series) -> str:
    return SCRATCH if cell["kind"] == SCRATCH else f"{cell['kind']}: {cell['pretrain_dataset']}"


PLOT = Plot(
    section=Section.PRETRAINING,
    title="With and without pre-training, and transfer",
    caption=(
        "Cells that differ only in their pre-training, with 95 % intervals; differences are in the table below. Open "
        "circles: trained from scratch. Filled circles: pre-trained on the fine-tuning data set. Triangles: "
        "pre-trained on another data set (transfer)."
    ),
    compute=compute,
    draw=draw,
    intervals=True,
)
