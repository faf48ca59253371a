"""Trials that failed or are missing, and cells that are excluded, with the reasons."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

MOST_EXCLUDED = 10  # cells with the same reason that are listed one by one


def compute(analysis: Analysis) -> pd.DataFrame:
    """Trials without a result; many cells excluded for the same reason are one row."""
    trials = analysis.results.trials
    rows = trials[trials["status"] != "done"]
    excluded = rows["status"] == "excluded"
    same_reason = rows["reason"].where(excluded).map(rows["reason"][excluded].value_counts()).fillna(0)
    first = rows[same_reason > MOST_EXCLUDED].drop_duplicates("reason")
    counts = same_reason[first.index]
    names = [f"{count:,.0f} cells, the first {cell}" for count, cell in zip(counts, first["cell"], strict=True)]
    return pd.concat([rows[same_reason <= MOST_EXCLUDED], first.assign(cell=names)])


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("replicate", formats.count, rows["replicate"]),
            Column.text("status", rows["status"]),
            Column.text("reason", rows["reason"]),
        ),
        "Trials without a result, and excluded cells.",
        "results.csv",
    )


TABLE = ReportTable(Section.UNFINISHED, compute, write)
