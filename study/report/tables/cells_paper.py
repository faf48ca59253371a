"""The main table for a paper: fewer columns, with half the width of each interval."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("params", formats.short, rows["params"]),
            Column.of("MACs", formats.short, rows["macs"]),
            Column.of("n", str, rows["n"]),
            Column.of("test accuracy, %", formats.percent_plus_minus, rows["mean"], rows["low"], rows["high"]),
            Column.of("difference, points", formats.points_plus_minus, *columns.difference_values(rows)),
        ),
        f"{captions.notices(analysis)}{analysis.facts.study}: parameters, multiply-adds, test accuracy and its "
        f"difference from the baseline, with half the width of 95 % intervals. {captions.basis(analysis)}",
        "cells.csv",
    )


TABLE = ReportTable(None, lambda analysis: analysis.cells, write, files=("table.tex",), intervals=True)
