"""A series of numbers as one line of bars."""

import math
from collections.abc import Sequence
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40  # at most; longer series are averaged in groups


def sparkline(values: Sequence[float]) -> str:
    """One bar per value, from the smallest, with the lowest bar, to the largest; a space for a number that is not
    finite."""
    values = _averaged(values)
    finite = [value for value in values if math.isfinite(value)]
    low, span = min(finite, default=0.0), max(finite, default=0.0) - min(finite, default=0.0)
    return "".join(_bar(value, low, span) for value in values)


def _bar(value: float, low: float, span: float) -> str:
    if not math.isfinite(value):
        return " "
    return BARS[round((value - low) / span * (len(BARS) - 1))] if span > 0 else BARS[0]


def _averaged(values: Sequence[float]) -> list[float]:
    if len(values) <= WIDTH:
        return list(values)
    ends = [round(i * len(values) / WIDTH) for i in range(WIDTH + 1)]
    return [math.fsum(values[start:end]) / (end - start) for start, end in pairwise(ends)]
