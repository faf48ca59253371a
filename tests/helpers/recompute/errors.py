"""Differences with the error of all cells or of their paired differences, and families of them."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from helpers.recompute.files import ABSOLUTE, RELATIVE, Expected, Raw
from helpers.recompute.formulas import Values, holm, largest_t, mean_of_sets, pooled_variances
from scipy import stats

Group = Sequence[tuple[int, str]]  # cells with their signs


@dataclass(frozen=True)
class Evidence:
    """A difference with its error; `weights` are those of the cells if the error is that of all cells."""

    mean: float
    error: float
    df: float
    n: int
    sets: int
    weights: Mapping[str, float]
    pooled: bool
    metric: str
    untested: bool  # because of failed trials, or a set without a common replicate
    shares: np.ndarray | None = None  # by replicate and image, of an accuracy that is compared with a number
    number: float = 0.0

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference; equal differences have no test, except that zeros have p = 1."""
        if self.untested:
            return math.nan
        if not self.error > 0:
            return 1.0 if self.error == 0 and abs(self.mean) < 1e-12 else math.nan
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.df))

    def row(self, most: float = math.inf) -> dict[str, float | str]:
        """The columns of a table, its interval cut at -most and most."""
        half = float(stats.t.ppf(0.975, self.df)) * self.error if self.n > 1 else math.nan
        ends = (max(self.mean - half, -most), min(self.mean + half, most)) if self.n > 1 else (math.nan, math.nan)
        row = {"n": self.n, "difference": self.mean, "low": ends[0], "high": ends[1], "p_value": self.p_value}
        kind = ("pooled" if self.pooled else "paired") if self.df > 0 else ""
        return row | {"sd": self.error * math.sqrt(self.n), "df": self.df if self.df > 0 else math.nan, "error": kind}


def evidence(
    raw: Raw,
    name: str,
    metric: Mapping[str, Values],
    groups: Sequence[Group],
    constant: float | None = None,
    cells: Collection[str] | None = None,
) -> Evidence:
    """The mean over groups, with the error of these cells (None: all) if they may be pooled."""
    common = [set.intersection(*(set(metric[cell]) for _, cell in group)) for group in groups]
    known = [(group, sorted(own)) for group, own in zip(groups, common, strict=True) if own]
    paired = mean_of_sets(
        [
            {r: sum(sign * metric[cell][r] for sign, cell in group) - (constant or 0.0) for r in replicates}
            for group, replicates in known
        ]
    )
    weights: dict[str, float] = {}
    for sign, cell in (pair for group, _ in known for pair in group):
        weights[cell] = weights.get(cell, 0.0) + sign / len(known)
    lost = 0 < len(known) < len(groups)
    untested = lost or raw.untested(cell for group in groups for _, cell in group)
    alone = Evidence(paired.mean, paired.error, paired.df, paired.n, len(known), {}, False, name, untested)
    whole, values = complete(metric, cells)
    variances = pooled_variances(values)
    level = abs(sum(weights.values())) < 1e-9 and any(weights.values())
    if variances is None or len(known) < len(groups) or not level or not weights.keys() <= set(whole):
        return alone
    of_cell = dict(zip(whole, variances[0], strict=True))
    variance = max(sum(weight**2 * of_cell[cell] for cell, weight in weights.items()), paired.sd**2)
    return replace(alone, error=math.sqrt(variance / paired.n), df=variances[1], weights=weights, pooled=True)


def complete(metric: Mapping[str, Values], cells: Collection[str] | None) -> tuple[list[str], np.ndarray]:
    """Those of these cells (None: all) that have every replicate that any of them has, and their values (N, C)."""
    own = {cell: values for cell, values in metric.items() if cells is None or cell in cells}
    replicates = sorted(set().union(*own.values()))
    whole = [cell for cell, values in own.items() if values and len(values) == len(replicates)]
    values = [[metric[cell][r] for cell in whole] for r in replicates]
    return whole, np.array(values, dtype=float).reshape(len(replicates), len(whole))


def between(raw: Raw, pairs: Iterable[tuple[str, str]]) -> Evidence:
    """The mean difference in accuracy of pairs of cells."""
    return evidence(raw, "test_accuracy", raw.accuracies, [((1, cell), (-1, other)) for cell, other in pairs])


def adjusted(p_values: Sequence[float], found: Sequence[Evidence]) -> tuple[str, list[float]]:
    """By the largest |t| if an error is pooled, else Holm's."""
    if not any(one.pooled for one in found):
        return "Holm", holm(p_values)
    rows = [one.weights if one.pooled else {str(i): 1.0} for i, one in enumerate(found)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    weights = np.array([[row.get(name, 0.0) for name in columns] for row in rows])
    errors = [one.metric if one.pooled else str(i) for i, one in enumerate(found)]
    return "Dunnett", largest_t(p_values, weights, errors, [one.df for one in found])


def expected(file: str, row: Mapping[str, object], column: str, value: object) -> Expected:
    """With the tolerance that adjusted p-values by Monte Carlo need."""
    simulated = column == "p_adjusted"
    return Expected(file, row, column, value, 0.05 if simulated else RELATIVE, 1e-4 if simulated else ABSOLUTE)
