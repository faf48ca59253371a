"""The analysis of variance of a design: type II sums of squares, and which terms are aliased."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg, stats  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm
from study.analysis.stats.by_replicate import ByReplicate
from study.analysis.stats.fit_error import Source, choose
from study.analysis.stats.model import Explained, Fit, Floats, Residual, Term, Trials
from study.analysis.stats.spread import spread

TIMES = "\u00d7"
TOGETHER = "two-factor interactions together"
MAX_CONTRASTS = 3_000  # fitted at once: takes 1 s and 0.3 GiB
COLUMNS = ["term", "kind", "ss", "df", "ms", "f", "p_value", "p_adjusted", "eta_squared", "omega_squared", "note"]


class Anova:
    """The fits behind the table, from at least one trial.

    Interactions are tested against the mean square of `error`, the variation within cells and replicates. With one
    replicate per cell there is none; then the interactions of three and more factors are used instead. Main effects
    have an error of their own, `of_effects`. They are estimated with `terms`: all, or if interactions leave a mean
    undetermined, the main effects alone. If the interactions have more than `MAX_CONTRASTS` contrasts together, the
    largest ones are not fitted (`left_out`).
    """

    def __init__(self, trials: Trials) -> None:
        self.trials, count = trials, len(trials.names)
        pairs = itertools.combinations(range(count), 2)
        self.mains: list[Term] = [(i,) for i in range(count)]
        together = [pair for pair in pairs if (trials.codes_TF[:, pair] > 0).all(axis=1).any()]
        self.pairs = _affordable(together, trials)
        self.left_out = [pair for pair in together if pair not in self.pairs]
        self._fits: dict[frozenset[Term], Fit] = {}
        self._by_replicate: dict[tuple[Term, ...], ByReplicate] = {}
        self._cells = trials.within_cells()
        self._whole = self.fit([*self.mains, *self.pairs]).residual
        left = self._cells if self._cells.df else self._whole
        self.error = Explained(left.ss, left.df)
        self.others = [self._weights(count) for count in trials.num_levels]
        self.terms = [*self.mains, *self.pairs] if self._is_determined() else self.mains
        self.of_effects = choose(
            Explained(self._cells.ss, self._cells.df),
            _difference(self.fit(self.terms).residual, self._cells),
            spread(trials.by_cell),
            share=trials.num_cells / math.prod(trials.num_levels),
            interactions=self.terms != self.mains or not (self.pairs or self.left_out),
            replicates=trials.num_blocks,
        )

    def _weights(self, count: int) -> Floats:
        """Weights of a factor's levels in a mean: equal, or the first level only (see `effects.Effects`)."""
        return np.full(count, 1 / count) if self.pairs or self.left_out else np.eye(count)[0]

    def _is_determined(self) -> bool:
        """Whether the mean at every level can be estimated with all interactions."""
        terms, levels = [*self.mains, *self.pairs], self.trials.num_levels
        places = [{i: code} for i, count in enumerate(levels) for code in range(count)]
        weights = [self.trials.mean_weights(terms, at, self.others) for at in places]
        return bool(self.fit(terms).estimable(np.array(weights)).all())

    def table(self) -> pd.DataFrame:
        """One row per term; then lack of fit, error and total. See `effects.Effects` for the columns."""
        total = float(((self.trials.values_T - self.trials.values_T.mean()) ** 2).sum())
        replicates = _difference(self.trials.within_cells(blocked=False), self._cells)
        base = total - replicates.ss
        rows = [self._row("replicate", "replicate", replicates, base)] if self.trials.num_blocks > 1 else []
        rows += [self._main_row(term, base) for term in self.mains]
        rows += [self._row(self.name(term), "interaction", found, base) for term, found in self._pairs.items()]
        rows += [self._row(self._sum(group), "interaction", found, base) for group, found in self._joint.items()]
        rows += [self._row(self.name(term), "interaction", self._too_large(term), base) for term in self.left_out]
        if (together := self._together()).df:
            rows.append(self._row(TOGETHER, "interactions", together, base))
        lack = self.of_effects.lack
        if lack.df and self._cells.df:
            rows.append(self._row(self._rest, "lack of fit", lack, base))
        rows.append(_plain("error", replace(self.error, note=self._error_note())))
        rows.append(_plain("total", Explained(total, len(self.trials.values_T) - 1)))
        table = pd.DataFrame(rows, columns=COLUMNS)
        tested = table["kind"].isin(["main", "interaction"])
        table.loc[tested, "p_adjusted"] = holm(table.loc[tested, "p_value"].to_numpy(dtype=np.float64))
        return table

    def fit(self, terms: Iterable[Term]) -> Fit:
        """The fit of replicates and these terms, main effects first, whatever their order here."""
        key = frozenset(terms)
        if key not in self._fits:
            self._fits[key] = Fit(self.trials, sorted(key, key=lambda term: (len(term), term)))
        return self._fits[key]

    def name(self, term: Term) -> str:
        return f" {TIMES} ".join(self.trials.names[i] for i in term)

    def main(self, term: Term) -> Explained:
        """A main effect, after all other terms that do not contain it, except interactions aliased with it."""
        others = [other for other in self.mains if other != term]
        apart = [pair for pair in self.pairs if term[0] not in pair]
        alone, after = self._added(term, others), self._added(term, [*others, *apart])
        labels = self.trials.labels[term[0]]
        if len(labels) == 1:
            return Explained(0.0, 0, f"only level {labels[0]!r} has results")
        if alone.df < self.trials.width(term):
            return self._lacking(term, alone, others)
        if after.df < alone.df:
            confounded = [pair for pair in apart if self._gain(term, [*others, pair]) < alone.df]
            named = self._either(confounded) if confounded else "interactions"
            return Explained(alone.ss, alone.df, f"assumes no {named}, with which it is aliased")
        return after

    def pair(self, term: Term) -> Explained:
        """An interaction, after all main effects and all other interactions."""
        others = [*self.mains, *(other for other in self.pairs if other != term)]
        found = self._added(term, others)
        if found.df == self.trials.width(term):
            return found
        if empty := self._empty(term):
            return replace(found, note=f"{found.df} of {self.trials.width(term)} contrasts: no results at {empty}")
        return self._lacking(term, found, others)

    @cached_property
    def _pairs(self) -> Mapping[Term, Explained]:
        return {term: self.pair(term) for term in self.pairs}

    @cached_property
    def _joint(self) -> Mapping[tuple[Term, ...], Explained]:
        """Sums of interactions that cannot be estimated separately."""
        found: dict[tuple[Term, ...], Explained] = {}
        for term in self.pairs:
            aliases = self._aliases(term, [*self.mains, *(other for other in self.pairs if other != term)])
            group = tuple(sorted({term, *aliases}))
            if aliases and all(other in self.pairs for other in group):
                rest = [other for other in self.pairs if other not in group]
                joint = _difference(self.fit([*self.mains, *rest]).residual, self._whole)
                found[group] = replace(joint, note="sum of aliased interactions")
        return found

    def _sum(self, group: Iterable[Term]) -> str:
        return " + ".join(self.name(term) for term in group)

    def _together(self) -> Explained:
        """The interactions without degrees of freedom of their own or in a sum, if effects are adjusted for them."""
        shown = {term for term, found in self._pairs.items() if found.df}.union(*self._joint)
        if self.terms == self.mains or len(shown) == len(self.pairs):
            return Explained(0.0, 0)
        found = _difference(self.fit([*self.mains, *shown]).residual, self._whole)
        return replace(found, note="cannot be separated")

    def _added(self, term: Term, others: Iterable[Term]) -> Explained:
        others = list(others)
        return _difference(self.fit(others).residual, self.fit([*others, term]).residual)

    def _gain(self, term: Term, others: list[Term]) -> int:
        return self.fit(others).residual.df - self.fit([*others, term]).residual.df

    def _aliases(self, term: Term, others: list[Term]) -> list[Term]:
        """The other terms of which each, if left out, would make more of this one estimable.

        Computed from the null space of the model's columns. The term's rows there span what is not estimable of it.
        Leaving out another term keeps only the null vectors that are zero in the rows of that term.
        """
        if self._gain(term, others) == self.trials.width(term):
            return []
        fit = self.fit([term, *others])
        rows = {one: _without_rounding(fit.null_of(one)) for one in (term, *others)}
        lost = _rank(rows[term])
        return [one for one in others if _rank(rows[term] @ linalg.null_space(rows[one])) < lost]

    def _too_large(self, term: Term) -> Explained:
        return Explained(0.0, 0, f"not fitted: {self.trials.width(term):,} contrasts")

    @property
    def _rest(self) -> str:
        """Name of the variation between cells beyond the terms that effects are estimated with."""
        if self.terms == self.mains and (self.pairs or self.left_out):
            return "lack of fit of the main effects"
        return "all other interactions" if self.left_out else "three or more factors"

    def _lacking(self, term: Term, found: Explained, others: list[Term]) -> Explained:
        """A copy with a note of the terms it is aliased with."""
        aliases = self._aliases(term, others)
        which = self._either(aliases) if aliases else "other terms together"
        how = "" if found.df == 0 else f"{found.df} of {self.trials.width(term)} contrasts: partly "
        return replace(found, note=f"{how}aliased with {which}")

    def _either(self, terms: Iterable[Term]) -> str:
        return " or ".join(self.name(term) for term in terms)

    def _empty(self, term: Term) -> str:
        """The first combination of levels without results and the number of others; empty if there is none."""
        seen = {tuple(map(int, row)) for row in self.trials.codes_TF[:, term]}
        codes = itertools.product(*(range(self.trials.num_levels[i]) for i in term))
        empty = [both for both in codes if both not in seen]
        if not empty:
            return ""
        named = zip(term, empty[0], strict=True)
        first = ", ".join(f"{self.trials.names[i]}={self.trials.labels[i][code]}" for i, code in named)
        return first + (f" and {len(empty) - 1} more" if len(empty) > 1 else "")

    def _error_note(self) -> str:
        """Which rows the error row is the error of, if not of all."""
        own = {Source.BETWEEN: "variation between cells", Source.REPLICATES: "variation between replicates"}
        used = own.get(self.of_effects.source)
        return f"of interactions; main effects are tested against the {used}" if used and self._cells.df else ""

    def _main_row(self, term: Term, base: float) -> dict[str, Any]:
        """A main effect, tested against the error of effects."""
        found = self.main(term)
        row = self._row(self.name(term), "main", found, base)
        if not found.df:
            return row
        if self.of_effects.source is not Source.REPLICATES:
            return row | _test(found, self.of_effects.used.ms, self.of_effects.used.df)
        f, p_value = self.by_replicate(tuple(self.terms)).test(self._changes(term))
        return row | {"f": f, "p_value": p_value}

    def by_replicate(self, terms: tuple[Term, ...]) -> ByReplicate:
        """The fits of each replicate by itself."""
        if terms not in self._by_replicate:
            self._by_replicate[terms] = ByReplicate(self.trials, terms)
        return self._by_replicate[terms]

    def _changes(self, term: Term) -> Floats:
        """(levels - 1, P) weights of the differences of a factor's levels from its first."""
        codes = range(self.trials.num_levels[term[0]])
        means = np.array([self.trials.mean_weights(self.terms, {term[0]: code}, self.others) for code in codes])
        return np.asarray(means[1:] - means[0])

    def _row(self, term: str, kind: str, found: Explained, base: float) -> dict[str, Any]:
        row = _plain(term, found) | {"kind": kind}
        if not found.df:
            return row | {"ss": math.nan}
        row |= _test(found, self.error.ms if self.error.ss else math.nan, self.error.df)
        if base > 0 and self.error.df:
            omega = (found.ss - found.df * self.error.ms) / (base + self.error.ms)
            row |= {"omega_squared": max(omega, 0.0)}
        if base > 0:
            row |= {"eta_squared": found.ss / base}
        return row | ({"eta_squared": math.nan, "omega_squared": math.nan} if kind == "replicate" else {})


