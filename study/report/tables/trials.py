"""Every trial, with the keys of its stages and its MLflow run."""

import pandas as pd

from study.analysis import validation_bias
from study.analysis.analysis import Analysis
from study.analysis.short_keys import KEY_DIGITS
from study.report.mixed_provenance import short_commit
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

RUN_DIGITS = 8  # of an MLflow run id


def compute(analysis: Analysis) -> pd.DataFrame:
    """All trials, without excluded cells."""
    trials = analysis.results.trials
    return trials[trials["status"] != "excluded"]


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    columns = [
        Column.text("cell", rows["cell"]),
        Column.of("replicate", formats.count, rows["replicate"]),
        Column.text("status", rows["status"]),
        Column.of("test accuracy, %", formats.percent, rows["test_accuracy"]),
        Column.of("validation accuracy, %", formats.percent, rows["val_accuracy"]),
        Column.of("fine-tuning time", formats.duration, rows["train_seconds"]),
        Column.of("pre-training time", formats.duration, rows["pretrain_seconds"]),
        Column.text("key", rows["key"].str[:KEY_DIGITS]),
        Column.text("pre-training key", rows["pretrain_key"].str[:KEY_DIGITS]),
        Column.text("run", rows["run_id"].str[:RUN_DIGITS]),
    ]
    if rows["commit"].nunique() > 1:
        columns.append(Column.text("commit", [short_commit(commit) for commit in rows["commit"]]))
    if rows["code"].nunique() > 1:
        columns.append(Column.text("code", rows["code"]))
    marks = validation_bias.sentence(analysis.facts) if rows["val_accuracy"].notna().any() else ""
    kept = [column for column in columns if any(text not in ("", formats.NONE) for text in column.values)]
    return Table(tuple(kept), f"All trials. Full keys, run ids and levels are in results.csv.{marks}", "results.csv")


TABLE = ReportTable(Section.TRIALS, compute, write, applies=lambda analysis: True)
