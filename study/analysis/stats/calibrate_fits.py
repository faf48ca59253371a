"""Calibration of fits: coverage of main effects where interactions are set aside or cells spread differently.

Shapes: S studies, N replicates, C cells, E effects.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.fit_error import ALPHA
from study.analysis.stats.model import Floats, Integers, Term, Trials
from study.analysis.stats.question import INFINITY, Question
from study.analysis.stats.spread import LEVEL, equal_spread_p_values

COVERS = "interval of a fitted main effect covers"
MAIN, SHARED = 2.0, 0.5  # SD of main effects and of the effect of a replicate, in units of the noise


@dataclass(frozen=True)
class Fraction:
    """Some cells of a product. If `interactions` is false, the main effects alone are fitted."""

    name: str
    codes_CF: Integers
    levels: tuple[int, ...]
    interactions: bool = False

    @property
    def num_cells(self) -> int:
        return len(self.codes_CF)

    @cached_property
    def columns(self) -> Floats:
        """(C, P) columns of the fitted terms, with an intercept."""
        pairs = list(itertools.combinations(range(len(self.levels)), 2)) if self.interactions else []
        return self._trials.columns([*self._mains, *pairs])

    @cached_property
    def weights(self) -> Floats:
        """(E, C) weights of the cells in each main effect: a level compared with the factor's first."""
        even = [np.full(count, 1 / count) for count in self.levels]
        at = [
            [self._trials.mean_weights(self._mains, {i: k}, even) for k in range(n)] for i, n in enumerate(self.levels)
        ]
        changes = np.array([mean - means[0] for means in at for mean in means[1:]])
        return np.asarray(changes @ np.linalg.pinv(self._trials.columns(self._mains)))

    @property
    def _mains(self) -> list[Term]:
        return [(i,) for i in range(len(self.levels))]

    @property
    def _trials(self) -> Trials:
        labels = tuple(tuple(map(str, range(count))) for count in self.levels)
        names = tuple(map(str, range(len(self.levels))))
        nothing = np.zeros(self.num_cells)
        return Trials(nothing, nothing.astype(np.int64), self.codes_CF, names, labels)


def two_level(name: str, base: int, generators: Sequence[Sequence[int]], interactions: bool = False) -> Fraction:
    """A fraction of a two-level design: further factors are products of the first ones."""
    first = np.array(list(itertools.product((0, 1), repeat=base)))
    others = [first[:, list(factors)].sum(axis=1, keepdims=True) % 2 for factors in generators]
    return Fraction(name, np.hstack([first, *others]), (2,) * (base + len(others)), interactions)


def sampled(cells: int) -> Fraction:
    """A random sample of a product of 108 combinations."""
    levels = (3, 3, 2, 2, 3)
    product = np.array(list(itertools.product(*map(range, levels))))
    kept = np.random.default_rng(5).choice(len(product), cells, replace=False)
    return Fraction(f"sample of {cells} of 108", product[kept], levels)


RESOLUTION_3 = two_level("2^(5-2)", 3, [(0, 1), (0, 2)])
NEARLY_SATURATED = two_level("2^(6-3)", 3, [(0, 1), (0, 2), (1, 2)])
RESOLUTION_4 = two_level("2^(7-3)", 4, [(0, 1, 2), (0, 1, 3), (0, 2, 3)], interactions=True)


def questions() -> Iterator[Question]:
    """Coverage with the chosen error; interactions are in units of the main effects."""
    for fraction, size in itertools.product((sampled(20), sampled(40), RESOLUTION_4), (0.0, 0.1, 1.0)):
        yield _covers(fraction, 3, size, low=0.93, high=0.975)
    for size in (0.0, 1.0):
        yield _covers(RESOLUTION_3, 3, size, low=0.93, high=0.975)
    for fraction in (RESOLUTION_3, NEARLY_SATURATED):  # two and one degrees of freedom for lack of fit
        yield _covers(fraction, 3, 0.25)
    setting = "sample of 20 of 108, n = 3, interactions x 1, pure error for comparison"
    yield Question(COVERS, setting, 4, partial(_pure_covered, sampled(20), 3, 1.0))
    for n, ratio in itertools.product((3, 5), (4.0, 10.0)):
        yield _covers(RESOLUTION_4, n, 0.0, ratio, low=0.93 if n == 5 or ratio < 10 else -INFINITY)
    for n in (3, 4, 5):
        setting = f"16 cells, n = {n}"
        yield Question("equal spreads are rejected at 0.05", setting, 1, partial(_rejected, n, 1.0), high=0.1)
        yield Question(
            "equal spreads are rejected at 0.25", f"{setting}, one spread x 4", 1, partial(_rejected, n, 4.0)
        )


def _covers(
    fraction: Fraction, n: int, size: float, ratio: float = 1.0, *, low: float = -INFINITY, high: float = INFINITY
) -> Question:
    spreads = f", one spread x {ratio:g}" if ratio > 1 else ""
    setting = f"{fraction.name}, n = {n}, interactions x {size:g}{spreads}"
    return Question(COVERS, setting, 4, partial(_covered, fraction, n, size, ratio), low, high)


