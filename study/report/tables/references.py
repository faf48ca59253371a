"""Published results on the study's data sets."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.reference_models import published_for
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    several = rows["data_set"].nunique() > 1
    return Table(
        (
            *([Column.text("data set", rows["data_set"])] if several else []),
            Column.text("model", rows["model"]),
            Column.text("family", rows["family"]),
            Column.of("parameters, M", formats.significant, rows["params_m"]),
            Column.of("top-1, %", formats.significant, rows["top1"], [4] * len(rows)),
            Column.text("epochs", ["" if pd.isna(epochs) else f"{epochs:.0f}" for epochs in rows["epochs"]]),
            Column.text("training", rows["training"]),
            Column.text("source", rows["source"]),
        ),
        "Published results, copied from their sources. They were not reproduced here; recipes and image sizes differ.",
    )


TABLE = ReportTable(Section.REFERENCES, lambda analysis: published_for(analysis.facts), write)
