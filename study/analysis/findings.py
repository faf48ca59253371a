"""The verdict on a paired difference as text; used by every table."""

import pandas as pd

from study.analysis.stats.power import not_distinguishable
from study.utils.text import points

ALPHA = 0.05


def is_distinguishable(low: float, high: float) -> bool:
    """Whether a 95 % interval excludes zero; False for an interval that is missing or has width 0."""
    return low < high and (low > 0 or high < 0)


def findings(rows: pd.DataFrame, smallest: float) -> list[str]:
    """What rows with `n`, `low`, `high`, `sd` (of the differences) and `p_adjusted` show, in shares from 0 to 1.

    `smallest` is the smallest difference of interest. If a difference is not distinguishable from zero, the
    finding has the number of replicates needed to detect it (power 0.8, two-sided level 0.05, this comparison alone).
    """
    columns = [rows[name].tolist() for name in ("n", "low", "high", "p_adjusted")]
    detected = [_detected(int(n), *numbers) for n, *numbers in zip(*columns, strict=True)]
    others = rows.loc[[found is None for found in detected]]
    ns, sds = others["n"].astype(int).tolist(), others["sd"].tolist()
    undetected = iter(not_distinguishable(ns, sds, smallest, points(smallest)))
    return [next(undetected) if found is None else found for found in detected]


def _detected(n: int, low: float, high: float, p_adjusted: float) -> str | None:
    """The finding, None if the difference is not distinguishable from zero."""
    if n < 2:
        return "not compared yet" if n == 0 else "n = 1, so no interval"
    if low == high:
        return "identical in every replicate, so no test (SD = 0)"
    if not is_distinguishable(low, high):
        return None
    return "distinguishable" if p_adjusted < ALPHA else "distinguishable before, but not after Holm's correction"