def _covered(fraction: Fraction, n: int, size: float, ratio: float, studies: int, rng: np.random.Generator) -> Floats:
    values_SCN, truth_SE = draw(fraction, n, size, ratio, studies, rng)
    estimates_SE, half_SE = intervals(fraction, values_SCN)
    return np.asarray((np.abs(estimates_SE - truth_SE) <= half_SE).mean(axis=1))


def _pure_covered(fraction: Fraction, n: int, size: float, studies: int, rng: np.random.Generator) -> Floats:
    values_SCN, truth_SE = draw(fraction, n, size, 1.0, studies, rng)
    pure_S, df = _pure(values_SCN)
    half_SE = np.sqrt(_variances(fraction, n) * pure_S[:, None]) * stats.t.isf(0.025, df)
    return np.asarray((np.abs(values_SCN.mean(axis=2) @ fraction.weights.T - truth_SE) <= half_SE).mean(axis=1))


def _rejected(n: int, ratio: float, studies: int, rng: np.random.Generator) -> Floats:
    values_CSN = rng.standard_normal((16, studies, n))
    values_CSN[0] *= ratio
    return np.asarray(equal_spread_p_values(list(values_CSN)) < (0.05 if ratio == 1 else LEVEL), dtype=np.float64)


def draw(
    fraction: Fraction, n: int, size: float, ratio: float, studies: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """(S, C, N) values with random main effects and interactions, and (S, E) the true main effects over the product.

    The noise has SD 1; that of one cell, another one in each study, is `ratio`.
    """
    codes, truth, mean_SC = fraction.codes_CF, [], np.zeros((studies, fraction.num_cells))
    for i, count in enumerate(fraction.levels):
        effect = MAIN * _centred(rng.standard_normal((studies, count)))
        mean_SC += effect[:, codes[:, i]]
        truth.append(effect[:, 1:] - effect[:, :1])
    for i, j in itertools.combinations(range(len(fraction.levels)), 2):
        effect = size * MAIN * _centred(rng.standard_normal((studies, fraction.levels[i], fraction.levels[j])))
        mean_SC += effect[:, codes[:, i], codes[:, j]]
    spread_SC = np.ones((studies, fraction.num_cells))
    spread_SC[np.arange(studies), rng.integers(fraction.num_cells, size=studies)] = ratio
    noise = spread_SC[:, :, None] * rng.standard_normal((studies, fraction.num_cells, n))
    return mean_SC[:, :, None] + SHARED * rng.standard_normal((studies, 1, n)) + noise, np.hstack(truth)


def intervals(fraction: Fraction, values_SCN: Floats) -> tuple[Floats, Floats]:
    """(S, E) main effects and half the widths of their 95 % intervals; the rule of `fit_error.choose`, vectorised."""
    n, means_SC = values_SCN.shape[2], values_SCN.mean(axis=2)
    pure_S, df = _pure(values_SCN)
    columns = fraction.columns
    left_SC = means_SC - means_SC @ (columns @ np.linalg.pinv(columns)).T
    lack_df = fraction.num_cells - int(np.linalg.matrix_rank(columns))
    lack_S = n * (left_SC**2).sum(axis=1) / lack_df
    between_S = stats.f.sf(lack_S / pure_S, lack_df, df) < (ALPHA if fraction.interactions else LEVEL)
    share = fraction.num_cells / np.prod(fraction.levels)
    mixed_S = share * pure_S + (1 - share) * lack_S
    mixed_df_S = mixed_S**2 / ((share * pure_S) ** 2 / df + ((1 - share) * lack_S) ** 2 / lack_df)
    error_S, df_S = np.where(between_S, mixed_S, pure_S), np.where(between_S, mixed_df_S, df)
    half_SE = np.sqrt(_variances(fraction, n) * error_S[:, None]) * stats.t.isf(0.025, df_S)[:, None]
    own_SEN = np.einsum("ec,scn->sen", fraction.weights, values_SCN)
    own_half_SE = own_SEN.std(axis=2, ddof=1) / np.sqrt(n) * stats.t.isf(0.025, n - 1)
    differs_S = equal_spread_p_values(list(np.moveaxis(values_SCN, 1, 0))) < LEVEL
    return own_SEN.mean(axis=2), np.where((differs_S & ~between_S)[:, None], own_half_SE, half_SE)


def _pure(values_SCN: Floats) -> tuple[Floats, int]:
    """(S,) the mean square within cells and replicates, and its degrees of freedom."""
    within = values_SCN - values_SCN.mean(axis=2, keepdims=True)
    within -= within.mean(axis=1, keepdims=True)
    df = (values_SCN.shape[1] - 1) * (values_SCN.shape[2] - 1)
    return (within**2).sum(axis=(1, 2)) / df, df


def _variances(fraction: Fraction, n: int) -> Floats:
    """(E,) in units of the error variance."""
    return np.asarray((fraction.weights**2).sum(axis=1) / n)


def _centred(effects: Floats) -> Floats:
    """Sum to zero over the levels of each factor, for every study."""
    for axis in range(1, effects.ndim):
        effects = effects - effects.mean(axis=axis, keepdims=True)
    return effects
