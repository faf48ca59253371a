"""The Pareto front of a search."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Table


def compute(analysis: Analysis) -> pd.DataFrame:
    """The trials on the front."""
    return analysis.search[analysis.search["on_front"]]


def is_search(analysis: Analysis) -> bool:
    """Whether the study is a search."""
    return analysis.facts.tuning is not None and analysis.facts.tuning.searches


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        tuple(columns.search_trials(rows, analysis.facts.tuning)),
        "The Pareto front, cheapest trial first. It was selected on validation data, so its validation accuracies are "
        "too high by chance; test accuracies (one run each) are only reported.",
        "tuning.csv",
    )


TABLE = ReportTable(Section.SEARCH, compute, write, applies=is_search)
