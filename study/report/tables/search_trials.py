"""Every finished trial of a search."""

import pandas as pd

from study.analysis import validation_bias
from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.search import is_search
from study.report.tables.table import Table


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        tuple(columns.search_trials(rows, analysis.facts.tuning)),
        f"All finished trials, cheapest first.{validation_bias.sentence(analysis.facts)}",
        "tuning.csv",
    )


TABLE = ReportTable(Section.SEARCH_TRIALS, lambda analysis: analysis.search, write, applies=is_search)
