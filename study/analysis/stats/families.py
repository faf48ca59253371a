"""P-values of a family of differences, adjusted for each other by the method that fits their errors."""

from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import Contrast
from study.analysis.stats.error_choice import ErrorChoice
from study.analysis.stats.max_t import step_down
from study.analysis.stats.pooled_error import weights_of

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
    found = np.array(p_values, dtype=np.float64)
    sizes = [
        choice.pooled.df
        for choice, one in zip(choices, contrasts, strict=True)
        if choice.pooled and choice.pooled.has(one)
    ]
    if not sizes:
        return Adjustment.HOLM, holm(found)
    return Adjustment.DUNNETT, step_down(found, _components(contrasts, choices), min(sizes))


def _components(contrasts: Sequence[Contrast[Any]], choices: Sequence[ErrorChoice[Any]]) -> Floats:
    """(M, C) the weights of independent components in each difference: cells of a metric, or the difference itself."""
    rows: list[dict[object, float]] = [
        {(id(choice), cell): weight for cell, weight in weights_of(found).items()}
        if choice.is_pooled(found)
        else {index: 1.0}
        for index, (found, choice) in enumerate(zip(contrasts, choices, strict=True))
    ]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return np.array([[row.get(column, 0.0) for column in columns] for row in rows])
