"""What a number of replicates can show: power, replicates needed, smallest detectable effect.

`sd` is always the standard deviation of the paired differences (of two cells, over replicates), `effect` the true
mean difference, both in the metric's unit. Where m claims share alpha, alpha / m gives a forecast on the safe side.
"""

import math

import numpy as np
from scipy import optimize, special, stats  # type: ignore[import-untyped]

from study.errors import StudyError


def paired_power(n: int, effect: float, sd: float, alpha: float = 0.05) -> float:
    """The chance that a two-sided paired t-test of n replicates finds a true difference of `effect`.

    From the noncentral t distribution with n - 1 degrees of freedom and noncentrality |effect| sqrt(n) / sd (Cohen
    1988, ch. 2); 0 below 2 replicates. Finding the difference with the wrong sign counts as not finding it.
    """
    _check(sd, alpha)
    if n < 2:
        return 0.0
    critical = stats.t.isf(alpha / 2, n - 1)
    return _noncentral_sf(critical, n - 1, abs(effect) * math.sqrt(n) / sd)


def needed_replicates(
    effect: float, sd: float, power: float = 0.8, alpha: float = 0.05, most: int = 10_000
) -> int | None:
    """The fewest replicates whose paired t-test finds a difference of `effect` with the wanted power.

    None where more than `most` would be needed. Raises StudyError for an impossible power, alpha or sd.
    """
    _check(sd, alpha)
    _check_power(power, alpha)
    if effect == 0 or paired_power(most, effect, sd, alpha) < power:
        return None
    low, high = 1, most  # power grows with n: not enough at low, enough at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if paired_power(middle, effect, sd, alpha) >= power else (middle, high)
    return high


def detectable_effect(n: int, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest true difference that n replicates find with the wanted power; nan below 2 replicates.

    Raises StudyError for an impossible power, alpha or sd.
    """
    _check(sd, alpha)
    _check_power(power, alpha)
    if n < 2:
        return math.nan
    largest = 1.0
    while paired_power(n, largest, 1.0, alpha) < power:
        largest *= 2
    return sd * float(optimize.brentq(lambda d: paired_power(n, d, 1.0, alpha) - power, 0.0, largest))


def inside_power(n: int, effect: float, sd: float, low: float, high: float, alpha: float = 0.05) -> float:
    """The chance that the 1 - alpha t interval of n paired differences lies wholly between low and high.

    Either end may be infinite. With low = -margin and high = margin it is the power of the two one-sided tests of
    equivalence, each at alpha / 2 (Schuirmann 1987); with one end infinite, that of a one-sided test. The mean is
    normal given the standard deviation, over whose chi distribution the chance is averaged (Gauss-Legendre over
    the distribution's own quantiles, 400 points).
    """
    _check(sd, alpha)
    if n < 2:
        return 0.0
    points, weights = np.polynomial.legendre.leggauss(400)
    sample_sd = sd * np.sqrt(stats.chi2.ppf((points + 1) / 2, n - 1) / (n - 1))
    half, error = stats.t.isf(alpha / 2, n - 1) * sample_sd / math.sqrt(n), sd / math.sqrt(n)
    chance = special.ndtr((high - half - effect) / error) - special.ndtr((low + half - effect) / error)
    return float((weights / 2 * np.maximum(chance, 0.0)).sum())


def not_distinguishable(n: int, sd: float, effect: float, told: str) -> str:
    """What to say of a difference that n replicates do not show; `effect` would matter, and is called `told`.

    For example: not distinguishable at n = 5: about 14 replicates would be needed to see 0.5 points.
    """
    if n < 2 or not sd > 0:
        return f"not distinguishable at n = {n}: its spread is not known"
    needed = needed_replicates(effect, sd)
    if needed is None:
        return f"not distinguishable at n = {n}: more than 10,000 replicates would be needed to see {told}"
    if needed <= n:
        return f"not distinguishable at n = {n}, though {needed} replicates would see {told} four times in five"
    return f"not distinguishable at n = {n}: about {needed} replicates would be needed to see {told}"


def _noncentral_sf(critical: float, df: int, noncentrality: float) -> float:
    """P(T > critical); where scipy's series gives up, far in the tail, T is as good as normal about its centre."""
    found = float(stats.nct.sf(critical, df, noncentrality))
    return found if 0 <= found <= 1 else float(special.ndtr(noncentrality - critical))


def _check(sd: float, alpha: float) -> None:
    if not (math.isfinite(sd) and sd > 0):
        raise StudyError(f"a standard deviation of {sd!r} is not possible here; it must be above 0")
    if not 0 < alpha < 1:
        raise StudyError(f"alpha {alpha!r} is not possible; it is a probability such as 0.05")


def _check_power(power: float, alpha: float) -> None:
    if not alpha < power < 1:
        raise StudyError(f"power {power!r} is not possible; it lies between alpha ({alpha:g}) and 1, such as 0.8")
