"""A table of the report: its numbers, how they are written, and where it is shown."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from study.analysis.analysis import Analysis
from study.report.coverage import after_stopping
from study.report.placement import Section
from study.report.tables.table import Table


@dataclass(frozen=True)
class ReportTable:
    """`compute` gives the rows; `write` turns them into text columns with a caption.

    section  where it is shown in the notebook and page; None: only written to `files`
    order    position within the section, lowest first (plots default to 10, tables to 20)
    title    heading above the table, if the section's own heading is not enough
    applies  whether a study has it; by default, whether it has any rows
    intervals  whether it has 95 % intervals or tests that allow for a fixed number of replicates only
    files    files written besides, relative to the report's folder: .md as Markdown, .tex as LaTeX
    """

    section: Section | None
    compute: Callable[[Analysis], pd.DataFrame]
    write: Callable[[Analysis, pd.DataFrame], Table]
    order: int = 20
    title: str = ""
    applies: Callable[[Analysis], bool] | None = None
    files: tuple[str, ...] = ()
    intervals: bool = False

    def is_shown(self, analysis: Analysis) -> bool:
        """Whether the report of this study shows the table."""
        return bool(len(self.compute(analysis))) if self.applies is None else self.applies(analysis)

    def table(self, analysis: Analysis) -> Table:
        """The table as text."""
        made = self.write(analysis, self.compute(analysis))
        mark = after_stopping(analysis.facts) if self.intervals else ""
        return replace(made, caption=f"{made.caption} {mark}".rstrip())
