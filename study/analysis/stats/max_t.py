"""Multiple testing with correlated tests: p-values adjusted by the distribution of the largest |t|.

Comparisons with a shared baseline are positively correlated, so fewer false rejections are added up than Holm's
correction assumes. The largest of |t_1|, ..., |t_m| has a known distribution if the tests share one estimated error: a
multivariate t with the correlations of the differences. For comparisons with one baseline this is Dunnett's test (1955,
J. Am. Stat. Assoc. 50:1096), for others Hothorn, Bretz & Westfall's (2008, Biom. J. 50:346).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats  # type: ignore[import-untyped]
from scipy.stats import qmc  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm

Floats = npt.NDArray[np.float64]

_DRAWS = 14  # 2^14 quasi-random points: p-values near 0.05 are within 2 % of their value, those below 0.0001 less exact
_END = 1e-10  # quantiles beyond are cut
_DEPENDENT = 1e-9  # smaller variances of a statistic given those before it are 0 up to rounding


@dataclass(frozen=True)
class SharedError:
    """Tests that share one estimated error.

    `weights_MC` are the independent components of each test, in units of their standard deviations; they give the
    correlations. `df` is the error's.
    """

    positions: Sequence[int]  # of its M tests in the family
    weights_MC: Floats
    df: float


def step_down(p_values: Floats, errors: Sequence[SharedError]) -> Floats:
    """(M,) adjusted p-values, step-down, between the p-values and Holm's.

    Tests with different errors, and tests without a shared one, count as independent, error included. That is
    conservative: the probability that correlated normal statistics are all small is at least the product (Royen 2014,
    Far East J. Theor. Stat. 48:139). One error for all would not be: its chance deviation would be counted once.

    A test enters by its p-value, as the |t| that has it, so a region's p-value counts as well: its interval contains
    the true difference unless the statistic about that is as large. nan stays nan and counts as 1.
    """
    filled = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(filled, kind="stable")
    shared = {position for error in errors for position in error.positions}
    alone = [SharedError([i], np.ones((1, 1)), 1.0) for i in range(len(filled)) if i not in shared]
    none_S = np.prod([1 - _as_large(filled, order, error) for error in (*errors, *alone)], axis=0)
    stepped = np.empty_like(filled)
    stepped[order] = np.maximum.accumulate(1 - none_S)
    bounded = np.clip(stepped, filled, holm(filled))
    return np.where(np.isnan(p_values), np.nan, bounded)


def _as_large(p_values: Floats, order: npt.NDArray[np.intp], error: SharedError) -> Floats:
    """(S,) for each step of this order, the probability that any test of the error that is left is as significant."""
    places = np.argsort(order)[list(error.positions)]  # the step of each test
    steps = np.sort(places)
    draws_NM = draws(error.weights_MC[np.argsort(places)]) if len(steps) > 1 else np.ones((1, 1))  # in any row order
    left_NM = np.maximum.accumulate(draws_NM[:, ::-1], axis=1)[:, ::-1]  # the largest of each test and those after it
    found = np.zeros(len(order))
    for step, done in enumerate(np.searchsorted(steps, range(len(order)))):
        p_value = float(p_values[order[step]])
        if done == len(steps) - 1:
            found[step] = p_value
        elif done < len(steps):
            found[step] = exceeding(left_NM[:, done], float(stats.t.isf(p_value / 2, error.df)), error.df)
    return found


def draws(weights_MC: Floats) -> Floats:
    """(N, M) absolute values of standard normal statistics with these components; the same for the same weights."""
    mixing_MM = _triangular(weights_MC / np.sqrt((weights_MC**2).sum(axis=1, keepdims=True)))
    return np.asarray(np.abs(_normal(len(mixing_MM)) @ mixing_MM.T))


@lru_cache(maxsize=8)
def _normal(count: int) -> Floats:
    """(N, count) independent standard normal numbers from quasi-random points."""
    points = qmc.Sobol(count, scramble=True, seed=0).random_base2(_DRAWS)
    return np.asarray(special.ndtri(np.clip(points, _END, 1 - _END)))


def _triangular(weights_MC: Floats) -> Floats:
    """(M, M) weights of M components with the same correlations (Cholesky), however many cells the tests average.

    Components of dependent tests are 0, so rounding errors do not matter.
    """
    left_MM, found_MM = weights_MC @ weights_MC.T, np.zeros((len(weights_MC), len(weights_MC)))
    for i in range(len(found_MM)):
        if left_MM[i, i] > _DEPENDENT:
            found_MM[i:, i] = left_MM[i:, i] / np.sqrt(left_MM[i, i])
            left_MM -= np.outer(found_MM[:, i], found_MM[:, i])
    return found_MM


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
