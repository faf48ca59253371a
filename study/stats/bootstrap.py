"""A bootstrap interval, as a check on the t interval."""

import math
from collections.abc import Collection

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.stats.intervals import interval


def bootstrap_interval(
    values: Collection[float], level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> tuple[float, float]:
    """Low and high end of the BCa interval of the mean (Efron 1987, J. Am. Stat. Assoc. 82:171-185).

    The same values and seed give the same interval. It makes no assumption on the shape of the distribution, but it
    can only draw from the values it has: under 10 of them it is too narrow (`calibrate` measures by how much). Where
    it reaches far beyond the t interval or is clearly off its centre, the values are skewed or have outliers.
    Fewer than 3 values give nan.

    Raises StudyError for values that are not finite, and for a level outside (0, 1).
    """
    plain = interval(values, level)
    if plain.n < 3:
        return math.nan, math.nan
    if plain.sd == 0:
        return plain.mean, plain.mean
    found = stats.bootstrap(
        (np.asarray(list(values), dtype=np.float64),),
        np.mean,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
