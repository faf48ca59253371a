"""Claims against a number, for other test images."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def compute(analysis: Analysis) -> pd.DataFrame:
    """With the verdict over replicates beside it."""
    verdicts = analysis.verdicts.set_index("number")["verdict"]
    return analysis.item_claims.assign(verdict=analysis.item_claims["number"].map(verdicts))


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("claim", rows["claim"]),
            Column.of("n", str, rows["n"]),
            Column.of("test images", formats.count, rows["images"]),
            Column.of("test accuracy, %", formats.percent_with, rows["mean"], rows["low"], rows["high"]),
            Column.text("for other images too", rows["other_images"]),
            Column.text("verdict, on these images", rows["verdict"]),
        ),
        "Claims on test accuracy against a number. In brackets: 95 % intervals over replicates and test images, each "
        "for one claim alone. For other images too: whether this interval is inside the region for which the claim "
        "holds (supported), outside (refuted) or neither (undecided). The verdict is that over replicates.",
    )


TABLE = ReportTable(
    Section.TEST_IMAGES,
    compute,
    write,
    title="Claims against a number, for other images",
    order=5,
    intervals=True,
)
