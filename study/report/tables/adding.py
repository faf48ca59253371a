"""What each part is worth in the full and in the bare model."""

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
            Column.text("part", rows["part"]),
            Column.text("levels", map("{} / {}".format, rows["with"], rows["without"])),
            Column.of("n", str, rows["n"]),
            _gain(rows, "full"),
            _gain(rows, "bare"),
            Column.of("full minus bare, points", formats.points_with, rows["difference"], rows["low"], rows["high"]),
            *columns.p_values(rows),
            *columns.error(rows),
            Column.text("finding", findings(rows, analysis.margin)),
            *columns.note(rows),
        ),
        "What each part is worth, in percentage points of test accuracy: the full model minus the full model without "
        "the part, and the bare model with the part minus the bare model. Levels: with / without the part. The "
        "difference of the two is the part's interaction with all other parts; p and the finding are about this "
        f"difference. {captions.errors(analysis, rows)} {captions.finding(analysis.facts)}",
    )


def _gain(rows: pd.DataFrame, end: str) -> Column:
    numbers = (rows[f"{end}_gain"], rows[f"{end}_low"], rows[f"{end}_high"])
    return Column.of(f"in the {end} model, points", formats.points_with, *numbers)


def has_gain(analysis: Analysis) -> bool:
    """Whether any part has a result in the full or the bare model."""
    return bool((analysis.add_vs_remove[["full_n", "bare_n"]] > 0).any(axis=None))


TABLE = ReportTable(
    Section.ADD_VS_REMOVE,
    lambda analysis: analysis.add_vs_remove,
    write,
    applies=has_gain,
    files=("tables/adding.tex",),
    intervals=True,
)
