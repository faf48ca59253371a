"""The difference that a claim is about, as one number per replicate."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd

from study.analysis.stats.estimate import Estimate
from study.analysis.stats.intervals import estimate_of
from study.design.comparison import Factors, Labels, Selection
from study.utils.errors import StudyError

Cell = TypeVar("Cell", bound=Hashable)
Values = Mapping[int, float]  # by replicate


@dataclass(frozen=True)
class Contrast(Generic[Cell]):
    """A difference by replicate, averaged over the matched sets of cells with results."""

    by_replicate: Values
    sets: int  # matched sets that are averaged
    lacking: int  # matched sets left out because a cell has no result
    cells: tuple[Cell, ...]  # of all matched sets
    scale: float  # largest absolute value: differences below its rounding error are 0
    entered: tuple[tuple[float, Cell], ...] = ()  # the cells that are averaged, each with its sign

    @property
    def n(self) -> int:
        return len(self.by_replicate)

    def estimate(self) -> Estimate:
        """The mean difference and its standard error over replicates, nan where undefined."""
        return estimate_of(np.array(list(self.by_replicate.values()), dtype=np.float64), self.scale)


def results_by_cell(data: pd.DataFrame, factors: Factors, metric: str) -> dict[Labels, Values]:
    """Each cell's metric by replicate; empty for a cell whose trials all lack the metric.

    `data` has one row per trial: a column of labels per factor, `replicate`, and the metric (nan or None for a trial
    without a result). Rows of `status` "excluded", if there is such a column, are ignored. Raises StudyError for a
    missing column and for two results of one trial.
    """
    for column in (*factors, "replicate", metric):
        if column not in data.columns:
            raise StudyError(f"column {column!r} not found in the results; found {', '.join(map(repr, data.columns))}")
    trials = _with_status(data, lambda status: status != "excluded")
    found: dict[Labels, dict[int, float]] = {}
    values = pd.to_numeric(trials[metric]).to_numpy(dtype=np.float64, na_value=np.nan)
    for cell, replicate, value in zip(_cells(trials, factors), trials["replicate"], values, strict=True):
        of_cell = found.setdefault(cell, {})
        if not np.isfinite(value):
            continue
        if int(replicate) in of_cell:
            named = ", ".join(f"{name}={label}" for name, label in zip(factors, cell, strict=True))
            raise StudyError(f"two results for replicate {replicate} of cell {named}; remove one of them")
        of_cell[int(replicate)] = float(value)
    return dict(found)


def attempted(data: pd.DataFrame, factors: Factors) -> set[tuple[Labels, int]]:
    """Cell and replicate of each trial that ran, done or failed: `status`, if there is one, is not "missing"."""
    trials = _with_status(data, lambda status: ~status.isin(["missing", "excluded"]))
    return set(zip(_cells(trials, factors), trials["replicate"].astype(int), strict=True))


def _with_status(data: pd.DataFrame, keep: Callable[["pd.Series[str]"], "pd.Series[bool]"]) -> pd.DataFrame:
    return data[keep(data["status"])] if "status" in data.columns else data


def _cells(data: pd.DataFrame, factors: Factors) -> list[Labels]:
    return list(zip(*(data[name].astype(str) for name in factors), strict=True))


def contrast(selection: Selection, results: Mapping[Labels, Values], factors: Factors) -> Contrast[Labels]:
    """The selected difference in every replicate that all of its cells have."""
    signs = [corner.sign for corner in selection.corners]
    return between(selection.sets(list(results), factors), signs, results, selection.constant)


def between(
    sets: Sequence[Sequence[Cell]], signs: Sequence[float], results: Mapping[Cell, Values], constant: float = 0.0
) -> Contrast[Cell]:
    """The sum of each set's cells with these signs, less the constant, averaged over the sets."""
    usable = [group for group in sets if all(results[cell] for cell in group)]
    cells = tuple(dict.fromkeys(cell for group in sets for cell in group))
    replicates = _common([results[cell] for group in usable for cell in group])
    by_replicate = {
        r: sum(sign * results[cell][r] for group in usable for sign, cell in zip(signs, group, strict=True))
        / len(usable)
        - constant
        for r in replicates
    }
    scale = max((abs(results[cell][r]) for group in usable for cell in group for r in replicates), default=0.0)
    entered = tuple((sign, cell) for group in usable for sign, cell in zip(signs, group, strict=True))
    lacking = len(sets) - len(usable)
    return Contrast(by_replicate, len(usable), lacking, cells, max(scale, abs(constant)), entered)


def _common(values: Sequence[Values]) -> list[int]:
    return sorted(set.intersection(*(set(v) for v in values))) if values else []
