"""Size, latency and accuracy of each cell's exported model."""

import pandas as pd

from study.analysis import validation_bias
from study.analysis.analysis import Analysis
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import points


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    kept = rows["fp32_accuracy"] - rows["int8_accuracy"] <= rows["tolerance"] + 1e-12
    tolerances = [points(value) for value in sorted(set(rows["tolerance"]))]
    return Table(
        (
            Column.text("cell", rows["cell"]),
            Column.of("float32 file", formats.megabytes, rows["fp32_bytes"]),
            Column.of("int8 file", formats.megabytes, rows["int8_bytes"]),
            Column.of("float32, ms", formats.significant, rows["fp32_ms"]),
            Column.of("int8, ms", formats.significant, rows["int8_ms"]),
            Column.of("float32 validation, %", formats.percent, rows["fp32_accuracy"]),
            Column.of("int8 validation, %", formats.percent, rows["int8_accuracy"]),
            Column.text("int8 keeps accuracy", ["yes" if keeps else "no" for keeps in kept]),
            Column.text("processor", rows["processor"]),
        ),
        "File sizes and median latencies in milliseconds (one image, one core) of one replicate of each cell. int8 "
        f"keeps the accuracy if it loses at most {' or '.join(tolerances)} of validation "
        f"accuracy.{validation_bias.sentence(analysis.facts)}",
    )


TABLE = ReportTable(Section.DEVICE, lambda analysis: analysis.results.device, write)
