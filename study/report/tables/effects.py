"""The effect of every level compared with the baseline's."""

from collections.abc import Iterator

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.findings import findings
from study.report import fit_sentences
from study.report.placement import Section
from study.report.tables import captions, columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats

FITTED = (
    "Few cells, or none, differ in exactly one factor, so this is the least-squares difference from the baseline's "
    "level, adjusted for the other factors, with replicates as blocks. In brackets: 95 % intervals, each for this "
    "comparison alone. p: alone and with Holm's correction for all comparisons in the table."
)


def fitted(analysis: Analysis) -> str:
    """The caption of effects that come from a fit."""
    error = fit_sentences.sentences(fit_sentences.error(analysis))
    return " ".join(filter(None, (FITTED, error, captions.finding(analysis.facts))))


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        tuple(_columns(analysis, rows)),
        "Change of test accuracy at each level, in percentage points. "
        f"{captions.tests(analysis, rows) if analysis.is_matched else fitted(analysis)}",
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
    yield from columns.error(rows)
    if analysis.is_matched:
        yield Column.of("g", formats.hundredths, rows["effect_size"])
    yield Column.text("finding", findings(rows, analysis.margin))
    yield from columns.note(rows)


TABLE = ReportTable(
    Section.EFFECTS, lambda analysis: analysis.effects, write, files=("tables/effects.tex",), intervals=True
)
