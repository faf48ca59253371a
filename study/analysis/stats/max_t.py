"""Multiple testing with correlated tests: p-values adjusted by the distribution of the largest |t|.

Comparisons with a shared baseline are positively correlated, so fewer false rejections are added up than Holm's
correction assumes. The largest of |t_1|, ..., |t_m| has a known distribution if the tests share one estimated error: a
multivariate t with the correlations of the differences. For comparisons with one baseline this is Dunnett's test (1955,
J. Am. Stat. Assoc. 50:1096), for others Hothorn, Bretz & Westfall's (2008, Biom. J. 50:346).
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats  # type: ignore[import-untyped]
from scipy.stats import qmc  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm

Floats = npt.NDArray[np.float64]

_DRAWS = 14  # 2^14 quasi-random points: p-values near 0.05 are within 2 % of their value
_END = 1e-10  # quantiles beyond are cut


def step_down(p_values: Floats, weights_MC: Floats, df: float) -> Floats:
    """(M,) adjusted p-values, step-down, between the p-values and Holm's.

    `weights_MC`: the independent components of each test, in units of their standard deviations; they give the
    correlations. Tests without a common component count as independent, which is conservative (Sidak 1967, J. Am. Stat.
    Assoc. 62:626). `df` is the error's. A test enters by its p-value, as the |t| that has it, so a region's p-value
    counts as well: its interval contains the true difference unless the statistic about that is as large. nan stays nan
    and counts as 1.
    """
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(filled, kind="stable")
    draws_NM = draws(weights_MC)[:, order]
    left_NM = np.maximum.accumulate(draws_NM[:, ::-1], axis=1)[:, ::-1]  # the largest of each test and those after it
    t_M = stats.t.isf(filled[order] / 2, df)
    found = [exceeding(left_N, t, df) for left_N, t in zip(left_NM.T, t_M, strict=True)]
    stepped = np.empty_like(filled)
    stepped[order] = np.maximum.accumulate(found)
    bounded = np.clip(stepped, filled, holm(filled))
    return np.where(np.isnan(p_values), np.nan, bounded)


def draws(weights_MC: Floats) -> Floats:
    """(N, M) absolute values of standard normal statistics with these components; the same for the same weights."""
    points = qmc.Sobol(weights_MC.shape[1], scramble=True, seed=0).random_base2(_DRAWS)
    normal = special.ndtri(np.clip(points, _END, 1 - _END))
    scale_M1 = np.sqrt((weights_MC**2).sum(axis=1, keepdims=True))
    return np.asarray(np.abs(normal @ (weights_MC / scale_M1).T))


def exceeding(largest_N: Floats, t: float, df: float) -> float:
    """The probability that the largest statistic, over an error with `df`, is at least t: averaged over the draws,
    and exact over the error's chi distribution."""
    return float(special.gammainc(df / 2, df * (largest_N / t) ** 2 / 2).mean()) if t > 0 else 1.0


def step_down_all(p_values_SM: Floats, weights_MC: Floats, df: float, alpha: float) -> npt.NDArray[np.bool_]:
    """(S, M) whether `step_down` of each row is at most alpha, for many rows with the same weights."""
    t_SM = stats.t.isf(np.where(np.isnan(p_values_SM), 1.0, p_values_SM) / 2, df)
    left_SM, going_S = np.ones(t_SM.shape, dtype=np.bool_), np.ones(len(t_SM), dtype=np.bool_)
    for _ in range(t_SM.shape[1]):
        best_S = np.where(left_SM, t_SM, -1.0).argmax(axis=1)
        patterns, of_S = np.unique(left_SM[going_S], axis=0, return_inverse=True)
        limits = np.array([_critical(weights_MC[own].tobytes(), int(own.sum()), df, alpha) for own in patterns])
        going_S[going_S] = t_SM[going_S, best_S[going_S]] >= limits[of_S.reshape(-1)]
        left_SM[going_S, best_S[going_S]] = False
        if not going_S.any():
            break
    return ~left_SM


@lru_cache(maxsize=10_000)
def _critical(weights: bytes, count: int, df: float, alpha: float) -> float:
    """The |t| whose adjusted p-value among `count` tests with these weights is alpha."""
    largest_N = draws(np.frombuffer(weights).reshape(count, -1)).max(axis=1)
    low, high = (float(stats.t.isf(alpha / 2 / tests, df)) for tests in (1, count))  # without adjustment, and Holm's
    if exceeding(largest_N, low, df) <= alpha:
        return low
    if exceeding(largest_N, high, df) > alpha:
        return high
    return float(optimize.brentq(lambda t: exceeding(largest_N, t, df) - alpha, low, high, xtol=1e-6))
