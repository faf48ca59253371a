"""The error of differences from all cells together, with a guard: as precise as the data allow, and no cell is trusted
to vary less than the others.

The model is value = cell + replicate + error. Its mean square has (C - 1)(n - 1) degrees of freedom, where a paired
t-test has n - 1: with few replicates, that is most of the power. But a common error is wrong for a cell that varies
more than the others, and with few replicates no test of equal spreads finds that reliably. So

- the variance of a cell is the larger of the mean square and the cell's own (Grubbs 1948, J. Am. Stat. Assoc. 43:243,
  which is unbiased whatever the other cells' variances);
- the variance of a difference is at least that of its paired differences, which counts correlations between cells;
- the degrees of freedom are (n - 1) times the smaller of C - 1 and n - 2: beyond that, what is not known about single
  cells dominates.

Simulated without any effect (`calibrate`), this keeps 5 % for one cell with 2 to 10 times the spread, the baseline too,
for spreads that grow over a 25-fold range, and for groups of cells that share an effect of the replicate.

Shapes: S studies, N replicates, C cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
import numpy.typing as npt

from study.analysis.stats.contrasts import Cell, Contrast
from study.analysis.stats.estimate import Estimate

Floats = npt.NDArray[np.float64]

LEAST_CELLS = 3  # with fewer, the variances of single cells are not determined


@dataclass(frozen=True)
class PooledError(Generic[Cell]):
    """The guarded variance of one value of each cell, in the squared unit of the metric."""

    variances: Mapping[Cell, float]
    df: int

    def has(self, contrast: Contrast[Cell]) -> bool:
        """Whether it applies: a difference of these cells, in which effects of the replicate cancel."""
        weights = {} if contrast.lost else weights_of(contrast)
        return any(weights.values()) and weights.keys() <= self.variances.keys() and abs(sum(weights.values())) < 1e-9

    def estimate(self, contrast: Contrast[Cell]) -> Estimate:
        """The same mean as the paired estimate, with this error."""
        paired = contrast.estimate()
        variance = sum(weight**2 * self.variances[cell] for cell, weight in weights_of(contrast).items())
        error = float(np.sqrt(np.fmax(variance, paired.sd**2) / paired.n))
        return Estimate(paired.mean, error, self.df, paired.n)


def weights_of(contrast: Contrast[Cell]) -> dict[Cell, float]:
    """The weight of each cell's mean in a difference."""
    weights: dict[Cell, float] = {}
    for sign, cell in contrast.entered:
        weights[cell] = weights.get(cell, 0.0) + sign / contrast.sets
    return weights


def pooled_error(cells: Sequence[Cell], values_NC: Floats) -> PooledError[Cell]:
    """From the results of at least three cells, each with all replicates."""
    variances = guarded_variances(values_NC[None])[0]
    return PooledError(dict(zip(cells, map(float, variances), strict=True)), guarded_df(*values_NC.shape))


def guarded_variances(values_SNC: Floats) -> Floats:
    """(S, C) for each cell the larger of its own variance and the mean square."""
    residuals_SNC = _residuals(values_SNC)
    _, n, count = values_SNC.shape
    squares_SC = (residuals_SNC**2).sum(axis=1) / (n - 1)
    mean_square_S1 = squares_SC.sum(axis=1, keepdims=True) / (count - 1)
    own_SC = (squares_SC - mean_square_S1 / count) / (1 - 2 / count)
    return np.asarray(np.maximum(own_SC, mean_square_S1))


def mean_squares(values_SNC: Floats) -> Floats:
    """(S,) residual mean squares of value = cell + replicate + error."""
    _, n, count = values_SNC.shape
    return np.asarray((_residuals(values_SNC) ** 2).sum(axis=(1, 2)) / ((n - 1) * (count - 1)))


def guarded_df(n: int, count: int) -> int:
    """Degrees of freedom with `count` cells of n replicates."""
    return (n - 1) * min(count - 1, n - 2)


def _residuals(values_SNC: Floats) -> Floats:
    centred_SNC = values_SNC - values_SNC.mean(axis=1, keepdims=True)
    return np.asarray(centred_SNC - centred_SNC.mean(axis=2, keepdims=True))
