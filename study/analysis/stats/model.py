"""A linear model of a design: columns for the replicates, the main effects and the two-factor interactions.

Factors and levels enter by position, never by name, so their names may be any text. A rank-deficient model is fitted as
well (least squares by pseudo-inverse); `Fit.estimable` is true for the combinations of coefficients that it determines.

Shapes: T trials, F factors, P columns.
"""

import contextlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import linalg  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Term = tuple[int, ...]  # positions of the factors in it: (i,) a main effect, (i, j) an interaction

CHUNK = 1_024  # rows whose columns are in memory at a time
_ROUNDING = 1e-9  # relative to the largest value
_DEPENDENT = 1e-10  # of the largest eigenvalue: smaller ones are 0 up to rounding
_INDEPENDENT = 1e-6  # of the largest squared column norm: a larger pivot is not rounding
_ALL = slice(None)


@dataclass(frozen=True)
class Residual:
    """Residual sum of squares (0 if within rounding) and degrees of freedom."""

    ss: float
    df: int


@dataclass(frozen=True)
class Explained:
    """What a term adds to a fit: sum of squares and degrees of freedom (0: not estimable)."""

    ss: float
    df: int
    note: str = ""

    @property
    def ms(self) -> float:
        return self.ss / self.df if self.df else math.nan


class Fit:
    """A least-squares fit of all trials to columns (T, P) that may be linearly dependent.

    Uses the normal equations. They square the condition number, which is harmless here: columns hold small integers,
    whose products are exact. For a design with thousands of columns, no array is larger than (P, P).
    """

    def __init__(self, trials: "Trials", terms: Iterable[Term]) -> None:
        self._trials, self._terms = trials, tuple(terms)
        self._offset = float(trials.values_T.mean())  # subtracted for the fit: large values would lose digits
        products_PP, moments_P = self._sums()
        self._covariance_PP, self._null_PK = _pseudo_inverse(products_PP)
        self._coefficients_P = self._covariance_PP @ moments_P
        rank = len(moments_P) - self._null_PK.shape[1]
        self.residual = _residual(self._ss(), len(trials.values_T) - rank, trials.values_T)

    @property
    def num_columns(self) -> int:
        return len(self._coefficients_P)

    def estimable(self, weights_RP: Floats) -> npt.NDArray[np.bool_]:
        """(R,) whether the data determine these combinations of coefficients, i.e. they are in the row space."""
        lost_RP = (weights_RP @ self._null_PK) @ self._null_PK.T
        return np.asarray(np.abs(lost_RP).max(axis=1, initial=0.0) < 1e-8)

    def estimate(self, weights_RP: Floats) -> tuple[Floats, Floats]:
        """(R,) combinations of coefficients, and their variances in units of the error variance."""
        variances_R = ((weights_RP @ self._covariance_PP) * weights_RP).sum(axis=1)
        return weights_RP @ self._coefficients_P + weights_RP[:, 0] * self._offset, variances_R

    def covariance(self, weights_RP: Floats) -> Floats:
        """(R, R) covariances of combinations of coefficients, in units of the error variance."""
        return np.asarray(weights_RP @ self._covariance_PP @ weights_RP.T)

    def null_of(self, term: Term) -> Floats:
        """(columns of the term, K) its rows in a basis of the null space."""
        before = [self._trials.width(other) for other in self._terms[: self._terms.index(term)]]
        start = self._trials.num_blocks + sum(before)  # after the intercept and the replicates
        return self._null_PK[start : start + self._trials.width(term)]

    def _rows(self) -> Iterator[tuple[Floats, Floats]]:
        """Values minus their mean, and columns, `CHUNK` trials at a time."""
        for start in range(0, len(self._trials.values_T), CHUNK):
            rows = slice(start, start + CHUNK)
            yield self._trials.values_T[rows] - self._offset, self._trials.columns(self._terms, rows)

    def _sums(self) -> tuple[Floats, Floats]:
        """(P, P) products of the columns with each other, and (P,) with the values."""
        count = self._trials.columns(self._terms, slice(0)).shape[1]
        products_PP, moments_P = np.zeros((count, count)), np.zeros(count)
        for values_T, columns_TP in self._rows():
            products_PP += columns_TP.T @ columns_TP
            moments_P += values_T @ columns_TP
        return products_PP, moments_P

    def _ss(self) -> float:
        left = (values_T - columns_TP @ self._coefficients_P for values_T, columns_TP in self._rows())
        return sum(float(left_T @ left_T) for left_T in left)


