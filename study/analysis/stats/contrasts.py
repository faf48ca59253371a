"""The difference that a claim is about, by matched set of cells and replicate."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from study.analysis.stats import failed
from study.analysis.stats.estimate import Estimate
from study.analysis.stats.failed import Failed
from study.analysis.stats.image_results import ImageShares
from study.analysis.stats.matched_sets import Values, average
from study.analysis.stats.share_estimate import ShareEstimate
from study.design.comparison import Factors, Labels, Selection
from study.design.failures import DEFAULT, FailureRule
from study.utils.errors import StudyError

Cell = TypeVar("Cell", bound=Hashable)


@dataclass(frozen=True)
class MatchedSet(Generic[Cell]):
    """Cells that are compared with each other, each with its sign, and their difference in common replicates."""

    cells: tuple[tuple[float, Cell], ...]
    differences: Values


@dataclass(frozen=True)
class Contrast(Generic[Cell]):
    """A difference by matched set and replicate."""

    matched: tuple[MatchedSet[Cell], ...]  # those with a common replicate
    lost: tuple[tuple[Cell, ...], ...]  # matched sets without one
    scale: float  # largest absolute value: differences below its rounding error are 0
    failed: tuple[Failed, ...] = ()  # its cells with failed replicates
    rule: FailureRule = DEFAULT  # how these count
    shares: ImageShares | None = field(default=None, compare=False)  # image by image, of an accuracy against a number

    @property
    def sets(self) -> int:
        """The number of matched sets that are averaged."""
        return len(self.matched)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of all matched sets."""
        found = [cell for own in self.matched for _, cell in own.cells]
        return tuple(dict.fromkeys([*found, *(cell for own in self.lost for cell in own)]))

    @property
    def entered(self) -> tuple[tuple[float, Cell], ...]:
        """The cells that are averaged, each with its sign."""
        return tuple(pair for own in self.matched for pair in own.cells)

    @property
    def compares_cells(self) -> bool:
        """Whether cells are compared with each other, so that effects of the replicate cancel; else with a number."""
        return abs(sum(sign for sign, _ in self.entered)) < 1e-9

    @property
    def obstacle(self) -> str:
        """Why no verdict and no test can rest on it; empty if one can."""
        if self.failed and self.rule == "undecided":
            return failed.note(self.failed, self.rule)
        if self.matched and self.lost:
            total = len(self.matched) + len(self.lost)
            return f"{len(self.lost)} of {total} matched comparisons without a common replicate: no verdict on the rest"
        return ""

    @property
    def caveat(self) -> str:
        """Which replicates failed, if a verdict or a test can rest on the contrast nevertheless."""
        return "" if self.rule == "undecided" else failed.note(self.failed, self.rule)

    @property
    def note(self) -> str:
        """The caveat and the obstacle."""
        return "; ".join(filter(None, (self.caveat, self.obstacle)))

    def estimate(self) -> Estimate:
        """The mean difference and its standard error, over replicates or if known over replicates and images; nan where
        undefined."""
        if self.shares is not None:
            return ShareEstimate.of(self.shares)
        return average([own.differences for own in self.matched], self.scale)


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


NONE_FAILED: Mapping[Any, Failed] = {}


def contrast(
    selection: Selection,
    results: Mapping[Labels, Values],
    factors: Factors,
    failed_by_cell: Mapping[Labels, Failed] = NONE_FAILED,
    rule: FailureRule = DEFAULT,
) -> Contrast[Labels]:
    """The selected difference, by matched set and replicate. `results` are `failed.counted` by the same rule."""
    signs = [corner.sign for corner in selection.corners]
    sets = selection.sets(list(results), factors)
    return between(sets, signs, results, selection.constant, failed_by_cell, rule)


def between(
    sets: Sequence[Sequence[Cell]],
    signs: Sequence[float],
    results: Mapping[Cell, Values],
    constant: float = 0.0,
    failed_by_cell: Mapping[Cell, Failed] = NONE_FAILED,
    rule: FailureRule = DEFAULT,
) -> Contrast[Cell]:
    """The sum of each set's cells with these signs, less the constant, in the replicates that all of them have."""
    matched, lost, scale = [], [], abs(constant)
    for group in sets:
        replicates = sorted(set.intersection(*(set(results[cell]) for cell in group)))
        if not replicates:
            lost.append(tuple(group))
            continue
        pairs = tuple(zip(signs, group, strict=True))
        by_replicate = {r: sum(sign * results[cell][r] for sign, cell in pairs) - constant for r in replicates}
        matched.append(MatchedSet(pairs, by_replicate))
        scale = max(scale, *(abs(results[cell][r]) for cell in group for r in replicates))
    cells = dict.fromkeys(cell for group in sets for cell in group)
    own_failed = tuple(failed_by_cell[cell] for cell in cells if cell in failed_by_cell)
    return Contrast(tuple(matched), tuple(lost), scale, own_failed, rule)
