"""Interquartile mean and probability of improvement of every method, for studies with several data sets."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    improvement = (rows[name] for name in ("improvement", "improvement_low", "improvement_high"))
    columns = [
        Column.text("method", rows["method"]),
        Column.of("n", str, rows["n"]),
        Column.of("IQM, %", formats.percent_with, rows["iqm"], rows["iqm_low"], rows["iqm_high"]),
        Column.of("better than the baseline, %", formats.percent_with, *improvement),
    ]
    if rows["failed"].astype(bool).any():
        columns.append(Column.of("failed runs", str, rows["failed"]))
    return Table(
        tuple(columns),
        "IQM: interquartile mean, the mean of the middle half of the test accuracies of all replicates on all data "
        "sets. Accuracies are not rescaled, so the runs left out are mostly on the easiest and the hardest data set. "
        "Better than the baseline: the probability that a run has a higher test accuracy than a run of the baseline "
        "on the same data set, averaged over data sets; ties count half. n: replicates that the method has on every "
        "data set. In brackets: 95 % intervals by stratified bootstrap (Agarwal et al. 2021, arXiv 2108.13264), from "
        "n = 3 on. Replicates are drawn within each data set; the data sets are fixed. With few replicates "
        "these intervals are too narrow: reports/calibration/calibration.md of the project has their measured "
        "coverage.",
    )


TABLE = ReportTable(
    Section.DATA_SETS,
    lambda analysis: analysis.methods.table,
    write,
    order=31,
    intervals=True,
    files=("tables/data_set_aggregates.tex",),
)
