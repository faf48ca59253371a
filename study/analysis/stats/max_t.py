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
_KEPT = 64  # tests: the draws of larger families take megabytes for each ten, and are hardly ever used again
_ROUNDED_OFF = 2.0**-55  # a probability this close to 1 is 1
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
    weights_MC = error.weights_MC[np.argsort(places)]  # so that rows in any order give the same draws
    return _by_step(p_values[order].tobytes(), np.sort(places).tobytes(), weights_MC.tobytes(), error.df)


@lru_cache(maxsize=4)  # one comparison of a study may be in several tables
def _by_step(p_values: bytes, of_error: bytes, weights: bytes, df: float) -> Floats:
    """`_as_large` of sorted p-values (S,), where `of_error` (M,) are the steps of the error's tests."""
    sorted_S, steps_M = np.frombuffer(p_values), np.frombuffer(of_error, dtype=np.intp)
    count = len(steps_M)
    draws_NM = draws(np.frombuffer(weights).reshape(count, -1)) if count > 1 else np.ones((1, 1))
    left_NM = np.maximum.accumulate(draws_NM[:, ::-1], axis=1)[:, ::-1]  # the largest of each test and those after it
    t_S, done_S = stats.t.isf(sorted_S / 2, df), np.searchsorted(steps_M, range(len(sorted_S)))
    found_S = np.where(done_S == count - 1, sorted_S, 0.0)
    for step in np.flatnonzero(done_S < count - 1):
        found_S[step] = exceeding(left_NM[:, done_S[step]], float(t_S[step]), df)
        if found_S[step] == 1:  # then all later steps have an adjusted p-value of 1
            break
    return found_S


def draws(weights_MC: Floats) -> Floats:
    """(N, M) absolute values of standard normal statistics with these components; the same for the same weights."""
    mixing_MM = _triangular(weights_MC / np.sqrt((weights_MC**2).sum(axis=1, keepdims=True)))
    normal = _kept if len(mixing_MM) <= _KEPT else _normal
    found_NM = normal(len(mixing_MM)) @ mixing_MM.T
    return np.asarray(np.abs(found_NM, out=found_NM))


@lru_cache(maxsize=8)
def _kept(count: int) -> Floats:
    return _normal(count)


def _normal(count: int) -> Floats:
    """(N, count) independent standard normal numbers from quasi-random points."""
    points = qmc.Sobol(count, scramble=True, seed=0).random_base2(_DRAWS)
    return np.asarray(special.ndtri(np.clip(points, _END, 1 - _END, out=points), out=points))


def _triangular(weights_MC: Floats) -> Floats:
    """(M, M) weights of M components with the same correlations (Cholesky), however many cells the tests average.

    Components of dependent tests are 0, so rounding errors do not matter.
    """
    left_MM, found_MM = weights_MC @ weights_MC.T, np.zeros((len(weights_MC), len(weights_MC)))
    for i in range(len(found_MM)):
        if left_MM[i, i] > _DEPENDENT:
            found_MM[i:, i] = left_MM[i:, i] / np.sqrt(left_MM[i, i])
            left_MM[i:, i:] -= np.outer(found_MM[i:, i], found_MM[i:, i])
    return found_MM


def exceeding(largest_N: Floats, t: float, df: float) -> float:
    """The probability that the largest statistic, over an error with `df`, is at least t: averaged over the draws,
    and exact over the error's chi distribution."""
    if not t > 0:
        return 1.0
    x_N = df * (largest_N / t) ** 2 / 2
    below_N, found_N = x_N < special.gammainccinv(df / 2, _ROUNDED_OFF), np.ones(len(x_N))
    found_N[below_N] = special.gammainc(df / 2, x_N[below_N])
    return float(found_N.mean())


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
