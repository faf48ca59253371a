"""The error of differences in words: which was chosen, why, what pairing gains, and how p-values are adjusted."""

import math
from typing import Any

import pandas as pd

from study.analysis.stats.error_choice import ErrorChoice
from study.utils.text import plural

COLUMN = "with the error in column 'error'"
OF_ALL = {
    "pooled": "with the error of all cells",
    "replicates": "over replicates",
    "replicates and images": "over replicates and test images",
}


def of_rows(rows: pd.DataFrame) -> str:
    """The error of the rows' intervals, as half a sentence."""
    used = set(rows["error"]) - {""}
    if len(used) > 1:
        return COLUMN
    return OF_ALL.get("".join(used), "paired by replicate")


def is_mixed(rows: pd.DataFrame) -> bool:
    """Whether rows have errors of several kinds."""
    return of_rows(rows) == COLUMN


def adjustment(rows: pd.DataFrame) -> str:
    """How the p-values of a table are adjusted, as part of a sentence."""
    dunnett = "Dunnett" in set(rows["adjustment"])
    return "Dunnett's adjustment (the largest |t|, step-down)" if dunnett else "Holm's correction"


def choice(found: ErrorChoice[Any], metric: str = "test accuracy") -> str:
    """Which error differences of cells have, why, and what pairing by replicate gains; sentences."""
    whose = "of all cells" if found.pooled else "of the paired differences"
    return f"Differences of cells in {metric} have the error {whose}: {found.reason}.{_gain(found)}"


def _gain(found: ErrorChoice[Any]) -> str:
    """What pairing by replicate changes in the variance of a difference."""
    if not math.isfinite(found.gain):
        return ""
    change = "reduces" if found.gain >= 0 else "increases"
    where = f"{plural(found.cells, 'cell')} and {plural(found.n, 'replicate')}"
    return (
        f" Pairing by replicate {change} the variance of a difference by about {abs(100 * found.gain):.0f} % "
        f"(measured on {where})."
    )
