"""A mean with its interval, and a difference of two cells paired by replicate.

Replicate r of every cell starts from the same seed, so cells are compared replicate by replicate: an effect that the
seed has on both cancels.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.estimate import Estimate
from study.utils.errors import StudyError

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-9  # relative; differences of counts such as 337/360 - 331/360 tie only up to rounding


@dataclass(frozen=True)
class Interval:
    """A mean with its Student t interval, all in the unit of the values.

    n = 0: all others are nan. n = 1: low, high and sd are nan, since one value has no standard deviation.
    """

    n: int
    mean: float
    low: float
    high: float
    sd: float  # of single values, n - 1 in the denominator


@dataclass(frozen=True)
class Difference:
    """The mean difference of two cells over the replicates that both have, with its paired t-test.

    With fewer than 2 common replicates, low, high, sd, p_value and effect_size are nan (n = 0: mean too). If all
    differences are equal, low = high = mean, and p_value is 1 if they are zero and nan otherwise: the t-test is
    undefined for an SD of 0, and equal counts on a small test set happen by chance.
    """

    n: int
    mean: float
    low: float
    high: float
    p_value: float  # two-sided
    effect_size: float  # Hedges' g_av
    sd: float  # of the differences


def interval(values: Collection[float], level: float = 0.95) -> Interval:
    """The mean of independent values with its two-sided Student t interval.

    Raises StudyError for values that are not finite and for a level outside (0, 1).
    """
    found = estimate_of(_finite(values))
    return Interval(found.n, found.mean, *found.interval(level), found.sd)


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float], level: float = 0.95) -> Difference:
    """`values` minus `baseline`, each a metric by replicate number, over the replicates that both have.

    Raises StudyError for values that are not finite and for a level outside (0, 1).
    """
    x, y = common(values, baseline)
    found = estimate_of(x - y, scale=_scale(x, y))
    return Difference(found.n, found.mean, *found.interval(level), found.p_value(), hedges_g_av(x, y), found.sd)


Bounded = TypeVar("Bounded", Interval, Difference)


def bounded(found: Bounded, least: float, most: float) -> Bounded:
    """A copy whose interval is clipped to the possible true values, from `least` to `most`.

    The true value is always in that range, so clipping does not change the coverage (Mandelkern 2002, Statist. Sci.
    17:149-172). Mean and standard deviation are unchanged.
    """
    return replace(found, low=max(found.low, least), high=min(found.high, most))  # max and min keep a nan that is first


def common(values: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Both cells' values at their common replicates, in order of replicate: two arrays of shape (n,)."""
    replicates = sorted(values.keys() & baseline.keys())
    return _finite([values[r] for r in replicates]), _finite([baseline[r] for r in replicates])


def moments(x: Floats, scale: float | None = None) -> tuple[float, float]:
    """Mean and standard deviation (n - 1), nan where undefined.

    Results that are 0 up to rounding, relative to `scale` (default: the largest absolute value), are exactly 0.
    """
    largest = _scale(x) if scale is None else scale
    mean = float(x.mean()) if len(x) else math.nan
    sd = float(x.std(ddof=1)) if len(x) > 1 else math.nan
    return rounded(mean, largest), rounded(sd, largest)


def rounded(number: float, scale: float) -> float:
    """0 for a number that is 0 up to rounding, relative to `scale`."""
    return 0.0 if abs(number) <= _ROUNDING * scale else number


def estimate_of(x: Floats, scale: float | None = None) -> Estimate:
    """The mean of one value per replicate, with standard error sd / sqrt(n); `scale` as for `moments`."""
    mean, sd = moments(x, scale)
    return Estimate(mean, sd / math.sqrt(len(x)) if len(x) > 1 else math.nan, max(len(x) - 1, 0), len(x))


def hedges_g_av(x: Floats, y: Floats) -> float:
    """Mean difference in units of the cells' own SD, corrected for small n; nan where that SD is unknown or 0.

    d_av = mean(x - y) / ((sd_x + sd_y) / 2), times J(2 (n - 1)) (Lakens 2013, doi 10.3389/fpsyg.2013.00863, eq. 10
    and its Hedges correction, here with the exact J of Hedges 1981 and not its approximation). Standardised by the
    SD of the cells rather than of the differences (d_z), it does not grow merely because pairing is effective.
    """
    return standardised(float((x - y).mean()), moments(x)[1], moments(y)[1], len(x)) if len(x) > 1 else math.nan


def standardised(difference: float, sd_x: float, sd_y: float, n: int) -> float:
    """Hedges' g_av from its parts; n is at least 2."""
    spread = (sd_x + sd_y) / 2
    return difference / spread * small_sample_factor(2 * (n - 1)) if spread > 0 else math.nan


def small_sample_factor(df: int) -> float:
    """J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)), Hedges 1981 eq. 6e; df is at least 2."""
    return math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def _finite(values: Collection[float]) -> Floats:
    x = np.asarray(list(values), dtype=np.float64)
    if not np.isfinite(x).all():
        raise StudyError(f"invalid value {x[~np.isfinite(x)][0]}: must be finite; leave out trials without a result")
    return x


def _scale(*arrays: Floats) -> float:
    return max((float(np.abs(x).max()) for x in arrays if len(x)), default=0.0)
