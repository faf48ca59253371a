"""Main effects and two-factor interactions of a design, from a least-squares fit.

The model: metric = replicate + main effects + two-factor interactions + error. Cells are paired by replicate, so the
replicate is a block: what all cells of a replicate have in common is not part of the error. Sums of squares are of type
II: a term is tested after all others that do not contain it. That does not need equal numbers in all cells, so designs
may have exclusions and failed trials. Aliased terms are not estimated; a note names what they are aliased with.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from study.analysis.stats import anova
from study.analysis.stats.adjust import holm
from study.analysis.stats.anova import Anova
from study.analysis.stats.contrasts import results_by_cell
from study.analysis.stats.estimate import Estimate
from study.analysis.stats.fit_error import FitError, Source
from study.analysis.stats.model import Floats, Term, Trials
from study.design.comparison import Factors
from study.utils.errors import StudyError
from study.utils.text import plural

EFFECT_COLUMNS = [
    *("factor", "level", "n", "mean", "low", "high"),
    *("replicates", "difference", "difference_low", "difference_high", "df", "p_value", "p_adjusted", "note"),
]
INTERACTION_COLUMNS = ["factor_a", "level_a", "factor_b", "level_b", "n", "mean", "low", "high", "note"]


@dataclass(frozen=True)
class Effects:
    """The tables of a fit; what cannot be estimated is nan, with the reason in the `note` of its row.

    anova, a row per term (kinds: replicate, main, interaction, interactions, lack of fit, error, total): `ss`, `df`,
    `ms`, `f`, `p_value`, Holm-adjusted over main effects and interactions (`p_adjusted`), and the share of variance.
    `eta_squared` is ss / (total less replicates). `omega_squared` corrects it for the share expected by chance:
    (ss - df ms_error) / (that total + ms_error), at least 0 (Hays 1963; Olejnik & Algina 2003, Psychol. Methods
    8:434-447). In an unbalanced design shares need not sum to 1.

    effects, a row per level of each factor: the least-squares mean (over equally weighted levels of the other factors;
    if no cell changes two factors, at their first levels) and its `difference` from the factor's first level,
    adjusted for the other effects; p-values Holm-adjusted over all differences. `n` counts trials. `replicates` are
    those behind the difference, `df` the degrees of freedom of its error.

    interactions, a row per pair of levels of any two factors that vary together: least-squares means.

    Intervals hold the replicates fixed, unless the error is the variation between replicates: they are for comparisons
    within a table. `error` is what effects are tested against, None without a fit. `notes` are caveats of the fit.
    """

    anova: pd.DataFrame
    effects: pd.DataFrame
    interactions: pd.DataFrame
    notes: tuple[str, ...]
    error: FitError | None = None


def estimate(
    data: pd.DataFrame, factors: Factors, metric: str = "value", level: float = 0.95, paired: bool = True
) -> Effects:
    """Fit the model to all trials that have a result.

    `data` has a row per trial: a column of labels per factor, `replicate`, and the metric (nan for a trial without a
    result). `factors` maps each factor to its labels, the baseline's first. Set `paired` to False if the replicates of
    different cells have nothing in common; then they are not blocks. If the model cannot be fitted, the tables are
    empty and `notes` has the reason. Raises StudyError for missing columns, for a level that its factor does not have,
    and for two results of one trial.
    """
    trials = _trials(data, factors, metric, paired)
    if trials is None:
        return _not_fitted("no trial has a result: nothing can be estimated")
    try:
        return _Tables(trials, factors, level).effects()
    except np.linalg.LinAlgError as error:  # scipy's is the same class
        return _not_fitted(f"the least-squares fit failed: {error}")


def _not_fitted(reason: str) -> Effects:
    empty = [pd.DataFrame(columns=names) for names in (anova.COLUMNS, EFFECT_COLUMNS, INTERACTION_COLUMNS)]
    return Effects(empty[0], empty[1], empty[2], (reason,))


def _trials(data: pd.DataFrame, factors: Factors, metric: str, paired: bool) -> Trials | None:
    results = results_by_cell(data, factors, metric)
    rows = [(cell, replicate, value) for cell, values in results.items() for replicate, value in values.items()]
    if not rows:
        return None
    names = tuple(factors)
    labels = tuple(_observed(name, {cell[i] for cell, _, _ in rows}, factors) for i, name in enumerate(names))
    replicates = np.array([replicate for _, replicate, _ in rows])
    return Trials(
        np.array([value for *_, value in rows], dtype=np.float64),
        np.asarray(np.unique(replicates if paired else 0 * replicates, return_inverse=True)[1], dtype=np.int64),
        np.array([[known.index(label) for known, label in zip(labels, cell, strict=True)] for cell, _, _ in rows]),
        names,
        labels,
    )


def _observed(name: str, seen: set[str], factors: Factors) -> tuple[str, ...]:
    """A factor's labels that have results, in the factor's order."""
    if unknown := sorted(seen.difference(factors[name])):
        levels = ", ".join(map(repr, factors[name]))
        raise StudyError(f"invalid level {unknown[0]!r} of factor {name!r} in the results: must be one of {levels}")
    return tuple(label for label in factors[name] if label in seen)


class _Tables:
    """Least-squares means and differences, tested against the error of the analysis of variance."""

    def __init__(self, trials: Trials, factors: Factors, level: float) -> None:
        self.trials, self.factors, self.level = trials, factors, level
        self.anova = Anova(trials)

    def effects(self) -> Effects:
        effects = pd.DataFrame(self._main_rows(), columns=EFFECT_COLUMNS)
        compared = np.array([label != labels[0] for labels in self.factors.values() for label in labels])
        effects.loc[compared, "p_adjusted"] = holm(effects.loc[compared, "p_value"].to_numpy(dtype=np.float64))
        interactions = pd.DataFrame(self._pair_rows(), columns=INTERACTION_COLUMNS)
        return Effects(self.anova.table(), effects, interactions, tuple(self._notes()), self.anova.of_effects)

    def _main_rows(self) -> Iterator[dict[str, Any]]:
        terms = self.anova.terms
        for i, (name, labels) in enumerate(self.factors.items()):
            note = self.anova.main((i,)).note
            weights = [self._mean_weights(terms, {i: label}) for label in labels]
            first = weights[0]
            changes = [None if own is None or first is None else own - first for own in weights]
            means, differences = self._with_intervals(terms, weights), self._with_intervals(terms, changes)
            for label, own, mean, difference in zip(labels, weights, means, differences, strict=True):
                row = {"factor": name, "level": label, "n": self._count({i: label})}
                row |= zip(("mean", "low", "high"), mean, strict=False)
                if label != labels[0]:
                    columns = ("difference", "difference_low", "difference_high", "p_value", "replicates", "df")
                    row |= zip(columns, difference, strict=True)
                yield row | {"note": "no results" if own is None else note}

    def _pair_rows(self) -> Iterator[dict[str, Any]]:
        for pair in self.anova.pairs:
            terms = [*self.anova.mains, pair]
            note, names = self.anova.pair(pair).note, [self.trials.names[i] for i in pair]
            levels = list(itertools.product(*(self.factors[name] for name in names)))
            places = [dict(zip(pair, labels, strict=True)) for labels in levels]
            means = self._with_intervals(terms, [self._mean_weights(terms, at) for at in places])
            for labels, at, mean in zip(levels, places, means, strict=True):
                n = self._count(at)
                values = (names[0], labels[0], names[1], labels[1], n, *mean[:3], note if n else "no results")
                yield dict(zip(INTERACTION_COLUMNS, values, strict=True))

    def _count(self, at: Mapping[int, str]) -> int:
        """Number of trials at these levels."""
        if any(label not in self.trials.labels[i] for i, label in at.items()):
            return 0
        codes = [self.trials.labels[i].index(label) for i, label in at.items()]
        return int((self.trials.codes_TF[:, list(at)] == codes).all(axis=1).sum())

    def _mean_weights(self, terms: Sequence[Term], at: Mapping[int, str]) -> Floats | None:
        """Weights of the mean at these levels; None if one of them has no results."""
        if any(label not in self.trials.labels[i] for i, label in at.items()):
            return None
        codes = {i: self.trials.labels[i].index(label) for i, label in at.items()}
        return self.trials.mean_weights(terms, codes, self.anova.others)

    def _with_intervals(self, terms: Sequence[Term], weights: Sequence[Floats | None]) -> list[list[float]]:
        """Estimate, low, high, two-sided p-value against zero, replicates and df, of each; nan if unknown."""
        fit, found_R6 = self.anova.fit(terms), np.full((len(weights), 6), math.nan)
        known = [i for i, own in enumerate(weights) if own is not None]
        weights_RP = np.array([own for own in weights if own is not None]).reshape(len(known), fit.num_columns)
        estimable = fit.estimable(weights_RP)
        for i, estimate in zip(
            np.array(known, dtype=int)[estimable], self._estimates(terms, weights_RP[estimable]), strict=True
        ):
            found_R6[i] = estimate.mean, *estimate.interval(self.level), estimate.p_value(), estimate.n, estimate.df
        return [[float(number) for number in row] for row in found_R6]

    def _estimates(self, terms: Sequence[Term], weights_RP: Floats) -> list[Estimate]:
        """Combinations of coefficients, with the error of effects."""
        error, n = self.anova.of_effects, self.trials.num_blocks
        if error.source is Source.REPLICATES:
            return self.anova.by_replicate(tuple(terms)).estimates(weights_RP)
        means, variances = self.anova.fit(terms).estimate(weights_RP)
        errors = np.sqrt(variances * error.used.ms)
        return [
            Estimate(float(mean), float(own) if own > 0 else math.nan, error.used.df, n)
            for mean, own in zip(means, errors, strict=True)
        ]

    def _notes(self) -> Iterator[str]:
        if self.anova.left_out:
            named = ", ".join(map(self.anova.name, self.anova.left_out))
            yield f"not fitted (too many contrasts): {named}; main effects are estimated without them"
        if not (self.anova.pairs or self.anova.left_out):
            if len(self.factors) > 1:
                yield "no cell changes two factors: effects are estimated at the first level of all others"
            return
        cells, counts = np.unique(self.trials.codes_TF, axis=0, return_counts=True)
        combinations = math.prod(len(labels) for labels in self.factors.values())
        if len(cells) < combinations:
            yield f"{len(cells)} of {combinations} combinations have results: effects come from a least-squares fit"
        if counts.min() < counts.max():
            most = plural(int(counts.max()), "result")
            yield f"cells have {counts.min()} to {most}: effects come from a least-squares fit"
