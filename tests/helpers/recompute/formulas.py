"""Textbook formulas in plain NumPy and SciPy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Mean:
    """The mean over matched sets of values by replicate, its standard error and degrees of freedom."""

    mean: float
    error: float
    df: float
    n: int  # replicates of the set with fewest

    @property
    def sd(self) -> float:
        return self.error * math.sqrt(self.n)

    @property
    def p_value(self) -> float:
        if not self.error > 0:
            return 1.0 if self.error == 0 and abs(self.mean) < 1e-12 else math.nan
        return float(2 * stats.t.sf(abs(self.mean) / self.error, self.df))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * self.error if self.n > 1 else math.nan
        return self.mean - half, self.mean + half


def mean_of_sets(sets: Sequence[Values]) -> Mean:
    """Equal weights for the sets; replicates are clusters (Liang & Zeger 1986; Bell & McCaffrey 2002).

    Replicate r contributes u_r, which is linear in the values: for each set, a matrix that subtracts the mean of the
    set's replicates, over the number of sets and of these replicates. With complete data this is the t interval of one
    value per replicate.
    """
    replicates = sorted(set().union(*sets))
    n = min(map(len, sets), default=0)
    mean = float(np.mean([np.mean(list(own.values())) for own in sets])) if sets else math.nan
    if n < 2:
        return Mean(mean, math.nan, 0, n)
    parts, u = [], np.zeros(len(replicates))
    for own in sets:
        known = np.array([float(r in own) for r in replicates])
        part = (np.diag(known) - np.outer(known, known) / known.sum()) / (len(sets) * known.sum())
        u += part @ np.array([own.get(r, 0.0) for r in replicates])
        parts.append(part)
    together = np.sum(parts, axis=0)
    covariances = (np.sum([part @ part.T for part in parts], axis=0), together @ together.T)
    df = min(float(np.trace(one) ** 2 / np.trace(one @ one)) for one in covariances)
    error = math.sqrt(float(u @ u) * n / (n - 1))
    return Mean(mean, 0.0 if error < 1e-12 else error, df, n)


def hedges_g_av(values: Values, reference: Values) -> float:
    """Of two cells, over their common replicates."""
    both = sorted(values.keys() & reference.keys())
    sides = ([{r: own[r] for r in both}] for own in (values, reference))
    return standardised(*sides) if both else math.nan


def standardised(ours: Sequence[Values], theirs: Sequence[Values]) -> float:
    """Mean difference over the mean of both standard deviations, times Hedges' exact factor for 2 (n - 1)."""
    x, y = mean_of_sets(ours), mean_of_sets(theirs)
    spread, df = (x.sd + y.sd) / 2, 2 * (x.n - 1)
    if not spread > 0:
        return math.nan
    return (x.mean - y.mean) / spread * math.gamma(df / 2) / (math.sqrt(df / 2) * math.gamma((df - 1) / 2))


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


def skewed(values: np.ndarray) -> bool | None:
    """Whether the skewness of the cells of values (N, C) sums to more than chance at 5 %; None if it is not tested.

    Chance: normal cells, with the exact variance of each skewness and the cube of the mean correlation of cells.
    """
    n, count = values.shape
    if n == 0:
        return None
    varied = [cell for cell in values.T if cell.std() > 1e-9 * np.abs(cell).max()]
    if n < 3 or not varied:
        return None
    total = sum(stats.skew(cell) for cell in varied)
    single, correlation = 6 * (n - 2) / ((n + 1) * (n + 3)), 0.0
    if count > 1:
        residuals = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        error = (residuals**2).sum() / ((n - 1) * (count - 1))
        correlation = max(1 - error / values.var(axis=0, ddof=1).mean(), 0.0)
    variance = len(varied) * single * (1 + (len(varied) - 1) * correlation**3)
    return bool(abs(total) / math.sqrt(variance) > stats.norm.ppf(0.975))


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


def largest_t(
    p_values: Sequence[float], weights: np.ndarray, errors: Sequence[str], dfs: Sequence[float]
) -> list[float]:
    """Step-down adjusted by the distribution of the largest |t| of tests with these components, at most Holm's.

    Tests of the same error share its chance deviation, those of different ones are independent. By Monte Carlo over the
    components, exact over the errors: within 2 % for values near 0.05.
    """
    count, known = len(p_values), [1.0 if math.isnan(p) else p for p in p_values]
    scaled = weights / np.sqrt((weights**2).sum(axis=1, keepdims=True))
    z = np.abs(np.random.default_rng(1).standard_normal((200_000, weights.shape[1])) @ scaled.T)
    adjusted, largest, order = [math.nan] * count, 0.0, np.argsort(known, kind="stable").tolist()
    for rank, i in enumerate(order):
        none = 1.0
        for error in {errors[other] for other in order[rank:]}:
            left = [other for other in order[rank:] if errors[other] == error]
            df = dfs[left[0]]
            t = stats.t.isf(known[i] / 2, df)
            ratio = z[:, left].max(axis=1) / t if t > 0 else np.full(len(z), math.inf)
            none *= 1 - float(stats.chi2.cdf(df * ratio**2, df).mean())
        largest = max(largest, 1 - none)
        adjusted[i] = max(known[i], largest)
    bounds = holm(known)
    return [
        math.nan if math.isnan(p) else min(own, bound) for p, own, bound in zip(p_values, adjusted, bounds, strict=True)
    ]
