"""Multiple testing: p-values adjusted so that the family-wise error rate is controlled."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> Floats:
    """Holm-adjusted p-values along the last axis, of the same shape.

    The i-th smallest of m is multiplied by m - i + 1, capped at 1 and made non-decreasing (Holm 1979, Scand. J.
    Statist. 6:65-70). Rejecting where the result is at most alpha keeps the probability of any false rejection at or
    below alpha, for any dependence between the tests. A test without a p-value (nan) stays nan and counts in m: the
    family is fixed before the data are seen.
    """
    p = np.asarray(p_values, dtype=np.float64)
    filled = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(filled, axis=-1, kind="stable")
    factors = np.arange(p.shape[-1], 0, -1)
    stepped = np.maximum.accumulate(np.take_along_axis(filled, order, -1) * factors, axis=-1)
    adjusted = np.empty_like(filled)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), -1)
    return np.where(np.isnan(p), np.nan, adjusted)
