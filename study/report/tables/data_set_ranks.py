"""Methods ranked on each data set, for studies with several."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report import data_set_findings
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    found = analysis.methods
    tested = f" {data_set_findings.tested(found)}" if found.ranking else ""
    means = [Column.of(f"{name}, %", formats.percent, found.means[name]) for name in found.means]
    return Table(
        (
            Column.text("method", rows["method"]),
            *means,
            Column.of("mean rank", formats.hundredths, rows["mean_rank"]),
        ),
        "Mean test accuracy of every method (combination of the other factors' levels) that has a result on every data "
        "set, and the mean of its ranks, 1 the best; equal means share their ranks. Each data set counts once, "
        "whatever the replicates, so the test (Friedman's, by permutation of the methods within each data set; Demsar "
        f"2006) is about data sets like these.{tested}",
    )


TABLE = ReportTable(
    Section.DATA_SETS,
    lambda analysis: analysis.methods.table,
    write,
    order=30,
    title="Methods over all data sets",
    files=("tables/data_set_ranks.tex",),
)
