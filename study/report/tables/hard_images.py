"""The test images that are most often wrong, over all trials."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.hard_images import hard_images
from study.report.placement import Section
from study.report.tables import captions
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import plural

MOST = 10  # images


def compute(analysis: Analysis) -> pd.DataFrame:
    """Those that are wrong in any trial, at most `MOST`."""
    return hard_images(analysis.results, analysis.predicted).query("wrong > 0").head(MOST)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.of("image", str, rows["index"]),
            Column.text("class", rows["class"]),
            Column.text("most often taken for", rows["wrong_class"]),
            Column.of("wrong in", formats.count, rows["wrong"]),
            Column.of("of trials", formats.count, rows["trials"]),
        ),
        "Test images that most trials classify wrongly; image: position in the test split, from 0. "
        f"{_counts(analysis)}{captions.data_set_of_images(analysis)}",
        "hard_images.csv",
    )


def _counts(analysis: Analysis) -> str:
    rows = hard_images(analysis.results, analysis.predicted)
    if rows.empty:
        return "No predictions are available."
    wrong, trials = rows["wrong"], int(rows["trials"].iloc[0])
    every, none = int((wrong == trials).sum()), int((wrong == 0).sum())
    return (
        f"Of {plural(len(rows), 'image')}, wrong in each of {plural(trials, 'trial')}: {every:,}; in some: "
        f"{len(rows) - every - none:,}; in none: {none:,}."
    )


TABLE = ReportTable(Section.TEST_IMAGES, compute, write, title="Images that are most often wrong", order=40)
