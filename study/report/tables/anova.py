"""Analysis of variance: the share of each factor and interaction."""

from collections.abc import Mapping

import pandas as pd

from study.analysis import factorial
from study.analysis.analysis import Analysis
from study.report import fit_sentences
from study.report.placement import Section
from study.report.tables import columns
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    aliases = factorial.aliases(analysis.facts)
    notes = [_note(row, aliases) for _, row in rows.iterrows()]
    return Table(
        (
            Column.text("term", [_term(row) for _, row in rows.iterrows()]),
            Column.of("df", formats.count, rows["df"]),
            Column.of("sum of squares, points²", formats.significant, 1e4 * rows["ss"]),
            Column.of("eta squared, %", formats.percent, rows["eta_squared"]),
            Column.of("omega squared, %", formats.percent, rows["omega_squared"]),
            Column.of("F", formats.significant, rows["f"]),
            *columns.p_values(rows),
            *([Column.text("note", notes)] if any(notes) else []),
        ),
        "Analysis of variance of test accuracy: type II sums of squares, replicates as blocks, p alone and with Holm's "
        "correction for all factors and interactions. Eta squared is the share of the variance between trials "
        "(replicates excluded); omega squared is the same minus what is expected from chance alone. "
        f"{_fit_notes(analysis)}".rstrip(),
    )


def _term(row: pd.Series) -> str:
    return {"replicate": "replicates", "error": "chance (error)"}.get(row["kind"], str(row["term"]))


def _note(row: pd.Series, aliases: Mapping[str, str]) -> str:
    """Why a term cannot be estimated, by the design's alias table if it has one."""
    if row["df"] == 0 and row["term"] in aliases:
        return f"aliased with {aliases[row['term']]}"
    return str(row["note"])


def _fit_notes(analysis: Analysis) -> str:
    """The error and the fit's own notes, as sentences."""
    return (
        fit_sentences.sentences([*fit_sentences.error(analysis), *analysis.fit.notes]) if analysis.is_factorial else ""
    )


TABLE = ReportTable(
    Section.INTERACTIONS, lambda analysis: analysis.anova, write, order=5, files=("tables/anova.tex",), intervals=True
)
