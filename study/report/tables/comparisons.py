"""Every cell compared with the baseline."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.differences import COLUMNS, FROM_REFERENCE
from study.analysis.findings import findings
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def compute(analysis: Analysis) -> pd.DataFrame:
    """All cells that are compared with another: the baseline, or its counterpart on the same data set."""
    return analysis.cells[analysis.cells["reference"] != ""]


def adds_to_effects(analysis: Analysis) -> bool:
    """Whether some cell changes several factors; otherwise the table of effects has the same rows."""
    return any(len(cell.changed) > 1 for cell in analysis.facts.included)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    tested = rows[list(FROM_REFERENCE)].set_axis(list(COLUMNS), axis="columns")
    several = rows["reference"].nunique() > 1
    return Table(
        (
            Column.text("cell", rows["cell"]),
            *([Column.text("compared with", rows["reference"])] if several else []),
            Column.of("n", str, rows["pairs"]),
            columns.difference(rows),
            *columns.p_values(rows),
            *columns.error(tested),
            Column.of("g", formats.hundredths, rows["effect_size"]),
            Column.text("finding", findings(tested, analysis.margin)),
            *columns.note(rows),
        ),
        f"Test accuracy of every cell minus the baseline's, in percentage points. {_on_its_data_set(analysis)}"
        f"{captions.tests(analysis, rows)}",
        "cells.csv",
    )


def _on_its_data_set(analysis: Analysis) -> str:
    return "" if analysis.data_sets is None else f"{captions.ON_ITS_DATA_SET} "


TABLE = ReportTable(
    Section.COMPARISONS,
    compute,
    write,
    title="Every cell compared with the baseline",
    applies=adds_to_effects,
    files=("tables/comparisons.tex",),
    intervals=True,
)