@dataclass(frozen=True)
class Trials:
    """Finished trials as numbers. `blocks` are the codes of the replicates, `codes` of the levels, both from 0.

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

    @property
    def num_cells(self) -> int:
        return int(self._cells().max()) + 1

    @property
    def by_cell(self) -> list[Floats]:
        """The values of each cell."""
        cells_T = self._cells()
        return [self.values_T[cells_T == cell] for cell in range(self.num_cells)]

    def by_replicate(self) -> list["Trials"]:
        """The trials of each replicate, as a design of their own without replicates."""
        kept = (self.blocks_T == block for block in range(self.num_blocks))
        return [
            replace(self, values_T=self.values_T[own], blocks_T=0 * self.blocks_T[own], codes_TF=self.codes_TF[own])
            for own in kept
        ]

    def _cells(self) -> Integers:
        """(T,) the number of the cell of each trial."""
        return np.asarray(np.unique(self.codes_TF, axis=0, return_inverse=True)[1]).reshape(-1)

    def width(self, term: Term) -> int:
        """Number of columns of a term: its degrees of freedom if all of it can be estimated."""
        return math.prod(self.num_levels[i] - 1 for i in term)

    def columns(self, terms: Iterable[Term], rows: slice = _ALL) -> Floats:
        """(T, P) intercept, replicates, then each term; for the trials of `rows`."""
        blocks_T = self.blocks_T[rows]
        blocks = _indicators(blocks_T, self.num_blocks)
        return np.hstack([np.ones((len(blocks_T), 1)), blocks, *(self._term(term, rows) for term in terms)])

    def within_cells(self, blocked: bool = True) -> Residual:
        """The residual after a mean for each cell and, if blocked, for each replicate: the error.

        There may be thousands of cells, so values and blocks are centred per cell first and then regressed on each
        other (Frisch & Waugh 1933).
        """
        cells_T = self._cells()
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

    def _term(self, term: Term, rows: slice) -> Floats:
        """(T, P) products of the codings of the term's factors.

        Each factor is coded to sum to zero over its levels. With 0/1 coding, the columns of an interaction would
        contain part of the main effects.
        """
        codes_TF = self.codes_TF[rows]
        found = np.ones((len(codes_TF), 1))
        for i in term:
            coding = _indicators(codes_TF[:, i], self.num_levels[i]) - (codes_TF[:, i] == 0)[:, None]
            found = (found[:, :, None] * coding[:, None, :]).reshape(len(codes_TF), found.shape[1] * coding.shape[1])
        return found


def _indicators(codes_T: Integers, count: int) -> Floats:
    """(T, count - 1), one column for each code except 0."""
    return np.asarray(codes_T[:, None] == np.arange(1, count)[None, :], dtype=np.float64)


def _within(columns_TK: Floats, groups_T: Integers) -> Floats:
    """(T, K) each column minus its mean over the group of the row."""
    counts = np.bincount(groups_T)[:, None]
    sums = np.zeros((len(counts), columns_TK.shape[1]))
    np.add.at(sums, groups_T, columns_TK)
    return np.asarray(columns_TK - (sums / counts)[groups_T])


def _residual(ss: float, df: int, values_T: Floats) -> Residual:
    rounding = len(values_T) * (_ROUNDING * float(np.abs(values_T).max())) ** 2
    return Residual(ss if df and ss > rounding else 0.0, df)


def _pseudo_inverse(products_PP: Floats) -> tuple[Floats, Floats]:
    """(P, P) of a matrix of columns' products, and (P, K) a basis of its null space."""
    with contextlib.suppress(linalg.LinAlgError):  # Cholesky is far faster, but needs a clearly full rank
        factor_PP = linalg.cholesky(products_PP, lower=True)
        if np.diag(factor_PP).min() ** 2 > _INDEPENDENT * np.diag(products_PP).max():
            return linalg.cho_solve((factor_PP, True), np.eye(len(products_PP))), np.empty((len(products_PP), 0))
    values_P, vectors_PP = linalg.eigh(products_PP)
    kept_P = values_P > _DEPENDENT * values_P[-1]
    basis_PQ = vectors_PP[:, kept_P]
    return (basis_PQ / values_P[kept_P]) @ basis_PQ.T, vectors_PP[:, ~kept_P]
