"""The verdict on every claim."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.budgets import DIFFERENT, differences
from study.design.metrics import Unit
from study.report import claim_wording
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

GIVEN = f" Budget: where the two sides differ by more than {100 * DIFFERENT:.0f} % in what they were given."


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    tested = bool(analysis.facts.tested_claims)
    method = f"with {claim_wording.method(analysis)}" if tested else claim_wording.method(analysis)
    unequal = differences(analysis.budgets)
    given = [unequal.get(number, "") for number in rows["number"]]
    runs = " The runs behind every verdict are listed in claim_runs.csv." if tested else ""
    return Table(
        (
            *columns.verdicts(rows, Unit.signed_with),
            Column.text("holds if", [claim_wording.region(row) for _, row in rows.iterrows()]),
            Column.of("p, adjusted", formats.p_value, rows["p_adjusted"]),
            Column.text("error", [columns.error_and_df(row) for _, row in rows.iterrows()]),
            Column("n", [claim_wording.replicates(row) for _, row in rows.iterrows()]),
            Column.of("sets", str, rows["sets"]),
            *([Column.text("budget, cells against the others", given)] if any(given) else []),
            Column.text("note", rows["note"]),
        ),
        f"{analysis.facts.study}: verdicts on the claims of the grid, {method}; error: its kind and "
        "degrees of freedom; n: replicates; sets: matched sets of cells averaged over."
        f"{claim_wording.registration(analysis)}{runs}{GIVEN if any(given) else ''}",
    )


TABLE = ReportTable(Section.CLAIMS, lambda analysis: analysis.verdicts, write, files=("claims.md",))
