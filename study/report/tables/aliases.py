"""Effects that a fractional design confounds."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.design_notes import in_words
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table


def compute(analysis: Analysis) -> pd.DataFrame:
    """One row per chain of aliases, in letters and with factor names."""
    found = analysis.facts.aliases
    chains, letters = (found.aliased, found.letters) if found else ((), {})
    return pd.DataFrame({"aliases": list(chains), "names": [in_words(chain, letters) for chain in chains]}, dtype=str)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (Column.text("aliases", rows["aliases"]), Column.text("factors", rows["names"])),
        "Main effects and two-factor interactions that are aliased: an estimate is of their sum, with these signs.",
    )


TABLE = ReportTable(Section.DESIGN, compute, write)
