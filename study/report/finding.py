"""What a paired difference shows, in words: the same in every table."""

import pandas as pd

from study.stats.power import not_distinguishable
from study.words import points

ALPHA = 0.05


def is_distinguishable(low: float, high: float) -> bool:
    """Whether a 95 % interval leaves zero out; an interval that is not there or has no width shows nothing."""
    return low < high and (low > 0 or high < 0)


def finding(row: pd.Series, smallest: float) -> str:
    """What a row with `n`, `low`, `high`, `sd` (of the differences) and `p_adjusted` shows, in shares from 0 to 1.

    `smallest` is the smallest difference worth seeing: where nothing is seen, how many replicates it would take (for a
    power of 0.8 at a two-sided level of 0.05, the other comparisons aside).
    """
    n = int(row["n"])
    if n < 2:
        return "not compared yet" if n == 0 else "n = 1, so no interval"
    if row["low"] == row["high"]:
        return "the same in every replicate: without spread there is no test"
    if not is_distinguishable(row["low"], row["high"]):
        return not_distinguishable(n, row["sd"], smallest, points(smallest))
    return "distinguishable" if row["p_adjusted"] < ALPHA else "distinguishable alone, but not after Holm's correction"
