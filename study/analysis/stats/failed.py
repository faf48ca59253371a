"""Failed trials are outcomes: which cells have them, and how they count in comparisons.

A trial fails if its training diverges, runs out of memory or crashes, or if its stored result is damaged. Results that
are missing because of what they would have been bias every comparison: if the worst tenth of runs fails, the mean of
the others is too high. So by default nothing that a failed trial is part of is decided.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

import pandas as pd

from study.design.comparison import Factors, Labels
from study.design.failures import EFFECT, FailureRule
from study.design.metrics import METRICS
from study.utils.text import plural

FAILED = "failed"  # status of a trial
MOST = 3  # cells that a note lists


@dataclass(frozen=True)
class Failed:
    """The failed replicates of a cell, by its name."""

    cell: str
    count: int
    ended: int  # replicates that have a result or failed

    def __str__(self) -> str:
        return f"{self.count} of {plural(self.ended, 'replicate')} of {self.cell} failed"


def failed_by_cell(data: pd.DataFrame, factors: Factors) -> dict[Labels, Failed]:
    """The cells with failed trials; `data` is as for `results_by_cell`, and without `status` none has failed."""
    if "status" not in data.columns:
        return {}
    ended = data[data["status"].isin(["done", FAILED])]
    labels = list(ended[list(factors)].astype(str).itertuples(index=False, name=None))
    found: dict[Labels, list[bool]] = {}
    for cell, status in zip(labels, ended["status"], strict=True):
        found.setdefault(cell, []).append(status == FAILED)
    return {cell: Failed(_name(cell, factors), sum(own), len(own)) for cell, own in found.items() if any(own)}


def _name(cell: Labels, factors: Factors) -> str:
    """As `Cell.name`: the levels that differ from the baseline."""
    changed = ((name, label) for name, label in zip(factors, cell, strict=True) if label != factors[name][0])
    return ", ".join(f"{name}={label}" for name, label in changed) or "baseline"


def counted(data: pd.DataFrame, rule: FailureRule) -> pd.DataFrame:
    """The data with failed trials as `rule` counts them: with `worst`, each has the worst value of every metric that
    has one."""
    if rule != "worst" or "status" not in data.columns:
        return data
    worst = {name: METRICS[name].worst for name in data.columns if name in METRICS}
    failed = data["status"] == FAILED
    return data.assign(**{name: data[name].mask(failed, value) for name, value in worst.items() if value is not None})


def as_failed(data: pd.DataFrame, factors: Factors, trials: Set[tuple[Labels, int]]) -> pd.DataFrame:
    """The data as they were when these trials, by cell and replicate, had failed."""
    if not trials:
        return data
    cells = zip(*(data[name].astype(str) for name in factors), strict=True)
    failed = [trial in trials for trial in zip(cells, data["replicate"].astype(int), strict=True)]
    then = data.copy()
    then.loc[failed, [name for name in data.columns if name in METRICS]] = float("nan")
    then.loc[failed, "status"] = FAILED
    return then


def note(failed: Iterable[Failed], rule: FailureRule) -> str:
    """Which replicates failed and how they count, without a full stop; empty if none did."""
    found = list(failed)
    if not found:
        return ""
    listed = ", ".join(map(str, found[:MOST]))
    more = f", and some of {plural(len(found) - MOST, 'more cell')}" if len(found) > MOST else ""
    return f"{listed}{more}: {EFFECT[rule]}"
