"""The verdicts for a paper: fewer columns, with half the width of each interval."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.design.metrics import Unit
from study.report import claim_wording
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    over = "differences over n replicates with half the width of " if analysis.facts.tested_claims else ""
    return Table(
        (
            *columns.verdicts(rows, Unit.plus_minus),
            Column.text("holds if", [claim_wording.region(row, with_unit=False) for _, row in rows.iterrows()]),
            Column.of("p", formats.p_value, rows["p_adjusted"]),
            Column("n", [claim_wording.replicates(row) for _, row in rows.iterrows()]),
        ),
        f"{analysis.facts.study}: verdicts on the claims of the grid; {over}{claim_wording.method(analysis)}."
        f"{claim_wording.registration(analysis)}",
    )


TABLE = ReportTable(None, lambda analysis: analysis.verdicts, write, files=("claims.tex",))
