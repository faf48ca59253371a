"""Runs whose test accuracy is far from the median of their cell."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.short_keys import KEY_DIGITS
from study.analysis.stats.outliers import FAR
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("replicate", formats.count, rows["replicate"]),
            Column.of("test accuracy, %", formats.percent, rows["test_accuracy"]),
            Column.of("median of the cell, %", formats.percent, rows["median"]),
            Column.of("distance, pooled MADs", formats.significant, rows["distance"]),
            Column.text("key", rows["key"].str[:KEY_DIGITS]),
        ),
        f"Runs beyond {FAR:g} pooled MADs from the median of their cell, the farthest first. The MAD is the median "
        "absolute deviation from the cells' medians over all cells on the same data set, scaled to the SD of normal "
        "results. The runs are in all means and verdicts.",
        "outlying.csv",
    )


TABLE = ReportTable(Section.TRIALS, lambda analysis: analysis.outlying, write, order=30, title="Outlying runs")
