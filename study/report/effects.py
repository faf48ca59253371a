"""What each factor does: every level compared with the baseline's level, all other factors being equal.

A comparison is made within each replicate and each combination of the other factors' levels that has both levels, and
averaged over those combinations: in a `one_factor` design that is the baseline's combination alone, in a `factorial`
one all of them. Replicates then give the interval. Only like is compared with like, so excluded and unfinished cells
make an effect less certain but do not shift it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from study.report.facts import CellFacts, FactorFacts
from study.report.finding import is_distinguishable
from study.report.shares import share_difference
from study.stats.adjust import holm
from study.stats.intervals import Difference

if TYPE_CHECKING:
    from study.report.results import Results

COLUMNS = [
    *("factor", "level", "baseline", "n", "combinations"),
    *("difference", "low", "high", "sd", "p_value", "p_adjusted", "effect_size", "distinguishable"),
]

Accuracies = dict[str, dict[int, float]]  # cell -> replicate -> test accuracy
Pairs = list[tuple[str, str]]  # a cell, and the one that has the baseline's level and is otherwise equal


def effects(results: "Results") -> pd.DataFrame:
    """One row per factor and level: difference from the baseline's level with its 95 % interval, in shares.

    `n` is the number of replicates, `combinations` how many of the other factors' combinations are averaged over, `sd`
    the standard deviation of the differences over replicates. `p_adjusted` is Holm's, over all rows. `distinguishable`
    says whether the interval leaves zero out; a single replicate has no interval and tells nothing.
    `effect_size` is Hedges' g_av, in units of the spread over replicates of the two averages that are compared.
    Levels that no finished pair of trials compares have n = 0 and nan.
    """
    rows = [
        _row(factor, level.label, pairs, results.accuracies)
        for factor in results.facts.factors
        for level in factor.levels[1:]
        if (pairs := list(_pairs(results.facts.included, factor, level.label)))
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=holm(table["p_value"].to_numpy(dtype=float)))


def _pairs(cells: list[CellFacts], factor: FactorFacts, level: str) -> Iterator[tuple[str, str]]:
    by_labels = {_labels(cell.labels): cell.name for cell in cells}
    base = factor.levels[0].label
    for cell in cells:
        other = by_labels.get(_labels({**cell.labels, factor.name: base}))
        if cell.labels[factor.name] == level and other is not None:
            yield cell.name, other


def _labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _row(factor: FactorFacts, level: str, pairs: Pairs, values: Accuracies) -> dict[str, object]:
    found, combinations = _average_difference(pairs, values)
    return {
        "factor": factor.name,
        "level": level,
        "baseline": factor.levels[0].label,
        "n": found.n,
        "combinations": combinations,
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "sd": found.sd,
        "p_value": found.p_value,
        "effect_size": found.effect_size,
        "distinguishable": is_distinguishable(found.low, found.high),
    }


def _average_difference(pairs: Pairs, values: Accuracies) -> tuple[Difference, int]:
    """Averaged over pairs within each replicate, then over replicates; and how many pairs have both sides."""
    ours: dict[int, list[float]] = {}
    theirs: dict[int, list[float]] = {}
    compared = 0
    for cell, other in pairs:
        both = values[cell].keys() & values[other].keys()
        compared += bool(both)
        for replicate in both:
            ours.setdefault(replicate, []).append(values[cell][replicate])
            theirs.setdefault(replicate, []).append(values[other][replicate])
    return share_difference(_means(ours), _means(theirs)), compared


def _means(values: dict[int, list[float]]) -> dict[int, float]:
    return {replicate: sum(found) / len(found) for replicate, found in values.items()}
