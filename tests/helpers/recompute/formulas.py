"""Textbook formulas in plain NumPy and SciPy."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

Values = Mapping[int, float]  # by replicate


def mean_interval(values: Sequence[float], low: float, high: float, level: float = 0.95) -> dict[str, float]:
    """n, mean, sd and the t interval, cut at `low` and `high`."""
    x = np.array(list(values), dtype=float)
    if len(x) == 0:
        return {"n": 0, "mean": math.nan, "low": math.nan, "high": math.nan, "sd": math.nan}
    sd = x.std(ddof=1) if len(x) > 1 else math.nan
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * sd / math.sqrt(len(x)) if len(x) > 1 else math.nan
    ends = (max(x.mean() - half, low), min(x.mean() + half, high)) if len(x) > 1 else (math.nan, math.nan)
    return {"n": len(x), "mean": x.mean(), "low": ends[0], "high": ends[1], "sd": 0.0 if sd < 1e-12 else sd}


def t_test(values: Sequence[float]) -> float:
    """Two-sided p of mean 0; equal values have no test, except that zeros have p = 1."""
    x = np.array(list(values), dtype=float)
    if len(x) < 2:
        return math.nan
    if x.std() < 1e-12:
        return 1.0 if abs(x.mean()) < 1e-12 else math.nan
    return float(stats.ttest_1samp(x, 0).pvalue)


def paired(values: Values, reference: Values) -> list[float]:
    return [values[r] - reference[r] for r in sorted(values.keys() & reference.keys())]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted over all: those that are not known count as comparisons, and stay unknown."""
    count, largest = len(p_values), 0.0
    adjusted = [math.nan] * count
    for rank, i in enumerate(
        sorted((i for i in range(count) if not math.isnan(p_values[i])), key=lambda i: p_values[i])
    ):
        largest = max(largest, min(1.0, (count - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def hedges_g_av(values: Values, reference: Values) -> float:
    """Mean difference over the mean of both standard deviations, times Hedges' exact factor for 2 (n - 1)."""
    both = sorted(values.keys() & reference.keys())
    if len(both) < 2:
        return math.nan
    x, y = (np.array([own[r] for r in both]) for own in (values, reference))
    spread, df = (x.std(ddof=1) + y.std(ddof=1)) / 2, 2 * (len(both) - 1)
    if spread < 1e-12:
        return math.nan
    factor = math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2)) if df > 1 else math.nan
    return float((x - y).mean() / spread * factor)


def size_of(difference: float, low: float, high: float, df: float, comparisons: int, margin: float) -> str:
    """Larger or smaller than the margin by the Bonferroni interval of all comparisons; "" without an interval."""
    if not low < high:
        return ""
    half = max(high - difference, difference - low)
    half *= stats.t.ppf(1 - 0.025 / comparisons, max(df, 1)) / stats.t.ppf(0.975, max(df, 1))
    if difference - half > margin or difference + half < -margin:
        return "larger"
    return "smaller" if -margin < difference - half and difference + half < margin else "unclear"


def equal_spread(cells: Sequence[Sequence[float]]) -> float:
    """p of Brown and Forsythe's test without structural zeros (Hines & Hines 2000)."""
    distances = []
    for values in cells:
        x = sorted(values)
        if len(x) < 2:
            continue
        own = sorted(abs(value - float(np.median(x))) for value in x)[1:]
        distances.append([own[0] * math.sqrt(2), *own[1:]] if len(x) % 2 == 0 else own)
    if len(distances) < 2 or sum(map(len, distances)) == len(distances):
        return math.nan
    return float(stats.f_oneway(*distances).pvalue)
