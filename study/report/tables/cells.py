"""The main table: size and accuracy of every cell."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.cells import selected_on
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.of("no.", str, rows["number"]),
            Column.text("cell", rows["cell"]),
            Column.of("parameters", formats.count, rows["params"]),
            Column.of("active", formats.count, rows["params_active"]),
            Column.of("multiply-adds", formats.short, rows["macs"]),
            Column.of("n", str, rows["n"]),
            *([Column.of("failed", str, rows["failed"])] if rows["failed"].any() else []),
            columns.accuracy(rows),
            *columns.item_interval(rows),
            columns.difference(rows, "difference from baseline, points"),
            Column.text(f"Pareto front ({selected_on(rows)})", ["yes" if front else "" for front in rows["front"]]),
        ),
        f"{captions.notices(analysis)}{analysis.facts.study}: size and test accuracy of every cell, with 95 % "
        f"intervals. {f'{captions.front(analysis)} '.lstrip()}{captions.basis(analysis)}",
        "cells.csv",
    )


TABLE = ReportTable(Section.PARAMETERS, lambda analysis: analysis.cells, write, files=("table.md",), intervals=True)
