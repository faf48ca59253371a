"""The pairs of classes that are confused most often: for data sets with too many classes for a matrix."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.confusion import MOST_IN_MATRIX, confusions
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

MOST = 10  # pairs of each cell


def compute(analysis: Analysis) -> pd.DataFrame:
    """The most frequent confusions of the baseline and of the best cell, if there are too many classes for a matrix."""
    found = confusions(analysis.shown_cells)
    wrong = found[(found["true"] != found["predicted"]) & (found["images"] > 0)]
    if found["true"].nunique() <= MOST_IN_MATRIX:
        return wrong.head(0)
    ranked = wrong.sort_values("images", ascending=False, kind="stable")
    return pd.concat([ranked[ranked["cell"] == name].head(MOST) for name in analysis.shown_cells])


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.text("true class", rows["true"]),
            Column.text("predicted", rows["predicted"]),
            Column.of("test images", formats.significant, rows["images"]),
            Column.of("of the true class, %", formats.percent, rows["share"]),
        ),
        f"The {MOST} most frequent confusions of the baseline, and of the cell that is best on validation data if it "
        "is another: mean number of test images over replicates.",
        "confusions.csv",
    )


TABLE = ReportTable(Section.TEST_IMAGES, compute, write, title="Most confused classes", order=30)
