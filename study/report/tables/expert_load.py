"""How evenly tokens are distributed over experts."""

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.expert_load import by_cell
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats


def compute(analysis: Analysis) -> pd.DataFrame:
    """One row per cell with routing."""
    return by_cell(analysis.expert_load)


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("n", str, rows["n"]),
            Column.of("blocks with experts", str, rows["blocks"]),
            Column.of("variation, mean", formats.significant, rows["variation"]),
            Column.of("variation, worst block", formats.significant, rows["worst"]),
            Column.text("worst block", rows["worst_block"]),
            Column.of("busiest expert", formats.significant, rows["busiest"]),
            Column.of("idle experts", formats.significant, rows["idle"]),
        ),
        "Expert load, means over replicates. Variation: coefficient of variation of the shares in a block (0: even). "
        "Busiest expert: its load in even shares. Idle experts: number with less than a tenth of an even share.",
        "figures/expert_load.csv",
    )


TABLE = ReportTable(Section.EXPERT_LOAD, compute, write)
