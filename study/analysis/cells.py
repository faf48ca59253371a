"""One row per included cell: its mean with 95 % intervals, and its difference from the baseline on its data set."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from study.analysis import differences, items
from study.analysis.accuracy_intervals import share
from study.analysis.data_sets import data_sets_of, references
from study.analysis.results import Results
from study.analysis.short_keys import KEY_DIGITS
from study.analysis.stats.bootstrap import bootstrap_intervals
from study.analysis.stats.intervals import common, hedges_g_av

SIZES = ("params", "params_active", "macs", "macs_active")
MEANS = ("val_accuracy", "train_seconds", "pretrain_seconds")
VALIDATION, TEST = "validation", "test"
RESAMPLES = 1_999  # of the bootstrap, which is only a check
OFF_CENTRE, BEYOND = 0.3, 0.2  # of half the t interval; fewer than 5 % of cells with normal results reach either

Accuracies = Mapping[str, Mapping[int, float]]  # cell -> replicate -> test accuracy
Interval = tuple[float, float]


def bootstrap(results: Results) -> list[Interval]:
    """The 95 % BCa bootstrap interval of each included cell's mean test accuracy; nan below n = 3."""
    values = [list(results.accuracies[cell.name].values()) for cell in results.facts.included]
    return bootstrap_intervals(values, resamples=RESAMPLES)


def cells(results: Results, checks: Sequence[Interval]) -> pd.DataFrame:
    """One row per cell, in the study's order; accuracies and differences are shares from 0 to 1.

    n, mean, low, high, sd        test accuracy over finished trials, with its 95 % t interval (nan for n = 1)
    item_low, item_high           its 95 % interval over replicates and test images (see `study.analysis.items`); nan
                                  where a trial was stored without its predictions
    bootstrap_low, bootstrap_high its 95 % BCa bootstrap interval, a check on the t interval (`checks`)
    data_set                      what it is fine-tuned on, if the study has several data sets; else empty
    reference                     the cell that it is compared with: the baseline, or its counterpart on the same data
                                  set (see `study.analysis.data_sets.references`); empty if it is that cell itself
    difference*, p_value, pairs   from the reference, over common replicates; nan without one
    p_adjusted, adjustment        over all these comparisons
    error, difference_df          of the difference; see `study.analysis.differences`
    note                          failed replicates of the cell and of the reference, and how they count
    effect_size                   Hedges' g_av of that difference, in units of the mean SD of the two cells, see
                                  `study.analysis.stats.intervals.hedges_g_av`
    keys                          first digits of the keys of the cell's finished trials
    params* and macs*             of any finished trial (all trials of a cell have the same); NA if there is none
    train_seconds, pretrain_seconds, val_accuracy    means
    front                         whether no other cell on its data set has at most its parameters and at least its
                                  validation accuracy; see `selected_on`
    """
    compared_with, found = references(results.facts), data_sets_of(results.facts)
    data_set = {cell.name: one.name for one in found.sets for cell in one.cells} if found else {}
    facts, done, images = results.facts, results.done, items.by_cell(results)
    values = {cell.name: list(results.accuracies[cell.name].values()) for cell in facts.included}
    trials_of = done.groupby("cell", sort=False).indices
    columns = {name: done[name].to_numpy() for name in (*SIZES, *MEANS, "key")}
    counts = Counter(zip(results.trials["cell"], results.trials["status"], strict=True))
    compared = [cell.name for cell in facts.included if compared_with[cell.name] != cell]
    pairs = [[(name, compared_with[name].name)] for name in compared]
    tested = dict(zip(compared, differences.family(results, pairs), strict=True))
    rows = []
    for number, (cell, interval) in enumerate(zip(facts.included, checks, strict=True), start=1):
        own = {name: column[trials_of.get(cell.name, [])] for name, column in columns.items()}
        row = {"number": number, "cell": cell.name, **_accuracy(values[cell.name], interval)}
        reference = compared_with[cell.name]
        row |= {"data_set": data_set.get(cell.name, ""), "reference": reference.name if reference != cell else ""}
        row |= dict(zip(("item_low", "item_high"), items.interval_of(cell.name, images), strict=True))
        row |= differences.from_reference(tested.get(cell.name))
        row |= {"effect_size": _effect_size(results, cell.name, reference.name)}
        row |= _finished(own)
        row |= {status: counts[cell.name, status] for status in ("failed", "missing")}
        rows.append(row | {"keys": " ".join(key[:KEY_DIGITS] for key in own["key"])})
    table = pd.DataFrame(rows)
    table = table.astype(dict.fromkeys(SIZES, "Int64"))
    return table.assign(front=_front(table))


