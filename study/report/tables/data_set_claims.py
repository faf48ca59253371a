"""Every claim on each data set, and over all, for studies with several."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import plural

ALL = "all"


def compute(analysis: Analysis) -> pd.DataFrame:
    """By claim: a row per data set, then one over all, with the verdict on the claim itself."""
    rows = analysis.data_set_verdicts
    parts = []
    for number, own in rows.groupby("number", sort=False):
        overall = analysis.verdicts[analysis.verdicts["number"] == number].assign(data_set=ALL)
        parts += [own, overall[rows.columns]]
    return pd.concat(parts, ignore_index=True) if parts else rows


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    count = plural(len(analysis.data_set_verdicts), "row")
    return Table(
        (
            Column.text("claim", rows["claim"]),
            Column.text("data set", rows["data_set"]),
            Column.text("verdict", rows["verdict"]),
            columns.difference_in_unit(rows),
            Column.of("p, adjusted", formats.p_value, rows["p_adjusted"]),
            Column.of("n", str, rows["n"]),
            Column.of("sets", str, rows["sets"]),
            Column.text("note", rows["note"]),
        ),
        f"{analysis.facts.study}: claims with cells on several data sets. {ALL}: the verdict on the claim itself, "
        "about the mean of the differences of all matched sets of cells, with equal weights. Verdicts on single data "
        f"sets are a second family: their p-values are Holm-adjusted over their {count}. So 5 % is the level of "
        "each family, not of both together. Each of these rows rests on the cells on its data set alone; its "
        "interval is not adjusted for the others.",
        "data_set_claims.csv",
    )


TABLE = ReportTable(
    Section.DATA_SETS, compute, write, order=5, title="Claims on each data set", files=("tables/data_set_claims.tex",)
)