def _test(found: Explained, error: float, df: float) -> dict[str, float]:
    """F and its p-value against a mean square, nan without one."""
    f = found.ms / error if df else math.nan
    return {"f": f, "p_value": float(stats.f.sf(f, found.df, df)) if df else math.nan}


def _difference(smaller: Residual, larger: Residual) -> Explained:
    """What the larger model explains beyond the smaller one."""
    df = smaller.df - larger.df
    return Explained(max(smaller.ss - larger.ss, 0.0) if df else 0.0, df)


def _affordable(pairs: Sequence[Term], trials: Trials) -> list[Term]:
    """The interactions to fit: all, or as many of the smallest as have `MAX_CONTRASTS` together."""
    by_width = sorted(pairs, key=trials.width)
    totals = itertools.accumulate(trials.width(pair) for pair in by_width)
    kept = {pair for pair, total in zip(by_width, totals, strict=True) if total <= MAX_CONTRASTS}
    return [pair for pair in pairs if pair in kept]


def _without_rounding(null_PK: Floats) -> Floats:
    """Rounding errors set to 0; they would count as rank."""
    return np.where(np.abs(null_PK) < 1e-9, 0.0, null_PK)


def _rank(matrix: Floats) -> int:
    return int(np.linalg.matrix_rank(matrix, tol=1e-8)) if matrix.size else 0


def _plain(kind: str, found: Explained) -> dict[str, Any]:
    """A row without a test."""
    return {"term": kind, "kind": kind, "ss": found.ss, "df": found.df, "ms": found.ms, "note": found.note}
