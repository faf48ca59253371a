"""One line of the calibration: what is measured, in which setting, and its bounds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

INFINITY = math.inf


@dataclass(frozen=True)
class Question:
    """One line of the table: what is measured, in which setting, and its bounds (none: for information only)."""

    measure: str
    setting: str
    share: int  # 1 / share of the requested studies are simulated: some questions are slow
    hits: Callable[[int, np.random.Generator], Floats]  # studies -> (studies,) 0 to 1 each
    low: float = -INFINITY
    high: float = INFINITY
