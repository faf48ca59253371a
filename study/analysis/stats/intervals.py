"""A mean with its interval, and a difference of two cells paired by replicate.

Replicate r of every cell starts from the same seed, so cells are compared replicate by replicate: what the seed
does to both cancels.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from study.utils.errors import StudyError

Floats = npt.NDArray[np.float64]

_ROUNDING = 1e-9  # relative; differences of counts such as 337/360 - 331/360 tie only up to rounding


@dataclass(frozen=True)
class Interval:
    """A mean with its Student t interval, all in the unit of the values.

    n = 0: everything is nan. n = 1: low, high and sd are nan, for one value says nothing of spread.
    """

    n: int
    mean: float
    low: float
    high: float
    sd: float  # of single values, n - 1 in the denominator


@dataclass(frozen=True)
class Difference:
    """The mean difference of two cells over the replicates that both have, with its paired t-test.

    With fewer than 2 common replicates, low, high, sd, p_value and effect_size are nan (n = 0: mean too). Where all
    differences are equal, low = high = mean, and p_value is 1 if they are zero and nan otherwise: without spread
    there is nothing to hold a difference against, and equal counts on a small test set do happen by chance.
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

    Raises StudyError for values that are not finite, and for a level outside (0, 1).
    """
    x = _finite(values)
    mean, sd = moments(x)
    half = _half_width(len(x), sd, level)
    return Interval(len(x), mean, mean - half, mean + half, sd)


def paired_difference(values: Mapping[int, float], baseline: Mapping[int, float], level: float = 0.95) -> Difference:
    """`values` minus `baseline`, each a metric by replicate number; replicates that only one has are left out.

    Raises StudyError for values that are not finite, and for a level outside (0, 1).
    """
    x, y = common(values, baseline)
    d = x - y
    mean, sd = moments(d, scale=_scale(x, y))
    half = _half_width(len(d), sd, level)
    return Difference(len(d), mean, mean - half, mean + half, _p_value(len(d), mean, sd), hedges_g_av(x, y), sd)


Bounded = TypeVar("Bounded", Interval, Difference)


def bounded(found: Bounded, least: float, most: float) -> Bounded:
    """The same, its interval cut to what the true value can be: from `least` to `most`.

    A true value always lies there, so the part of the interval that does holds it exactly as often as the whole
    (Mandelkern 2002, Statist. Sci. 17:149-172). Mean and spread stay as they are.
    """
    return replace(found, low=max(found.low, least), high=min(found.high, most))  # nan stays, being first


def common(values: Mapping[int, float], baseline: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Both cells' values at the replicates that both have, in order of replicate: two arrays of shape (n,)."""
    replicates = sorted(values.keys() & baseline.keys())
    return _finite([values[r] for r in replicates]), _finite([baseline[r] for r in replicates])


def moments(x: Floats, scale: float | None = None) -> tuple[float, float]:
    """Mean and standard deviation (n - 1), nan where undefined.

    What is within rounding of `scale` (by default the largest value) is exactly 0.
    """
    rounding = _ROUNDING * (_scale(x) if scale is None else scale)
    mean = float(x.mean()) if len(x) else math.nan
    sd = float(x.std(ddof=1)) if len(x) > 1 else math.nan
    return 0.0 if abs(mean) <= rounding else mean, 0.0 if sd <= rounding else sd


def hedges_g_av(x: Floats, y: Floats) -> float:
    """Mean difference in units of the cells' own spread, corrected for small n; nan where that spread is unknown or 0.

    d_av = mean(x - y) / ((sd_x + sd_y) / 2), times J(2 (n - 1)) (Lakens 2013, doi 10.3389/fpsyg.2013.00863, eq. 10
    and its Hedges correction, here with the exact J of Hedges 1981 and not its approximation). Standardised by the
    cells' spread rather than by that of the differences (d_z), it does not grow merely because pairing works well.
    """
    n = len(x)
    if n < 2:
        return math.nan
    spread = (moments(x)[1] + moments(y)[1]) / 2
    return float((x - y).mean()) / spread * small_sample_factor(2 * (n - 1)) if spread > 0 else math.nan


def small_sample_factor(df: int) -> float:
    """J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2)), Hedges 1981 eq. 6e; df is at least 2."""
    return math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)


def _half_width(n: int, sd: float, level: float) -> float:
    if not 0 < level < 1:
        raise StudyError(f"level {level!r} of an interval is not possible; it is a probability such as 0.95")
    return float(special.stdtrit(n - 1, (1 + level) / 2)) * sd / math.sqrt(n) if n > 1 else math.nan


def _p_value(n: int, mean: float, sd: float) -> float:
    if n < 2:
        return math.nan
    if sd == 0:
        return 1.0 if mean == 0 else math.nan
    return float(2 * special.stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))


def _finite(values: Collection[float]) -> Floats:
    x = np.asarray(list(values), dtype=np.float64)
    if not np.isfinite(x).all():
        raise StudyError(f"{x[~np.isfinite(x)][0]} among the values has no place in a mean; leave out such trials")
    return x


def _scale(*arrays: Floats) -> float:
    return max((float(np.abs(x).max()) for x in arrays if len(x)), default=0.0)
