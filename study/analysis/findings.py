"""What a difference shows: whether it is distinguishable from zero, and how it compares with the margin.

*Distinguishable* is always meant after the correction for all comparisons of a table: if no change has any effect, each
is distinguishable by its own 95 % interval in 5 % of studies, and with eight of them more than a quarter of studies
report one (`nox -s calibrate` measures it).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.forecast import Spread, not_distinguishable
from study.utils.text import points

ALPHA = 0.05
LARGER, SMALLER, UNCLEAR = "larger", "smaller", "unclear"  # than the margin

NOT_TESTED = "not tested: replicates failed or have no result"

Floats = npt.NDArray[np.float64]


def judged(rows: pd.DataFrame, margin: float) -> pd.DataFrame:
    """The same rows with `distinguishable`, and `size` compared with the margin: larger, smaller, unclear or "".

    `rows` are one family of comparisons, in shares: `n`, `difference`, its own 95 % interval `low` to `high`,
    `p_adjusted`, and if the error is not that of n paired differences its degrees of freedom `df`. `size` compares the
    simultaneous (Bonferroni) interval with the margin in both directions, so the probability that any row of the table
    has a false size is at most 5 %.
    """
    low, high = _simultaneous(rows)
    known = ((rows["low"] < rows["high"]) & rows["p_adjusted"].notna()).to_numpy(dtype=bool)
    larger, smaller = (low > margin) | (high < -margin), (low > -margin) & (high < margin)
    sizes = np.select([~known, larger, smaller], ["", LARGER, SMALLER], UNCLEAR)
    distinguishable = (rows["p_adjusted"].astype(float) < ALPHA).to_numpy(dtype=bool)
    return rows.assign(distinguishable=distinguishable, size=pd.Series(sizes, rows.index, dtype=str))


def _simultaneous(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """The ends of the rows' intervals at confidence 1 - ALPHA / (number of rows)."""
    difference, low, high = (rows[name].to_numpy(dtype=np.float64) for name in ("difference", "low", "high"))
    df = np.maximum(rows["df" if "df" in rows else "n"].to_numpy(dtype=np.float64) - ("df" not in rows), 1.0)
    half = np.fmax(high - difference, difference - low)  # one end may be cut at the limit of an accuracy
    factor = stats.t.isf(ALPHA / 2 / max(len(rows), 1), df) / stats.t.isf(ALPHA / 2, df)
    return difference - factor * half, difference + factor * half


def findings(rows: pd.DataFrame, margin: float) -> list[str]:
    """What each row of `judged` shows, in a few words; `sd` is the standard deviation of the differences.

    If a difference is not distinguishable from zero, the finding has the range of replicates needed to detect one as
    large as the margin (power 0.8, two-sided level 0.05, this comparison alone).
    """
    rows = judged(rows, margin)
    found = [_found(row, margin) for _, row in rows.iterrows()]
    others = rows.loc[[text is None for text in found]]
    spreads = [_spread(row) for _, row in others.iterrows()]
    ns = others["n"].astype(int).tolist()
    added = [_df(row) / max(row["n"] - 1, 1) for _, row in others.iterrows()]
    undetected = iter(not_distinguishable(ns, spreads, margin, points(margin), added))
    return [next(undetected) if text is None else text for text in found]


def _spread(row: pd.Series) -> Spread | None:
    """The row's standard deviation with its interval; None if it is not known, or 0."""
    return Spread.of(row["sd"], _df(row), 1.0) if _df(row) > 0 and row["sd"] > 0 else None


def _df(row: pd.Series) -> float:
    return float(row.get("df", row["n"] - 1))


def _found(row: pd.Series, margin: float) -> str | None:
    """The finding; None if the difference is not distinguishable from zero, and may be as large as the margin."""
    if row["n"] == 0:
        return NOT_TESTED if row.get("note") else "not compared yet"
    if pd.isna(row["low"]):
        return no_interval(row["n"])
    if row["low"] == row["high"]:
        return "identical in every replicate, so no test (SD = 0)"
    if pd.isna(row["p_adjusted"]) or row["distinguishable"] or row["size"] == SMALLER:
        return in_words(row, points(margin))
    if row["low"] > 0 or row["high"] < 0:
        return "not distinguishable after the correction for all comparisons, only by its own interval"
    return None


def no_interval(n: int) -> str:
    """Why a difference has no interval."""
    return "n = 1, so no interval" if n == 1 else "no estimate of the error, so no interval"


def in_words(row: pd.Series, margin: str) -> str:
    """The verdict on a row of `judged` with an interval; `margin` names the smallest difference of interest."""
    if pd.isna(row["p_adjusted"]):
        return NOT_TESTED
    if not row["distinguishable"]:
        return f"not distinguishable, and smaller than {margin}" if row["size"] == SMALLER else "not distinguishable"
    sizes = {LARGER: "and larger than", SMALLER: "but smaller than", UNCLEAR: "not clearly larger than"}
    return f"distinguishable, {sizes[row['size']]} {margin}" if row["size"] else "distinguishable"


def count_sizes(rows: Sequence[str]) -> str:
    """How many of these sizes are which: 1 larger, 2 not clearly larger."""
    names = {LARGER: "larger", SMALLER: "smaller", UNCLEAR: "not clearly larger"}
    return ", ".join(f"{rows.count(size)} {name}" for size, name in names.items() if size in rows)
