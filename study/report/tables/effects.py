"""The effect of every level compared with the baseline's."""

from collections.abc import Iterator

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import StudyFacts
from study.analysis.findings import findings
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

FITTED = (
    "Few cells, or none, differ in exactly one factor, so this is the least-squares difference from the baseline's "
    "level, adjusted for the other factors. In brackets: 95 % intervals from the error common to all cells, with "
    "replicates as blocks, each for this comparison alone. p: alone and with Holm's correction for all comparisons in "
    "the table."
)


def fitted(facts: StudyFacts) -> str:
    """The caption of effects that come from a fit."""
    return f"{FITTED} {captions.finding(facts)}"


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        tuple(_columns(analysis, rows)),
        "Change of test accuracy at each level, in percentage points. "
        f"{captions.tests(analysis.facts) if analysis.is_matched else fitted(analysis.facts)}",
        "figures/effects.csv",
    )


def _columns(analysis: Analysis, rows: pd.DataFrame) -> Iterator[Column]:
    yield Column.text("factor", rows["factor"])
    yield Column.text("level", rows["level"])
    yield Column.text("compared with", rows["baseline"])
    yield Column.of("n", str, rows["n"])
    if (rows["combinations"] > 1).any():
        yield Column.of("combinations" if analysis.is_matched else "cells", str, rows["combinations"])
    yield Column.of("difference, points", formats.points_with, rows["difference"], rows["low"], rows["high"])
    yield from columns.p_values(rows)
    if analysis.is_matched:
        yield Column.of("g", formats.hundredths, rows["effect_size"])
    yield Column.text("finding", findings(rows, analysis.margin))
    if rows["note"].str.len().any():
        yield Column.text("note", rows["note"])


TABLE = ReportTable(
    Section.EFFECTS, lambda analysis: analysis.effects, write, files=("tables/effects.tex",), intervals=True
)
