"""The p-values of a region of true differences: that the difference is inside, and that it is outside."""

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from study.design.claim_kinds.claim_kind import Region

Floats = npt.NDArray[np.float64]


def region_p_values(
    mean: npt.ArrayLike, error: npt.ArrayLike, df: npt.ArrayLike, region: Region
) -> tuple[Floats, Floats]:
    """The alphas at which the 1 - alpha interval is just inside the region, and just outside; both of mean's shape.

    `error` is the mean's standard error with `df` degrees of freedom. Each is at most 1, and at most one is below 1.
    """
    centre, spread = np.asarray(mean, dtype=np.float64), np.asarray(error, dtype=np.float64)
    above_low, above_high = (centre - region.low) / spread, (centre - region.high) / spread
    between = np.maximum(stats.t.sf(above_low, df), stats.t.cdf(above_high, df))
    beyond = np.minimum(stats.t.cdf(above_low, df), stats.t.sf(above_high, df))
    between, beyond = np.minimum(2 * between, 1.0), np.minimum(2 * beyond, 1.0)
    return (between, beyond) if region.inside else (beyond, between)
