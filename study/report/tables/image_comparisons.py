"""Every cell compared with the baseline image by image, with an error over replicates and test images."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    several = rows["reference"].nunique() > 1
    against = "its reference" if several else "the baseline"
    return Table(
        (
            Column.text("cell", rows["cell"]),
            *([Column.text("compared with", rows["reference"])] if several else []),
            Column.of("n", str, rows["n"]),
            Column.of("only the cell right", formats.significant, rows["gained"]),
            Column.of(f"only {against} right", formats.significant, rows["lost"]),
            Column.of("difference, points", formats.points_with, rows["difference"], rows["low"], rows["high"]),
            *columns.p_values(rows),
            *columns.note(rows),
        ),
        f"Test images that only one of two cells classifies correctly: the cell, or {against}; means over n common "
        "replicates. In brackets: 95 % intervals of the difference of accuracies, for other seeds and other test "
        "images. Their error has a component of replicates and one of images (crossed, after McNemar 1947 and Gallas "
        "et al. 2009), and they contain the interval over replicates alone. p: the larger one of a test with this "
        "error and of the paired t-test; alone and with Holm's correction for this table. image_comparisons.csv has "
        "the numbers of each replicate.",
        "image_comparisons.csv",
    )


TABLE = ReportTable(
    Section.TEST_IMAGES,
    lambda analysis: analysis.image_comparisons,
    write,
    title="Cells compared image by image",
    files=("tables/image_comparisons.tex",),
    order=10,
    intervals=True,
)
