"""The effect of every level on each data set, for studies with several."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.findings import findings
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("factor", rows["factor"]),
            Column.text("level", rows["level"]),
            Column.text("compared with", rows["baseline"]),
            Column.text("data set", rows["data_set"]),
            Column.of("n", str, rows["n"]),
            Column.of("difference, points", formats.points_with, rows["difference"], rows["low"], rows["high"]),
            *columns.p_values(rows),
            *columns.error(rows),
            Column.text("finding", findings(rows, analysis.margin)),
        ),
        "Change of test accuracy at each level on each data set, in percentage points. In brackets: 95 % intervals "
        "from the cells on this data set alone, with an error that is chosen from them. p: alone and with Holm's "
        f"correction for all rows of this table. {captions.finding(analysis.facts)}",
        "figures/data_set_effects.csv",
    )


TABLE = ReportTable(
    Section.DATA_SETS,
    lambda analysis: analysis.data_set_effects,
    write,
    intervals=True,
    files=("tables/data_set_effects.tex",),
)