def _front(table: pd.DataFrame) -> "pd.Series[bool]":
    """Whether each cell is on the Pareto front of its data set."""
    score = table["val_accuracy"] if selected_on(table) == VALIDATION else table["mean"]
    scored = score.where(table["mean"].notna())
    parts = [pd.Series(on_front(own["params"], scored[own.index]), own.index) for _, own in table.groupby("data_set")]
    return pd.concat(parts).reindex(table.index)


def selected_on(rows: pd.DataFrame) -> str:
    """The accuracy that the Pareto front is selected on.

    Test accuracies are the results that are reported, and the best of several is too high by chance: they are used only
    if no cell has a validation accuracy.
    """
    return VALIDATION if rows["val_accuracy"].notna().any() else TEST


def skewed(rows: pd.DataFrame) -> pd.DataFrame:
    """The cells whose bootstrap interval differs clearly from the t interval, which may then be unreliable.

    It is off-centre, or reaches beyond the t interval. A narrower one is no sign of a problem: with fewer than ten
    replicates, bootstrap intervals are too narrow. With 3 or 4 replicates no sample reaches either limit, and with 5
    hardly any does: `study.analysis.outlying` finds runs that stand out there.
    """
    below, above = rows["mean"] - rows["bootstrap_low"], rows["bootstrap_high"] - rows["mean"]
    # one side of the t interval may be cut at 0 or 1; the other side then has its full length
    half = pd.concat([rows["mean"] - rows["low"], rows["high"] - rows["mean"]], axis=1).max(axis=1)
    off_centre, reach = (above - below).abs() / 2, pd.concat([below, above], axis=1).max(axis=1)
    return rows[(off_centre > OFF_CENTRE * half) | (reach > (1 + BEYOND) * half)]


def on_front(params: pd.Series, score: pd.Series) -> list[bool]:
    """The Pareto front of fewest parameters and highest score; includes ties, excludes cells without numbers."""
    points = [(None if pd.isna(p) or pd.isna(m) else (int(p), float(m))) for p, m in zip(params, score, strict=True)]
    best: dict[int, float] = {}
    for size, accuracy in filter(None, points):
        best[size] = max(accuracy, best.get(size, -math.inf))
    highest, front = -math.inf, set()
    for size, accuracy in sorted(best.items()):
        if accuracy > highest:
            highest = accuracy
            front.add((size, accuracy))
    return [point in front for point in points]


def _accuracy(values: list[float], checked: tuple[float, float]) -> dict[str, object]:
    mean = share(values)
    found = {"n": mean.n, "mean": mean.mean, "low": mean.low, "high": mean.high, "sd": mean.sd}
    return {**found, "bootstrap_low": checked[0], "bootstrap_high": checked[1]}


def _finished(own: Mapping[str, np.ndarray]) -> dict[str, object]:
    """Sizes and means of a cell's finished trials, given by column."""
    sizes = {name: next((int(size) for size in own[name] if not pd.isna(size)), None) for name in SIZES}
    return sizes | {name: _mean(own[name]) for name in MEANS}


def _mean(numbers: np.ndarray) -> float:
    known = numbers[~np.isnan(numbers)]
    return float(known.mean()) if len(known) else math.nan


def _effect_size(results: Results, cell: str, reference: str) -> float:
    """Hedges' g_av over common replicates; nan for the reference itself."""
    both = common(results.accuracies[cell], results.accuracies[reference])
    return hedges_g_av(*both) if cell != reference else math.nan
