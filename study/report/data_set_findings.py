"""Findings of studies on several data sets: claims and effects on each, and methods ranked over all."""

import itertools
from collections.abc import Iterator

import pandas as pd

from study.analysis.analysis import Analysis
from study.analysis.data_set_methods import Methods
from study.analysis.findings import ALPHA
from study.analysis.stats.ranks import Ranking
from study.design.metrics import unit_of
from study.report.answer import Answer
from study.utils import formats
from study.utils.text import plural

MOST = 6  # levels, methods or pairs listed one by one
FEW = 5  # data sets: with fewer, a test of ranks detects little (`nox -s calibrate`)


def claims(analysis: Analysis) -> Iterator[Answer]:
    """The verdict on each data set, for claims with cells on several."""
    rows = analysis.data_set_verdicts
    for (number, claim), own in rows.groupby(["number", "claim"], sort=False):
        overall = analysis.verdicts[analysis.verdicts["number"] == number].iloc[0]
        listed = "; ".join(_on_one(row) for _, row in own.iterrows())
        name = f"\N{LEFT DOUBLE QUOTATION MARK}{claim}\N{RIGHT DOUBLE QUOTATION MARK}"
        yield Answer(
            f"Claim {name} by data set",
            f"{listed}. The verdict over all, {overall['verdict']}, is about the mean of the differences of all "
            "matched sets of cells, with equal weights. P-values of single data sets are adjusted among themselves "
            f"({plural(len(rows), 'row')}).",
        )


def _on_one(row: pd.Series) -> str:
    text, unit = f"{row['data_set']}: {row['verdict']}", unit_of(row["metric"])
    if pd.isna(row["estimate"]):
        return f"{text}, not compared yet"
    interval = f"{unit.signed(row['low'])} to {unit.signed(row['high'])}, " if row["low"] < row["high"] else ""
    return f"{text}, {unit.signed(row['estimate'])} {unit.name} ({interval}n = {row['n']})"


def effects(analysis: Analysis) -> Iterator[Answer]:
    """How far the effect of a level differs between data sets."""
    found = analysis.data_sets
    if found is None:
        return
    names = ", ".join(one.name for one in found.sets)
    text = f"{len(found.sets)} ({names}), set by {found.factor}; cells are compared within each."
    rows = analysis.data_set_effects
    ranges = [_range(own) for _, own in rows[rows["n"] > 0].groupby(["factor", "level"], sort=False) if len(own) > 1]
    if ranges:
        more = f"; {len(ranges) - MOST} more in the table" if len(ranges) > MOST else ""
        text += f" Estimated change of accuracy by data set, chance included: {'; '.join(ranges[:MOST])}{more}."
    yield Answer("Data sets", text)


def _range(own: pd.DataFrame) -> str:
    order = own.sort_values("difference", kind="stable")
    ends = (f"{formats.points(row['difference'])} ({row['data_set']})" for _, row in order.iloc[[0, -1]].iterrows())
    return f"{order.iloc[0]['factor']}={order.iloc[0]['level']} from {' to '.join(ends)} points"


def methods(analysis: Analysis) -> Iterator[Answer]:
    """Mean ranks over data sets, and whether the methods can be told apart."""
    found = analysis.methods
    if found.ranking is None:
        return
    order = found.table.sort_values("mean_rank", kind="stable")
    listed = [f"{row['method']} ({formats.hundredths(row['mean_rank'])})" for _, row in order.head(MOST).iterrows()]
    more = f"; and {len(order) - MOST} more" if len(order) > MOST else ""
    size = f"{len(order)} methods on {plural(found.means.shape[1], 'data set')}"
    yield Answer("Mean ranks over data sets", f"{size}: {'; '.join(listed)}{more}. {tested(found)}")


def tested(found: Methods) -> str:
    """The result of the test of ranks, or why there is none, as sentences."""
    ranking, data_sets = found.ranking, found.means.shape[1]
    assert ranking is not None
    if not found.is_tested:
        return f"No test: {found.failed}."
    if ranking.least_p_value > ALPHA:
        return f"No test: {data_sets} data sets that agree completely would not be distinguishable from chance."
    p_value = formats.p_value(ranking.p_value)
    verdict = f"Friedman's test: p {p_value if p_value[0] == '<' else f'= {p_value}'}."
    failed = f" {found.failed}." if found.failed else ""
    few = f" With fewer than {FEW} data sets it detects little." if data_sets < FEW else ""
    return f"{verdict}{failed}{few}{_pairs(found, ranking) if ranking.p_value <= ALPHA else ''}"


def _pairs(found: Methods, ranking: Ranking) -> str:
    """The pairs of methods that differ by at least the critical difference."""
    ranks = dict(zip(found.table["method"], ranking.mean_ranks, strict=True))
    apart = [
        f"{one} and {other}"
        for one, other in itertools.combinations(ranks, 2)
        if abs(ranks[one] - ranks[other]) >= ranking.critical_difference
    ]
    critical = formats.hundredths(ranking.critical_difference)
    if not apart:
        return f" No two methods differ by Nemenyi's critical difference of {critical} ranks."
    more = f"; and {len(apart) - MOST} more pairs" if len(apart) > MOST + 1 else ""
    listed = "; ".join(apart[: MOST if more else None])
    return f" Distinguishable by Nemenyi's critical difference of {critical} ranks: {listed}{more}."
