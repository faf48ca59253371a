"""The hyper-parameters that tuning selected for each cell."""

from collections.abc import Iterator

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.tuned_values import EDGE
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.report.tables.values import value
from study.utils import formats
from study.utils.text import plural


def is_tuned(analysis: Analysis) -> bool:
    """Whether cells were tuned (a search is another kind of study)."""
    facts = analysis.facts.tuning
    return facts is not None and not facts.searches


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    facts = analysis.facts.tuning
    trials = plural(facts.budget if facts else 0, "trial")
    each = "cell and replicate" if facts and facts.tunings > 1 else "cell"
    return Table(
        tuple(_columns(rows, [parameter.name for parameter in facts.parameters] if facts else [])),
        f"Best hyper-parameters of every cell, selected on validation data from {trials} per {each}. As the highest of "
        "these trials, their validation accuracies are too high by chance. An edge is the "
        f"outer {100 * EDGE:.0f} % of a range beyond which the field accepts values.",
        "tuning.csv",
    )


def _columns(rows: pd.DataFrame, parameters: list[str]) -> Iterator[Column]:
    yield Column.text("cell", rows["cell"])
    if rows["replicate"].any():
        yield Column.of("replicate", formats.count, rows["replicate"])
    yield Column.of("trials", str, [f"{row.ended}/{row.budget}" for row in rows.itertuples()])
    if rows["failed"].any():
        yield Column.of("failed", str, rows["failed"])
    yield Column.of("validation accuracy, %", formats.percent, rows["val_accuracy"])
    for name in parameters:
        yield Column.of(name, value, [values.get(name) for values in rows["values"]])
    yield Column.text("at an edge", [", ".join(edges) for edges in rows["edges"]])


TABLE = ReportTable(Section.TUNING, lambda analysis: analysis.tuned, write, applies=is_tuned)
