"""With and without pre-training, and transfer: test accuracy of cells that differ in their pre-training alone."""

from typing import TYPE_CHECKING

import pandas as pd

from study.analysis.pretraining import SAME, SCRATCH, TRANSFER, pretraining
from study.analysis.results import Results
from study.report.plots.plot import Plot
from study.report.plots.style import BLACK, BLUE, VERMILLION
from study.report.plots.whiskers import Row, dots_and_whiskers
from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {SCRATCH: (BLACK, "o", False), SAME: (BLUE, "o", True), TRANSFER: (VERMILLION, "^", True)}


def compute(results: Results) -> pd.DataFrame:
    """Sets of cells of which at least two have results."""
    found = pretraining(results)
    found = found[found["n"] > 0]
    return found[found.groupby("group")["cell"].transform("size") > 1].reset_index(drop=True)


def draw(table: pd.DataFrame) -> "Figure":
    rows = []
    several = table["group"].nunique() > 1
    for number, group in table.groupby("group", sort=False):
        if several:
            rows.append(Row(f"set {number}: against {group.iloc[0]['reference']}", heading=True))
        origins = group.apply(_origin, axis="columns")
        unclear = origins.duplicated(keep=False) | (not several)
        names = origins.where(~unclear, origins + " (" + group["cell"] + ")")
        rows += [_row(cell, name) for name, (_, cell) in zip(names, group.iterrows(), strict=True)]
    return dots_and_whiskers(rows, "test accuracy, %")


def _row(cell: pd.Series, name: str) -> Row:
    colour, marker, filled = LOOKS[cell["kind"]]
    return Row(
        name=name,
        value=100 * cell["mean"],
        low=100 * cell["low"],
        high=100 * cell["high"],
        told=formats.percent_with(cell["mean"], cell["low"], cell["high"]),
        colour=colour,
        marker=marker,
        filled=filled,
    )


def _origin(cell: pd.Series) -> str:
    return SCRATCH if cell["kind"] == SCRATCH else f"{cell['kind']}: {cell['pretrain_dataset']}"


PLOT = Plot(
    title="With and without pre-training, and transfer",
    caption=(
        "Cells that differ in their pre-training alone, with 95 % intervals; the table has each cell's difference from "
        "the first of its set. Open circles: trained from scratch. Filled circles: pre-trained on the data set "
        "they are fine-tuned on. Triangles: pre-trained on another one (transfer)."
    ),
    compute=compute,
    draw=draw,
)
