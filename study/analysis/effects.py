"""What each factor does: every level compared with the baseline's level, all other factors being equal.

A comparison is made within each replicate and each combination of the other factors' levels that has both levels, and
averaged over those combinations: in a `one_factor` design that is the baseline's combination alone, in a `factorial`
one all of them. Replicates then give the interval. Only like is compared with like, so excluded and unfinished cells
make an effect less certain but do not shift it.

A design that runs a part of a product (fractional, sampled) has few cells that differ in one factor alone, or none.
Its effects come from the least-squares fit of all cells instead, adjusted for the other factors.
"""

import math
from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.accuracy_intervals import share_difference
from study.analysis.factorial import is_factorial
from study.analysis.facts import FactorFacts, StudyFacts
from study.analysis.findings import is_distinguishable
from study.analysis.stats.adjust import holm
from study.analysis.stats.intervals import Difference

if TYPE_CHECKING:
    from study.analysis.results import Results

COLUMNS = [
    *("factor", "level", "baseline", "n", "combinations"),
    *("difference", "low", "high", "sd", "p_value", "p_adjusted", "effect_size", "distinguishable", "note"),
]

Accuracies = dict[str, dict[int, float]]  # cell -> replicate -> test accuracy
Pairs = list[tuple[str, str]]  # a cell, and the one that has the baseline's level and is otherwise equal


def effects(results: "Results") -> pd.DataFrame:
    """One row per factor and level: difference from the baseline's level with its 95 % interval, in shares.

    `n` is the number of replicates, `combinations` how many of the other factors' combinations are averaged over, `sd`
    the standard deviation of the differences over replicates. `p_adjusted` is Holm's, over all rows. `distinguishable`
    says whether the interval leaves zero out; a single replicate has no interval and tells nothing.
    `effect_size` is Hedges' g_av, in units of the spread over replicates of the two averages that are compared.
    In effects from the fit, `combinations` counts the cells that have the level, and `sd` is what would give the same
    95 % interval to n paired differences; `effect_size` is nan;
    `note` says what the design cannot tell the effect from (its aliases).
    Levels that no finished pair of trials compares have n = 0 and nan.
    """
    if not is_matched(results.facts):
        return _adjusted(results)
    pairs_of = matches(results.facts)
    rows = [
        _row(factor, level.label, pairs, results.accuracies)
        for factor in results.facts.factors
        for level in factor.levels[1:]
        if (pairs := pairs_of[factor.name, level.label])
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=holm(table["p_value"].to_numpy(dtype=float)))


def is_matched(facts: StudyFacts) -> bool:
    """Whether at least half of the cells at every level have a counterpart with the baseline's level."""
    if not is_factorial(facts):
        return True
    at_level = Counter(level for cell in facts.included for level in cell.labels.items())
    return all(2 * len(pairs) >= at_level[level] for level, pairs in matches(facts).items())


def _adjusted(results: "Results") -> pd.DataFrame:
    """The same table from the fit."""
    baseline = {factor.name: factor.levels[0].label for factor in results.facts.factors}
    found = results.fit.effects
    done = results.done[results.done["test_accuracy"].notna()]
    rows = []
    for _, row in found[found["level"] != found["factor"].map(baseline)].iterrows():
        own = done[done[row["factor"]] == row["level"]]
        n = int(own["replicate"].nunique()) if pd.notna(row["difference"]) else 0
        half = (row["difference_high"] - row["difference_low"]) / 2
        rows.append(
            {
                "factor": row["factor"],
                "level": row["level"],
                "baseline": baseline[row["factor"]],
                "n": n,
                "combinations": int(own["cell"].nunique()),
                "difference": row["difference"],
                "low": max(row["difference_low"], -1.0),
                "high": min(row["difference_high"], 1.0),
                "sd": _sd_of(half, n),
                "p_value": row["p_value"],
                "p_adjusted": row["p_adjusted"],
                "effect_size": float("nan"),
                "distinguishable": is_distinguishable(row["difference_low"], row["difference_high"]),
                "note": row["note"],
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _sd_of(half: float, n: int) -> float:
    """The standard deviation of which n paired differences would have a 95 % interval of that half width."""
    return half * math.sqrt(n) / float(stats.t.isf(0.025, n - 1)) if n > 1 else float("nan")


def matches(facts: StudyFacts) -> dict[tuple[str, str], Pairs]:
    """By factor and level (not the baseline's): its cells, each with the one to compare it with."""
    by_labels = {_labels(cell.labels): cell.name for cell in facts.included}
    found: dict[tuple[str, str], Pairs] = {}
    for factor in facts.factors:
        base = factor.levels[0].label
        found |= {(factor.name, level.label): [] for level in factor.levels[1:]}
        for cell in facts.included:
            other = by_labels.get(_labels({**cell.labels, factor.name: base}))
            if other is not None and other != cell.name:
                found[factor.name, cell.labels[factor.name]].append((cell.name, other))
    return found


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
        "note": "",
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
