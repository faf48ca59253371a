"""P-values of a family of differences, adjusted for each other by the method that fits their errors."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.max_t import SharedError, step_down
from study.analysis.stats.pooled_error import PooledError, weights_of

Floats = npt.NDArray[np.float64]


class Adjustment(Enum):
    """By the distribution of the largest |t| (`max_t`), which a pooled error allows, or without that."""

    DUNNETT = "Dunnett"
    HOLM = "Holm"


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
