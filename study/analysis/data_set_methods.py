"""Methods on several data sets: mean ranks, interquartile means, and the probability of improvement on the baseline.

A method is a combination of the levels of all factors but the one that sets the data set. Where several levels of that
factor have the same data set, it includes the settings in which these levels differ (`DataSets.method`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.analysis.data_sets import DataSets
from study.analysis.results import Results
from study.analysis.stats.aggregates import Aggregate, Floats, interquartile_mean, probability_of_improvement
from study.analysis.stats.failed import Failed, note
from study.analysis.stats.ranks import Ranking, rank

COLUMNS = [
    *("method", "n", "failed", "mean_rank", "iqm", "iqm_low", "iqm_high"),
    *("improvement", "improvement_low", "improvement_high"),
]


@dataclass(frozen=True)
class Methods:
    """The methods that have results on every data set, and their ranking if there are at least two.

    table   one row per method in the study's order; accuracies are shares. `n`: replicates that it has on all data
            sets, on which all its numbers are based; `failed`: its failed trials; `mean_rank`: over data sets, 1 the
            best, by mean test accuracy; `iqm`: interquartile mean of test accuracy over data sets and replicates;
            `improvement`: probability that a run has a higher test accuracy than one of the baseline on the same data
            set, averaged over data sets. The intervals are 95 % stratified bootstrap intervals
    means   mean test accuracy by method (rows) and data set (columns)
    """

    table: pd.DataFrame
    means: pd.DataFrame
    ranking: Ranking | None = None
    failed: str = ""  # which replicates of these methods failed, and how they count
    is_tested: bool = True  # False if failed replicates leave no test of the ranking


NONE = Methods(pd.DataFrame(columns=COLUMNS), pd.DataFrame())


def methods(results: Results, found: DataSets) -> Methods:
    """The methods of a study with several data sets; `NONE` if fewer than two have a replicate on every data set."""
    values = _values(results, found)
    if len(values) < 2:
        return NONE
    names = [one.name for one in found.sets]
    means = pd.DataFrame([own.mean(axis=0) for own in values.values()], index=[*values], columns=names)
    ranking = rank(np.round(means.to_numpy().T, 12))  # means of equal counts are equal
    baseline = values.get(results.facts.cells[0].name)
    failed = {name: _failed(results, cells) for name, cells in _by_method(found).items() if name in values}
    rows = [
        {
            "method": name,
            "n": len(own),
            "failed": sum(one.count for one in failed[name]),
            **_aggregates(own, None if own is baseline else baseline),
        }
        for name, own in values.items()
    ]
    table = pd.DataFrame(rows).assign(mean_rank=ranking.mean_ranks)
    rule, every = results.facts.failures, [one for own in failed.values() for one in own]
    return Methods(table[COLUMNS], means, ranking, note(every, rule), not every or rule != "undecided")


def _by_method(found: DataSets) -> dict[str, list[str]]:
    """The cells of each method that is on every data set, by the name of its cell on the first."""
    by_method = [{found.method(cell): cell.name for cell in one.cells} for one in found.sets]
    everywhere = [method for method in by_method[0] if all(method in own for own in by_method)]
    return {by_method[0][method]: [own[method] for own in by_method] for method in everywhere}


def _values(results: Results, found: DataSets) -> Mapping[str, Floats]:
    """By method: test accuracy, of shape (replicates that it has on all data sets, data sets)."""
    made = {}
    for name, cells in _by_method(found).items():
        own = [results.accuracies[cell] for cell in cells]
        common = sorted(set.intersection(*map(set, own)))
        if common:
            made[name] = np.array([[values[replicate] for values in own] for replicate in common])
    return made


def _failed(results: Results, cells: list[str]) -> list[Failed]:
    return [results.failed[cell] for cell in cells if cell in results.failed]


def _aggregates(own: Floats, baseline: Floats | None) -> dict[str, float]:
    iqm = interquartile_mean(own)
    better = Aggregate(math.nan, math.nan, math.nan) if baseline is None else probability_of_improvement(own, baseline)
    return {
        "iqm": iqm.value,
        "iqm_low": iqm.low,
        "iqm_high": iqm.high,
        "improvement": better.value,
        "improvement_low": better.low,
        "improvement_high": better.high,
    }
