"""The importance of each parameter of a search."""

import math

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import IMPORTANCE_METHODS
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

COLUMNS = ["objective", "parameter", *IMPORTANCE_METHODS]


def compute(analysis: Analysis) -> pd.DataFrame:
    """One row per objective and parameter; importances are shares from 0 to 1, nan if not available."""
    found = analysis.facts.tuning.importances if analysis.facts.tuning else {}
    rows = [
        (objective, name, *(methods.get(method, {}).get(name, math.nan) for method in IMPORTANCE_METHODS))
        for objective, methods in found.items()
        for name in dict.fromkeys(name for shares in methods.values() for name in shares)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("objective", rows["objective"]),
            Column.text("parameter", rows["parameter"]),
            *(Column.of(f"{title}, %", formats.percent, rows[method]) for method, title in IMPORTANCE_METHODS.items()),
        ),
        "Importance of each parameter, as its share of the variation of an objective. fANOVA covers the whole space; "
        "PED-ANOVA is a cross-check that compares the best tenth of the trials (only one or two of them in a small "
        "search) with the rest.",
    )


TABLE = ReportTable(Section.SEARCH, compute, write)
