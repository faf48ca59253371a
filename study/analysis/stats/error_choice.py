"""Which error a study's differences of a metric are tested with: that of all cells, or that of the paired differences.

The choice is made once for a metric, from the spread of its results and never from their differences:

- fewer than `LEAST_REPLICATES` replicates or three cells: paired. Three replicates are too few to know the spread of a
  single cell. With (n - 1)(cells - 1) degrees of freedom, a pooled error gave false verdicts in 7 to 9 % of simulated
  studies with one noisier cell; with those of `pooled_error`, which are 2 then, it finds less than the paired test.
- the spreads of the cells differ (`spread`): paired. A noisy cell would make all differences imprecise.
- else pooled, guarded against what the test of spreads misses (`pooled_error`).

Whether the results are skewed (`shape`) does not change the choice. It is stated beside the verdicts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

import numpy as np
import numpy.typing as npt

from study.analysis.stats.contrasts import Cell, Contrast
from study.analysis.stats.estimate import Estimate
from study.analysis.stats.matched_sets import Values
from study.analysis.stats.near_end import near_end
from study.analysis.stats.pooled_error import LEAST_CELLS, PooledError, mean_squares, pooled_error
from study.analysis.stats.shape import Shape, shape
from study.analysis.stats.spread import LEVEL, Spread, equal_spread_p_values, spread

Floats = npt.NDArray[np.float64]

LEAST_REPLICATES = 4
UNEQUAL = "skewed, unequal spreads"  # the condition under which false verdicts are not as rare as promised
_ROUNDING = 1e-9  # relative to the largest value


@dataclass(frozen=True)
class ErrorChoice(Generic[Cell]):
    """The choice, why, and what pairing gains."""

    pooled: PooledError[Cell] | None  # None: each difference has the error of its paired differences
    reason: str  # as in "equal spread of the cells is not accepted"
    n: int  # replicates that the cells below have
    cells: int  # with all replicates
    spread: Spread
    correlation: float  # mean correlation of two cells over replicates; nan if not known
    shape: Shape
    near_end: frozenset[Cell] = frozenset()  # cells whose shares are too close to 0 or 1 for a t interval of the mean

    @property
    def gain(self) -> float:
        """The share by which pairing by replicate reduces the variance of a difference; negative if it adds."""
        return self.correlation

    @property
    def condition(self) -> str:
        """What the results show of the conditions under which false verdicts are as rare as promised."""
        if not self.shape.tested:
            return "not tested"
        if not self.shape.is_skewed:
            return "no sign of skew"
        return UNEQUAL if self.spread.differs else "skewed"

    def is_pooled(self, contrast: Contrast[Cell]) -> bool:
        return self.pooled is not None and self.pooled.has(contrast)

    def obstacle(self, contrast: Contrast[Cell]) -> str:
        """Why no test can rest on it: it compares a mean near 0 or 1 with a number, and the error of the images is not
        known. Empty if one can."""
        if contrast.compares_cells or contrast.shares or self.near_end.isdisjoint(contrast.cells):
            return ""
        return (
            "the mean is too close to the end of the scale (0 or 100 %) for its spread over replicates: a t-test "
            "against a number is unreliable there, and a test over replicates and images needs a test accuracy with "
            "stored predictions of all replicates on the same images; compare with another cell"
        )

    def estimate(self, contrast: Contrast[Cell]) -> Estimate:
        """With the chosen error; differences of other cells, and from a number, have their own."""
        return self.pooled.estimate(contrast) if self.pooled and self.pooled.has(contrast) else contrast.estimate()


def choose(results: Mapping[Cell, Values], is_share: bool = False) -> ErrorChoice[Cell]:
    """The error for these results, one metric of each cell by replicate. Cells without all replicates are left out.

    `is_share`: whether the metric is a share from 0 to 1.
    """
    replicates = sorted({replicate for values in results.values() for replicate in values})
    whole = [cell for cell, values in results.items() if values and len(values) == len(replicates)]
    values_NC = np.array([[results[cell][r] for cell in whole] for r in replicates]).reshape(
        len(replicates), len(whole)
    )
    found, correlation = spread(list(values_NC.T)), correlation_of(values_NC)
    reason = _against(values_NC, found)
    pooled = None if reason else pooled_error(whole, values_NC)
    return ErrorChoice(
        pooled,
        reason or f"no sign that the spread of the cells differs (Brown-Forsythe p = {found.p_value:.2f})",
        *values_NC.shape,
        found,
        correlation,
        shape(list(values_NC.T), correlation),
        frozenset(cell for cell, values in results.items() if is_share and _is_near_end(values)),
    )


def _is_near_end(values: Values) -> bool:
    return bool(near_end(np.array([list(values.values())], dtype=np.float64))[0])


def may_pool(values_SNC: Floats) -> npt.NDArray[np.bool_]:
    """(S,) whether the error of simulated studies is pooled: `choose`, vectorised."""
    _, n, count = values_SNC.shape
    if n < LEAST_REPLICATES or count < LEAST_CELLS:
        return np.zeros(len(values_SNC), dtype=np.bool_)
    return np.asarray(equal_spread_p_values(list(np.moveaxis(values_SNC, 2, 0))) >= LEVEL)


def _against(values_NC: Floats, found: Spread) -> str:
    """The reason for paired differences; empty if the error is pooled."""
    n, count = values_NC.shape
    if count < LEAST_CELLS:
        return f"a pooled error needs {LEAST_CELLS} cells with all replicates, found {count}"  # never one
    if n < LEAST_REPLICATES:
        return f"a pooled error needs {LEAST_REPLICATES} replicates, found {n}"  # never one
    if not found.tested or mean_squares(values_NC[None])[0] <= (_ROUNDING * np.abs(values_NC).max()) ** 2:
        return "the results hardly vary, so the spreads of the cells cannot be compared"
    if found.differs:
        return f"equal spread of the cells is not accepted (Brown-Forsythe p = {found.p_value:.3f}, below {LEVEL:g})"
    return ""


def correlation_of(values_NC: Floats) -> float:
    """The mean covariance of two cells over their mean variance, from (N, C): 1 - mean square / mean variance."""
    n, count = values_NC.shape
    if n < 2 or count < 2:
        return math.nan
    variance = float(values_NC.var(axis=0, ddof=1).mean())
    return 1 - float(mean_squares(values_NC[None])[0]) / variance if variance > 0 else math.nan
