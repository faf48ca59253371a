"""A linear model of a design: columns for the replicates, the main effects and the two-factor interactions.

Factors and levels enter by position, never by name, so their names may be any text. A model of which parts cannot be
told apart is fitted all the same (least squares by pseudo-inverse): what can be estimated is, and `estimable` tells.

Shapes: T trials, F factors, P columns.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from statsmodels.regression.linear_model import OLS  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Term = tuple[int, ...]  # positions of the factors in it: (i,) a main effect, (i, j) an interaction

_ROUNDING = 1e-9  # relative to the largest value


@dataclass(frozen=True)
class Residual:
    """What a model leaves unexplained: sum of squares (0 where within rounding), and degrees of freedom."""

    ss: float
    df: int


class Fit:
    """A least-squares fit of values (T,) to columns (T, P) that may depend on each other."""

    def __init__(self, values_T: Floats, columns_TP: Floats) -> None:
        self._columns_TP = columns_TP
        self._offset = float(values_T.mean())  # taken off and put back: large values would lose digits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that columns depend on each other is what `estimable` is for
            self._result = OLS(values_T - self._offset, columns_TP).fit()
        self.residual = _residual(float(self._result.ssr), len(values_T) - int(self._result.model.rank), values_T)

    def estimable(self, weights_P: Floats) -> bool:
        """Whether the data determine this combination of coefficients: whether it lies in the columns' row space."""
        return bool(np.abs(weights_P - weights_P @ self._projection).max() < 1e-8)

    def estimate(self, weights_P: Floats) -> tuple[float, float]:
        """A combination of coefficients, and its variance in units of the error variance."""
        variance = weights_P @ self._result.normalized_cov_params @ weights_P
        return float(weights_P @ self._result.params + weights_P[0] * self._offset), float(variance)

    @cached_property
    def _projection(self) -> Floats:
        return np.asarray(np.linalg.pinv(self._columns_TP) @ self._columns_TP)


@dataclass(frozen=True)
class Trials:
    """Finished trials as numbers. `blocks` are codes of the replicates, `codes` of the levels, both from 0.

    Only levels that have results count; `names` and `labels` are theirs, for tables.
    """

    values_T: Floats
    blocks_T: Integers
    codes_TF: Integers
    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]

    @property
    def num_blocks(self) -> int:
        return int(self.blocks_T.max()) + 1

    @property
    def num_levels(self) -> tuple[int, ...]:
        return tuple(len(labels) for labels in self.labels)

    def columns(self, terms: Iterable[Term]) -> Floats:
        """(T, P) intercept, replicates, then each term."""
        blocks = _indicators(self.blocks_T, self.num_blocks)
        return np.hstack([np.ones((len(self.values_T), 1)), blocks, *(self._term(term) for term in terms)])

    def fit(self, terms: Iterable[Term]) -> Fit:
        return Fit(self.values_T, self.columns(terms))

    def within_cells(self, blocked: bool = True) -> Residual:
        """What a mean of its own for each cell and, if blocked, for each replicate leaves: error alone.

        Values and blocks are taken relative to their cell's mean, and then one fitted to the other (Frisch & Waugh
        1933), for there may be thousands of cells.
        """
        cells_T = np.asarray(np.unique(self.codes_TF, axis=0, return_inverse=True)[1]).reshape(-1)
        values_T1, count = _within(self.values_T[:, None], cells_T), int(cells_T.max()) + 1
        blocks = _within(_indicators(self.blocks_T, self.num_blocks if blocked else 1), cells_T)
        found, _, rank, _ = np.linalg.lstsq(blocks, values_T1)
        ss = float(((values_T1 - blocks @ found) ** 2).sum())
        return _residual(ss, len(values_T1) - count - int(rank), self.values_T)

    def mean_weights(self, terms: Iterable[Term], at: dict[int, int], others: list[Floats]) -> Floats:
        """(P,) weights of an adjusted mean, for a fit of the same terms.

        Factors named in `at` are held at that level, the others are averaged with weights `others[i]`
        (num_levels[i],), replicates are averaged equally.
        """
        weights = [np.eye(count)[at[i]] if i in at else others[i] for i, count in enumerate(self.num_levels)]
        parts = [np.ones(1), np.full(self.num_blocks - 1, 1 / self.num_blocks)]
        for term in terms:
            part = np.ones(1)
            for i in term:
                part = np.outer(part, weights[i][1:] - weights[i][0]).reshape(-1)
            parts.append(part)
        return np.concatenate(parts)

    def _term(self, term: Term) -> Floats:
        """(T, P) products of the codings of the term's factors.

        Each factor is coded to sum to zero over its levels, so that an interaction's columns are its own alone: with
        0/1 coding they would hold part of the main effects.
        """
        found = np.ones((len(self.values_T), 1))
        for i in term:
            codes_T = self.codes_TF[:, i]
            coding = _indicators(codes_T, self.num_levels[i]) - (codes_T == 0)[:, None]
            found = (found[:, :, None] * coding[:, None, :]).reshape(len(self.values_T), -1)
        return found


def _indicators(codes_T: Integers, count: int) -> Floats:
    """(T, count - 1), one column for each code but 0."""
    return np.asarray(codes_T[:, None] == np.arange(1, count)[None, :], dtype=np.float64)


def _within(columns_TK: Floats, groups_T: Integers) -> Floats:
    """(T, K) each column less its mean over the row's group."""
    counts = np.bincount(groups_T)[:, None]
    sums = np.zeros((len(counts), columns_TK.shape[1]))
    np.add.at(sums, groups_T, columns_TK)
    return np.asarray(columns_TK - (sums / counts)[groups_T])


def _residual(ss: float, df: int, values_T: Floats) -> Residual:
    rounding = len(values_T) * (_ROUNDING * float(np.abs(values_T).max())) ** 2
    return Residual(ss if df and ss > rounding else 0.0, df)
