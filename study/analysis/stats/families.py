"""Families of differences, each tested with the error of its metric and adjusted for the others by what that allows.

Claims, effects of levels, cells against the baseline, contrasts, comparisons of pre-training, and parts added and
removed are families of their own. All are tested here, so the same comparison has the same numbers in every table.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Literal

import numpy as np
import numpy.typing as npt

from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import Cell, Contrast
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.estimate import Estimate
from study.analysis.stats.max_t import SharedError, step_down
from study.analysis.stats.pooled_error import PooledError, weights_of

Floats = npt.NDArray[np.float64]

# of all cells together, or of the paired differences; against a number of the replicates, or of both
ErrorKind = Literal["", "pooled", "paired", "replicates", "replicates and images"]


class Adjustment(Enum):
    """By the distribution of the largest |t| (`max_t`), which a pooled error allows, or without that."""

    DUNNETT = "Dunnett"
    HOLM = "Holm"


@dataclass(frozen=True)
class Tested(Generic[Cell]):
    """A difference of a family."""

    contrast: Contrast[Cell]
    estimate: Estimate  # with the chosen error
    p_value: float  # of this difference alone; nan if it is not tested
    p_adjusted: float  # over the family
    is_pooled: bool
    obstacle: str  # why it is not tested, beyond what the contrast states; may be empty
    adjustment: Adjustment

    @property
    def error(self) -> ErrorKind:
        """Of what kind; empty without an interval."""
        if not self.estimate.df > 0:
            return ""
        if not self.contrast.compares_cells:
            return "replicates and images" if self.contrast.shares else "replicates"
        return "pooled" if self.is_pooled else "paired"

    @property
    def df(self) -> float:
        """The error's degrees of freedom; nan without an interval."""
        return float(self.estimate.df) if self.estimate.df > 0 else math.nan

    @property
    def adjusted_by(self) -> str:
        """The name of the adjustment; empty without a test."""
        return "" if math.isnan(self.p_value) else self.adjustment.value


def family_of(
    contrasts: Sequence[Contrast[Cell]],
    choices: Sequence[ErrorChoice[Cell]],
    p_values: Sequence[Callable[[Estimate], float]] | None = None,
) -> list[Tested[Cell]]:
    """The family of these differences, each with the error chosen for its metric.

    `p_values` compute the p-value of each; by default that of the two-sided test that the difference is 0.
    """
    tests = p_values or [Estimate.p_value] * len(contrasts)
    estimates = [choice.estimate(one) for choice, one in zip(choices, contrasts, strict=True)]
    obstacles = [choice.obstacle(one) for choice, one in zip(choices, contrasts, strict=True)]
    alone = [
        np.nan if one.obstacle or obstacle else test(estimate)
        for one, obstacle, test, estimate in zip(contrasts, obstacles, tests, estimates, strict=True)
    ]
    adjustment, adjusted = adjusted_together(alone, contrasts, choices)
    return [
        Tested(one, estimate, p_value, float(p_adjusted), choice.is_pooled(one), obstacle, adjustment)
        for one, choice, estimate, p_value, p_adjusted, obstacle in zip(
            contrasts, choices, estimates, alone, adjusted, obstacles, strict=True
        )
    ]


def adjusted_together(
    p_values: Sequence[float], contrasts: Sequence[Contrast[Any]], choices: Sequence[ErrorChoice[Any]]
) -> tuple[Adjustment, Floats]:
    """The adjusted p-values, nan where there is none; `choices` are the errors of the contrasts' metrics.

    Differences with an error of their own, and those of different metrics, count as independent, which is conservative.
    """
    found, errors = np.array(p_values, dtype=np.float64), _shared_errors(contrasts, choices)
    return (Adjustment.DUNNETT, step_down(found, errors)) if errors else (Adjustment.HOLM, holm(found))


def _shared_errors(contrasts: Sequence[Contrast[Any]], choices: Sequence[ErrorChoice[Any]]) -> list[SharedError]:
    """The pooled errors, one of each metric, with their differences as weighted means of cells."""
    by_error: dict[int, tuple[PooledError[Any], list[int]]] = {}
    for position, (contrast, choice) in enumerate(zip(contrasts, choices, strict=True)):
        if (pooled := choice.pooled) and pooled.has(contrast):
            by_error.setdefault(id(pooled), (pooled, []))[1].append(position)
    return [
        SharedError(positions, _weights([contrasts[i] for i in positions]), pooled.df)
        for pooled, positions in by_error.values()
    ]


def _weights(contrasts: Sequence[Contrast[Any]]) -> Floats:
    """(M, C) the weight of each cell in each difference."""
    rows = [weights_of(contrast) for contrast in contrasts]
    cells = list(dict.fromkeys(cell for row in rows for cell in row))
    return np.array([[row.get(cell, 0.0) for cell in cells] for row in rows])
