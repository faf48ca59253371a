"""A logarithmic axis of parameters, with ticks such as 500 k and 2 M."""

import math
from typing import TYPE_CHECKING

import numpy as np

from study.utils import formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 7  # ticks


def log_parameters(axes: "Axes") -> None:
    """Make the x axis logarithmic, at least 1.3-fold wide, and write a few round ticks on it."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < 1.3:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(1.3), middle * math.sqrt(1.3)
        axes.set_xlim(low, high)
    ticks = round_ticks(low, high)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([_written(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("parameters")


def round_ticks(low: float, high: float) -> list[float]:
    """Up to seven round numbers in a range of positive numbers: the roundest set with at least three."""
    for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10)), _steps(0.5), _steps(0.2), _steps(0.1), _steps(0.05)):
        ticks = [
            digit * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for digit in digits
            if low <= digit * 10.0**power <= high
        ]
        if len(ticks) >= 3:
            return ticks[:: -(-len(ticks) // MOST)]
    return [low, high]


def _steps(step: float) -> tuple[float, ...]:
    return tuple(float(value) for value in np.round(np.arange(1, 10, step), 2))


def _written(number: float) -> str:
    """Without trailing zeros: 500 k, not 500.0 k."""
    shown = formats.short(number)
    digits, _, unit = shown.partition(" ")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits} {unit}".rstrip()
