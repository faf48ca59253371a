"""The contrasts that the grid asks for: estimates with intervals, without verdicts."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report import claim_wording, error_wording
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("contrast", rows["contrast"]),
            Column.text("metric", rows["metric"]),
            columns.difference_in_unit(rows),
            *columns.p_values(rows),
            *columns.error(rows),
            Column("n", [claim_wording.replicates(row) for _, row in rows.iterrows()]),
            Column.of("sets", str, rows["sets"]),
            Column.text("note", rows["note"]),
        ),
        f"{analysis.facts.study}: contrasts of the grid's key compare, with 95 % intervals, "
        f"{error_wording.of_rows(rows)} and each for itself; p: alone, and adjusted over these contrasts alone, apart "
        f"from the claims, with {error_wording.adjustment(rows)}; n: replicates; sets: matched sets of cells "
        "averaged over.",
        "contrasts.csv",
    )


TABLE = ReportTable(
    Section.COMPARISONS,
    lambda analysis: analysis.level_contrasts,
    write,
    title="Contrasts",
    files=("tables/contrasts.tex",),
    intervals=True,
)
