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


def pooled_variances(values: np.ndarray) -> tuple[np.ndarray, int] | None:
    """(C,) guarded variances of the cells and their degrees of freedom, from values (N, C); None if not to be pooled.

    The residual mean square of value = cell + replicate + error, and for each cell at least Grubbs' estimate (1948).
    """
    n, count = values.shape
    if n < 4 or count < 3 or not equal_spread(values.T.tolist()) >= 0.25:
        return None
    residuals = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    squares = (residuals**2).sum(axis=0) / (n - 1)
    common = squares.sum() / (count - 1)
    own = (squares - common / count) * count / (count - 2)
    return np.maximum(own, common), (n - 1) * min(count - 1, n - 2)


def largest_t(p_values: Sequence[float], weights: np.ndarray, df: float) -> list[float]:
    """Step-down adjusted by the distribution of the largest |t| of tests with these components, at most Holm's.

    By Monte Carlo over the components, exact over the error: within 2 % for values near 0.05.
    """
    count, known = len(p_values), [1.0 if math.isnan(p) else p for p in p_values]
    scaled = weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
    z = np.abs(np.random.default_rng(1).standard_normal((200_000, weights.shape[1])) @ scaled.T)
    adjusted, largest, order = [math.nan] * count, 0.0, np.argsort(known, kind="stable").tolist()
    for rank, i in enumerate(order):
        t = stats.t.isf(known[i] / 2, df)
        ratio = z[:, order[rank:]].max(axis=1) / t if t > 0 else np.full(len(z), math.inf)
        largest = max(largest, float(stats.chi2.cdf(df * ratio**2, df).mean()))
        adjusted[i] = max(known[i], largest)
    bounds = holm(known)
    return [
        math.nan if math.isnan(p) else min(own, bound) for p, own, bound in zip(p_values, adjusted, bounds, strict=True)
    ]
