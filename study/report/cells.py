"""One row per cell that was to be run: its mean with a 95 % interval, and its difference from the baseline."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from study.report.facts import CellFacts
from study.stats.intervals import interval, paired_difference

if TYPE_CHECKING:
    from study.report.results import Results

SIZES = ("params", "params_active", "macs", "macs_active")


def cells(results: "Results") -> pd.DataFrame:
    """One row per cell, in the study's order; accuracies and differences are shares from 0 to 1.

    n, mean, low, high            test accuracy over finished trials, with its 95 % interval (nan for n = 1)
    difference*, p_value, pairs   from the baseline, paired by replicate; nan for the baseline itself
    params* and macs*             of any finished trial: all trials of a cell have the same; NA if there is none
    train_seconds, pretrain_seconds, val_accuracy    means
    front                         whether no other cell has at most its parameters and at least its mean
    """
    facts = results.facts
    trials = dict(list(results.trials.groupby("cell", sort=False)))
    rows = pd.DataFrame(
        [_row(results, number, cell, trials[cell.name]) for number, cell in enumerate(facts.included, start=1)]
    )
    rows = rows.astype(dict.fromkeys(SIZES, "Int64"))
    return rows.assign(front=on_front(rows["params"], rows["mean"]))


def on_front(params: pd.Series, mean: pd.Series) -> list[bool]:
    """The Pareto front of fewest parameters and highest mean; of equals, all. Cells without either are not on it."""
    points = [(None if pd.isna(p) or pd.isna(m) else (int(p), float(m))) for p, m in zip(params, mean, strict=True)]
    known = [point for point in points if point is not None]
    return [point is not None and not any(_beats(other, point) for other in known) for point in points]


def _beats(one: tuple[int, float], other: tuple[int, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


def _row(results: "Results", number: int, cell: CellFacts, trials: pd.DataFrame) -> dict[str, object]:
    done = trials[trials["status"] == "done"]
    values, baseline = results.accuracies[cell.name], results.accuracies[results.facts.cells[0].name]
    mean = interval(list(values.values()))
    row: dict[str, object] = {"number": number, "cell": cell.name, "n": mean.n, "mean": mean.mean}
    row |= {"low": mean.low, "high": mean.high}
    row |= _difference(values, baseline if cell.changed else {})
    for name in SIZES:
        row[name] = next((int(value) for value in done[name].dropna()), None)
    for name in ("val_accuracy", "train_seconds", "pretrain_seconds"):
        row[name] = float(done[name].mean()) if len(done) else math.nan
    for status in ("failed", "missing"):
        row[status] = int((trials["status"] == status).sum())
    return row


def _difference(values: dict[int, float], baseline: dict[int, float]) -> dict[str, object]:
    found = paired_difference(values, baseline)
    return {
        "pairs": found.n,
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
        "p_value": found.p_value,
    }
