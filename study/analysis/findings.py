"""What a paired difference shows, in words: the same in every table."""

import pandas as pd

from study.analysis.stats.power import not_distinguishable
from study.utils.text import points

ALPHA = 0.05


def is_distinguishable(low: float, high: float) -> bool:
    """Whether a 95 % interval leaves zero out; an interval that is not there or has no width shows nothing."""
    return low < high and (low > 0 or high < 0)


def findings(rows: pd.DataFrame, smallest: float) -> list[str]:
    """What rows with `n`, `low`, `high`, `sd` (of the differences) and `p_adjusted` show, in shares from 0 to 1.

    `smallest` is the smallest difference worth seeing: where nothing is seen, how many replicates it would take (for a
    power of 0.8 at a two-sided level of 0.05, the other comparisons aside).
    """
    columns = [rows[name].tolist() for name in ("n", "low", "high", "p_adjusted")]
    seen = [_seen(int(n), *numbers) for n, *numbers in zip(*columns, strict=True)]
    others = rows.loc[[found is None for found in seen]]
    ns, sds = others["n"].astype(int).tolist(), others["sd"].tolist()
    unseen = iter(not_distinguishable(ns, sds, smallest, points(smallest)))
    return [next(unseen) if found is None else found for found in seen]


def _seen(n: int, low: float, high: float, p_adjusted: float) -> str | None:
    """What there is to say, None where the difference is not distinguishable from zero."""
    if n < 2:
        return "not compared yet" if n == 0 else "n = 1, so no interval"
    if low == high:
        return "the same in every replicate: without spread there is no test"
    if not is_distinguishable(low, high):
        return None
    return "distinguishable" if p_adjusted < ALPHA else "distinguishable alone, but not after Holm's correction"
