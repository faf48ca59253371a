"""One row per cell that was to be run: its mean with 95 % intervals, and its difference from the baseline."""

import math
from typing import TYPE_CHECKING

import pandas as pd

from study.report.facts import CellFacts
from study.report.shares import share, share_difference
from study.stats.adjust import holm
from study.stats.bootstrap import bootstrap_interval

if TYPE_CHECKING:
    from study.report.results import Results

SIZES = ("params", "params_active", "macs", "macs_active")
RESAMPLES = 1_999  # of the bootstrap: enough for a check, and a millisecond each for thousands of cells
KEY_DIGITS = 12  # of a trial's key, as in the table of every trial
OFF_CENTRE, BEYOND = 0.3, 0.2  # of half the t interval; under 5 in 100 cells with normal results reach either


def cells(results: "Results") -> pd.DataFrame:
    """One row per cell, in the study's order; accuracies and differences are shares from 0 to 1.

    n, mean, low, high, sd        test accuracy over finished trials, with its 95 % t interval (nan for n = 1)
    bootstrap_low, bootstrap_high its 95 % BCa bootstrap interval, as a check (nan below n = 3)
    difference*, p_value, pairs   from the baseline, paired by replicate; nan for the baseline itself
    p_adjusted                    Holm's, over all cells that are compared with the baseline
    effect_size                   Hedges' g_av of that difference: in units of the two cells' own spread, see
                                  `study.stats.intervals.hedges_g_av`
    keys                          first digits of the keys of the trials it rests on, which lead to them
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
    rows.loc[1:, "p_adjusted"] = holm(rows.loc[1:, "p_value"].to_numpy(dtype=float))
    return rows.assign(front=on_front(rows["params"], rows["mean"]))


def skewed(rows: pd.DataFrame) -> pd.DataFrame:
    """The cells whose bootstrap interval is clearly off the t interval, which then is to be read with caution.

    Off its centre, or reaching beyond it. Under ten replicates a bootstrap interval is too narrow (it can only draw
    from the values there are), so being narrower says nothing.
    """
    below, above = rows["mean"] - rows["bootstrap_low"], rows["bootstrap_high"] - rows["mean"]
    # of the t interval one side may be cut at 0 or 1, and the other is then as long as it should be
    half = pd.concat([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], axis=1).max(axis=1)
    off_centre, reach = (above - below).abs() / 2, pd.concat([below, above], axis=1).max(axis=1)
    return rows[(off_centre > OFF_CENTRE * half) | (reach > (1 + BEYOND) * half)]


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
    mean = share(list(values.values()))
    row: dict[str, object] = {"number": number, "cell": cell.name, "n": mean.n, "mean": mean.mean}
    row |= {"low": mean.low, "high": mean.high, "sd": mean.sd}
    checked = bootstrap_interval(list(values.values()), resamples=RESAMPLES)
    row |= zip(("bootstrap_low", "bootstrap_high"), checked, strict=True)
    row |= _difference(values, baseline if cell.changed else {})
    for name in SIZES:
        row[name] = next((int(value) for value in done[name].dropna()), None)
    for name in ("val_accuracy", "train_seconds", "pretrain_seconds"):
        row[name] = float(done[name].mean()) if len(done) else math.nan
    for status in ("failed", "missing"):
        row[status] = int((trials["status"] == status).sum())
    row["keys"] = " ".join(done["key"].str[:KEY_DIGITS])
    return row


def _difference(values: dict[int, float], baseline: dict[int, float]) -> dict[str, object]:
    found = share_difference(values, baseline)
    return {
        "pairs": found.n,
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
        "difference_sd": found.sd,
        "p_value": found.p_value,
        "p_adjusted": math.nan,  # known when all cells are
        "effect_size": found.effect_size,
    }
