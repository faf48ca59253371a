"""Accuracy by class, of the baseline and of the cell that is best on validation data."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.confusion import by_class
from study.report.placement import Section
from study.report.tables import captions
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import plural

MOST = 20  # classes; of more, those with the lowest accuracies


def compute(analysis: Analysis) -> pd.DataFrame:
    """In the order of the labels; of more than `MOST` classes, those that the baseline classifies worst."""
    rows = by_class(analysis.shown_cells)
    return rows if len(rows) <= MOST else rows.sort_values(["baseline", "label"]).head(MOST)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    _, *best = analysis.shown_cells or [""]
    classes = len(by_class(analysis.shown_cells))
    cut = (
        f" Of {plural(classes, 'class')}, the {MOST} with the lowest accuracies of the baseline."
        if classes > MOST
        else ""
    )
    other = f" Best cell, by mean validation accuracy: {best[0]}." if best else ""
    return Table(
        (
            Column.text("class", rows["class"]),
            Column.of("test images", formats.count, rows["images"]),
            Column.of("baseline, %", formats.percent, rows["baseline"]),
            *([Column.of("best cell, %", formats.percent, rows["best"])] if best else []),
        ),
        f"Share of the test images of each class that are classified correctly, means over replicates, without "
        f"intervals.{captions.data_set_of_images(analysis)}{other}{cut}",
        "classes.csv",
    )


TABLE = ReportTable(
    Section.TEST_IMAGES, compute, write, title="Accuracy by class", files=("tables/classes.tex",), order=20
)
