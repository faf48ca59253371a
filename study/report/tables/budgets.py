"""What the sides of claims and all cells were given: sizes, training compute, and images seen in training."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.budgets import DIFFERENT
from study.analysis.facts import TuningFacts
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import plural


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    claims = rows["claim"].notna()
    notes = rows["note"].where(rows["note"] != "", formats.NONE).where(rows["side"] == "cells", "")
    return Table(
        (
            *([Column.text("claim", [_claim(row) for _, row in rows.iterrows()])] if claims.any() else []),
            Column.text("cell", rows["cell"]),
            Column.of("parameters", formats.short, rows["params"]),
            Column.of("active", formats.short, rows["params_active"]),
            Column.of("multiply-adds", formats.short, rows["macs"]),
            Column.of("training compute", formats.short, rows["training_macs"]),
            Column.of("images, pre-training", formats.short, rows["pretrain_images"]),
            Column.of("images, fine-tuning", formats.short, rows["finetune_images"]),
            *([Column.text("cells against the others", notes)] if claims.any() else []),
        ),
        _caption(analysis, bool(claims.any())),
        "budgets.csv",
    )


def _claim(row: pd.Series) -> str:
    return "" if pd.isna(row["claim"]) else f"{row['claim']}, {row['side']}"


def _tuned(facts: TuningFacts) -> str:
    if facts.tunings == 1:
        return "cell are not included"
    return "replicate of every cell are not included; the hyper-parameters are those of the first replicate"


def _caption(analysis: Analysis, claims: bool) -> str:
    facts = analysis.facts.tuning
    tuned = facts is not None and not facts.searches
    sides = (
        "First the two sides of each claim, as means over their cells, with measures that differ by more than "
        f"{100 * DIFFERENT:.0f} %; then every cell. "
    )
    trials = f" The {plural(facts.budget, 'tuning trial')} of every {_tuned(facts)}." if facts and tuned else ""
    return (
        f"What each cell was given, for one replicate. {sides if claims else ''}Multiply-adds are those of one image's "
        "forward pass; training compute is in multiply-adds, three forward passes for every image shown (of a linear "
        "probe: one of the frozen encoder, three of the head), evaluation not included. Images are those shown in "
        f"training, over all epochs. A pre-training that several cells share counts in full for each of them.{trials}"
    )


TABLE = ReportTable(
    Section.COMPARISONS,
    lambda analysis: analysis.budgets,
    write,
    order=90,
    title="Budgets",
    files=("tables/budgets.tex",),
)
