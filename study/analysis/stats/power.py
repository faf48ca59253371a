"""Power of t-tests, replicates needed, and smallest detectable effect.

`sd` is always the standard deviation of the paired differences (of two cells, over replicates), `effect` the true
mean difference, both in the metric's unit. If m claims share alpha, use alpha / m: a conservative estimate.
`df` are the degrees of freedom of the error, for n replicates n - 1 unless given: those of the paired test.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats  # type: ignore[import-untyped]

from study.utils.errors import StudyError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def paired_power(n: int, effect: float, sd: float, alpha: float = 0.05, df: float | None = None) -> float:
    """The probability that a two-sided t-test of n replicates detects a true difference of `effect`.

    From the noncentral t distribution with df degrees of freedom and noncentrality |effect| sqrt(n) / sd (Cohen
    1988, ch. 2); 0 below 2 replicates. Rejection with the wrong sign does not count.
    """
    _check(sd, alpha)
    return float(_powers(np.array([n]), effect, np.array([sd]), alpha, np.array([n - 1 if df is None else df]))[0])


def needed_replicates(
    effect: float, sd: float, power: float = 0.8, alpha: float = 0.05, most: int = 10_000
) -> int | None:
    """The fewest replicates whose paired t-test detects a difference of `effect` with the given power.

    None if more than `most` would be needed. Raises StudyError for an invalid power, alpha or sd.
    """
    return needed_by_sd(effect, [sd], power, alpha, most)[0]


def needed_by_sd(
    effect: float,
    sds: Sequence[float],
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000,
    df_each: Sequence[float] | None = None,
) -> list[int | None]:
    """`needed_replicates` for each of these standard deviations, vectorised.

    `df_each` are the degrees of freedom that each replicate beyond the first adds, by standard deviation: 1 for the
    paired test.
    """
    for sd in sds:
        _check(sd, alpha)
    _check_power(power, alpha)
    spread = np.asarray(sds, dtype=np.float64)
    slope = np.ones(len(spread)) if df_each is None else np.asarray(df_each, dtype=np.float64)
    low, high = np.ones(len(spread), dtype=np.int64), np.full(len(spread), most)
    possible = _powers(high, effect, spread, alpha, slope * (high - 1)) >= power
    while (high - low > 1).any():  # power grows with n: not enough at low, enough at high
        middle = (low + high) // 2
        enough = _powers(middle, effect, spread, alpha, slope * (middle - 1)) >= power
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return [int(n) if one else None for n, one in zip(high, possible, strict=True)]


def detectable_effect(n: int, sd: float, power: float = 0.8, alpha: float = 0.05, df: float | None = None) -> float:
    """The smallest true difference that n replicates detect with the given power; nan below 2 replicates.

    Raises StudyError for an invalid power, alpha or sd.
    """
    _check(sd, alpha)
    _check_power(power, alpha)
    if n < 2:
        return math.nan
    largest = 1.0
    while paired_power(n, largest, 1.0, alpha, df) < power:
        largest *= 2
    return sd * float(optimize.brentq(lambda d: paired_power(n, d, 1.0, alpha, df) - power, 0.0, largest))


def inside_power(
    n: int, effect: float, sd: float, low: float, high: float, alpha: float = 0.05, df: float | None = None
) -> float:
    """The probability that the 1 - alpha t interval of n differences is entirely between low and high.

    Either end may be infinite. With low = -margin and high = margin it is the power of the two one-sided tests of
    equivalence, each at alpha / 2 (Schuirmann 1987); with one end infinite, that of a one-sided test. The mean is
    normal given the standard deviation, over whose chi distribution the probability is averaged (Gauss-Legendre
    over the quantiles of the distribution, 400 points).
    """
    _check(sd, alpha)
    if n < 2:
        return 0.0
    points, weights = _quadrature()
    df = n - 1 if df is None else df
    sample_sd = sd * np.sqrt(stats.chi2.ppf((points + 1) / 2, df) / df)
    half, error = stats.t.isf(alpha / 2, df) * sample_sd / math.sqrt(n), sd / math.sqrt(n)
    inside = special.ndtr((high - half - effect) / error) - special.ndtr((low + half - effect) / error)
    return float((weights / 2 * np.maximum(inside, 0.0)).sum())


@functools.cache
def _quadrature() -> tuple[Floats, Floats]:
    """Points between -1 and 1 and weights of Gauss-Legendre; slow to compute."""
    return np.polynomial.legendre.leggauss(400)


def _powers(n_R: Integers, effect: float, sd_R: Floats, alpha: float, df_R: npt.NDArray[Any]) -> Floats:
    """(R,) the power of each number of replicates; 0 below 2."""
    df_R = np.maximum(df_R, 1)
    critical_R = stats.t.isf(alpha / 2, df_R)
    noncentrality_R = abs(effect) * np.sqrt(n_R) / sd_R
    found_R = stats.nct.sf(critical_R, df_R, noncentrality_R)
    # far in the tail, where scipy returns nan, the normal approximation is accurate
    found_R = np.where((found_R >= 0) & (found_R <= 1), found_R, special.ndtr(noncentrality_R - critical_R))
    return np.where(n_R < 2, 0.0, found_R)


def _check(sd: float, alpha: float) -> None:
    if not (math.isfinite(sd) and sd > 0):
        raise StudyError(f"invalid standard deviation {sd!r}: must be finite and above 0")
    if not 0 < alpha < 1:
        raise StudyError(f"invalid alpha {alpha!r}: must be between 0 and 1, such as 0.05")


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise StudyError(f"invalid power {power!r}: must be between alpha ({alpha:g}) and 1, such as 0.8")
