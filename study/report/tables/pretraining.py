"""Cells that differ only in their pre-training."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.pretraining import comparable
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("set", rows["group"]),
            Column.text("pre-training", rows["kind"]),
            Column.text("pre-trained on", [name or formats.NONE for name in rows["pretrain_dataset"]]),
            Column.text("fine-tuned on", rows["finetune_dataset"]),
            Column.text("cell", rows["cell"]),
            Column.of("n", str, rows["n"]),
            columns.accuracy(rows),
            columns.difference(rows),
            *columns.p_values(rows),
            *columns.error(rows.rename(columns={"difference_df": "df"})),
            *columns.note(rows),
        ),
        "Sets of cells that differ only in their pre-training; differences are from the first cell of the set. "
        f"{captions.errors(analysis, rows)}",
    )


TABLE = ReportTable(
    Section.PRETRAINING,
    lambda analysis: analysis.pretraining,
    write,
    applies=lambda analysis: bool(len(comparable(analysis.pretraining))),
    intervals=True,
)
