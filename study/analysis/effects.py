"""The effect of each factor: every level compared with the baseline's level, all other factors being equal.

Matched comparison: within each replicate and each combination of the other factors' levels that has both levels,
averaged over the combination's replicates, then over the combinations (`study.analysis.stats.matched_sets`). A
`one_factor` design has one such combination, the baseline's; a `factorial` design has all of them. The error is chosen
as that of claims (`study.analysis.stats.error_choice`). A missing result widens the interval. If a combination has no
common replicate, the effect is that of the others, which its note names, and it is not tested.

A design that runs part of a product (fractional, sampled) has few cells that differ in exactly one factor, or none.
Its effects come from the least-squares fit of all cells instead, adjusted for the other factors.
"""

import math
from collections import Counter

import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from study.analysis import differences
from study.analysis.data_sets import data_sets_of
from study.analysis.factorial import is_factorial
from study.analysis.facts import FactorFacts, StudyFacts
from study.analysis.results import Results
from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.effects import Effects
from study.analysis.stats.families import Adjustment, Tested
from study.analysis.stats.fit_error import Source
from study.analysis.stats.intervals import standardised
from study.analysis.stats.matched_sets import average

COLUMNS = [
    *("factor", "level", "baseline", "n", "combinations"),
    *("difference", "low", "high", "sd", "p_value", "p_adjusted", "error", "df", "adjustment", "effect_size", "note"),
]

Accuracies = dict[str, dict[int, float]]  # cell -> replicate -> test accuracy
Pairs = list[tuple[str, str]]  # a cell, and the cell with the baseline's level that is otherwise equal


def matched(results: Results) -> pd.DataFrame:
    """One row per factor and level: difference from the baseline's level with its 95 % interval, in shares.

    `combinations` counts the other factors' combinations that are averaged over; `study.analysis.differences` has the
    other columns. `effect_size` is Hedges' g_av, in units of the mean SD over replicates of the two averages that are
    compared. Levels without a finished pair of trials have n = 0 and nan.
    """
    found = matches(results.facts)
    compared = [
        (factor, level.label, pairs)
        for factor in results.facts.factors
        for level in factor.levels[1:]
        if (pairs := found.get((factor.name, level.label)))
    ]
    family = differences.family(results, [pairs for *_, pairs in compared])
    rows = [_row(factor, label, tested, results) for (factor, label, _), tested in zip(compared, family, strict=True)]
    return pd.DataFrame(rows, columns=COLUMNS)


def is_matched(facts: StudyFacts) -> bool:
    """Whether at least half of the cells at every level have a counterpart with the baseline's level."""
    if not is_factorial(facts):
        return True
    at_level = Counter(level for cell in facts.included for level in cell.labels.items())
    return all(2 * len(pairs) >= at_level[level] for level, pairs in matches(facts).items())


def fitted(results: Results, fit: Effects) -> pd.DataFrame:
    """The same table from the least-squares fit.

    `combinations` counts the cells that have the level; `sd` is the standard error times the root of n, nan where the
    error includes lack of fit, which more replicates do not reduce; `effect_size` is nan; `note` names the effects that
    are aliased with this one.
    """
    baseline = {factor.name: factor.levels[0].label for factor in results.facts.factors}
    compared = matches(results.facts).keys()
    found = fit.effects
    counted = results.counted[results.counted["test_accuracy"].notna()]  # as in the fit
    lacks_fit = fit.error is not None and fit.error.source is Source.BETWEEN
    rows = []
    for _, row in found.iterrows():
        if (row["factor"], row["level"]) not in compared:  # the baseline's level, or on another data set
            continue
        own = counted[counted[row["factor"]] == row["level"]]
        n = int(min(own["replicate"].nunique(), row["replicates"])) if pd.notna(row["difference"]) else 0
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
                "sd": math.nan if lacks_fit else _sd_of(half, n, row["df"]),
                "p_value": row["p_value"],
                "p_adjusted": row["p_adjusted"],
                "error": "fit",
                "df": row["df"],
                "adjustment": "" if math.isnan(row["p_value"]) else Adjustment.HOLM.value,
                "effect_size": float("nan"),
                "note": row["note"],
            }
        )
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_adjusted=holm(table["p_value"].to_numpy(dtype=float)))  # over the rows that are left


def _sd_of(half: float, n: int, df: float) -> float:
    """The standard error, from half of a 95 % interval, times the root of n: as of differences over n replicates."""
    return half * math.sqrt(n) / float(stats.t.isf(0.025, df)) if df > 0 else math.nan


def matches(facts: StudyFacts) -> dict[tuple[str, str], Pairs]:
    """By factor and level (other than the baseline's): its cells, each with the cell to compare it with.

    Levels on another data set than the baseline's level are left out: their accuracies are of other images.
    """
    on_others = _on_other_data_sets(facts)
    by_labels = {_labels(cell.labels): cell.name for cell in facts.included}
    found: dict[tuple[str, str], Pairs] = {}
    for factor in facts.factors:
        base = factor.levels[0].label
        levels = {(factor.name, level.label) for level in factor.levels[1:]} - on_others
        found |= {(factor.name, level.label): [] for level in factor.levels if (factor.name, level.label) in levels}
        for cell in facts.included:
            other = by_labels.get(_labels({**cell.labels, factor.name: base}))
            if other is not None and (factor.name, cell.labels[factor.name]) in levels:
                found[factor.name, cell.labels[factor.name]].append((cell.name, other))
    return found


def _on_other_data_sets(facts: StudyFacts) -> set[tuple[str, str]]:
    """Factor and level, of the levels that are on another data set than the baseline's."""
    found = data_sets_of(facts)
    return {(found.factor, label) for one in found.sets[1:] for label in one.levels} if found else set()


def _labels(labels: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def _row(factor: FactorFacts, level: str, found: Tested[str], results: Results) -> dict[str, object]:
    return {
        "factor": factor.name,
        "level": level,
        "baseline": factor.levels[0].label,
        "combinations": found.contrast.sets,
        "effect_size": _effect_size(found.contrast, results.accuracies),
        **differences.columns(found),
    }


def _effect_size(made: Contrast[str], values: Accuracies) -> float:
    """Hedges' g_av, from the standard deviations of the two averages over cells."""
    mean_of = {
        side: average(
            [
                {r: values[cell][r] for r in own.differences}
                for own in made.matched
                for sign, cell in own.cells
                if sign == side
            ],
            made.scale,
        )
        for side in (1, -1)
    }
    n = made.estimate().n
    return standardised(made.estimate().mean, mean_of[1].sd, mean_of[-1].sd, n) if n > 1 else math.nan
