"""Provenance: which stages ran where, by which code."""

from collections.abc import Hashable, Iterator, Mapping

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.facts import Origin
from study.report.mixed_provenance import short_commit
from study.report.placement import Section
from study.report.tables.report_table import ReportTable
from study.report.tables.table import Column, Table
from study.utils import formats
from study.utils.text import minute

MOST_CELLS = 5  # listed in a row


def compute(analysis: Analysis) -> pd.DataFrame:
    """One row per group of stages with the same provenance."""
    return pd.DataFrame([dict(origin) for origin in analysis.facts.origins], columns=list(Origin.model_fields))


def write(analysis: Analysis, rows: pd.DataFrame) -> Table:
    return Table(tuple(_columns(rows)), "Finished stages by commit, code, device and versions.")


def _columns(rows: pd.DataFrame) -> Iterator[Column]:
    yield Column.text("commit", [short_commit(commit) for commit in rows["commit"]])
    if any(rows["code"]):
        yield Column.text("version", [version or formats.NONE for version in rows["version"]])
        yield Column.text("code", [code or formats.NONE for code in rows["code"]])
    yield Column.text("device", rows["device"])
    yield Column.text("system", [_system(row) for row in rows.to_dict("records")])
    yield Column.text("threads", [formats.NONE if pd.isna(threads) else int(threads) for threads in rows["threads"]])
    yield Column.of("stages", formats.count, rows["stages"])
    yield Column.of("training time", formats.duration, rows["seconds"])
    yield Column.text("from (UTC)", [minute(time) for time in rows["first"]])
    yield Column.text("to (UTC)", [minute(time) for time in rows["last"]])
    yield Column.text("versions", [_versions(versions) for versions in rows["versions"]])
    if len(rows) > 1:
        yield Column.text("cells", [_listed(cells) for cells in rows["cells"]])


def _system(row: Mapping[Hashable, str]) -> str:
    """As `Linux x86_64, AVX2, mkl`."""
    return ", ".join(filter(None, (row["platform"], row["instruction_set"], row["blas"])))


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in sorted(versions, key=lambda name: (name != "python", name)))


def _listed(names: tuple[str, ...]) -> str:
    more = f"; and {len(names) - MOST_CELLS} more" if len(names) > MOST_CELLS else ""
    return "; ".join(names[:MOST_CELLS]) + more


TABLE = ReportTable(Section.PROVENANCE, compute, write)
