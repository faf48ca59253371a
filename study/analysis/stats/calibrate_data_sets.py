"""Calibration of what is stated about several data sets: tests of ranks, bootstrap intervals, verdicts on each.

Shapes: S studies, N data sets, K methods, R replicates.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm
from study.analysis.stats.aggregates import Aggregate, interquartile_mean, probability_of_improvement
from study.analysis.stats.question import INFINITY, Floats, Question
from study.analysis.stats.ranks import critical_difference, friedman, permutation_p_value
from study.analysis.stats.sequential import look_schedule, look_shares

APART = 0.5  # SDs between neighbouring methods, where they differ
HARDER = 5.0  # SDs between neighbouring data sets
DRAWN = 200_000  # runs that the true interquartile mean is computed from
RESAMPLES = 999

Test = Callable[[Floats], bool]  # of (N, K) ranks


def questions() -> Iterator[Question]:
    """Errors and power of tests of ranks, coverage of bootstrap intervals, and errors of verdicts by data set."""
    for sizes in ((3, 3), (3, 5), (5, 5), (10, 5)):
        yield _ranks("Friedman's test by permutation rejects", sizes, 0.0, _by_permutation, 50, 0.05)
    for sizes in ((2, 3), (3, 3), (3, 5), (5, 5), (10, 5)):
        yield _ranks("Friedman's test by Iman and Davenport's F rejects (not used)", sizes, 0.0, _by_f)
    for sizes in ((3, 5), (5, 5), (10, 5)):
        yield _ranks("Friedman's test by permutation rejects", sizes, APART, _by_permutation, 50)
        yield _ranks("Friedman's test by chi-squared rejects (not used)", sizes, APART, _by_chi_squared)
    for sizes in ((3, 3), (3, 5), (5, 5), (10, 5)):
        yield _ranks("a pair of methods differs by Nemenyi's difference", sizes, 0.0, _by_nemenyi, high=0.05)
    for n, data_sets in itertools.product((3, 5, 10), (2, 5)):
        setting = f"n = {n}, {data_sets} data sets"
        yield Question("bootstrap interval of an IQM covers", setting, 20, partial(_iqm_covered, n, data_sets))
        for better in (0.0, 1.0):
            hits = partial(_improvement_covered, n, data_sets, better)
            measure = "bootstrap interval of a probability of improvement covers"
            yield Question(measure, f"{setting}, difference {better:g} sd", 20, hits)
    for data_sets in (2, 5):
        setting = f"5 claims on {data_sets} data sets with spreads from 1 to 4, no effects, n = 5"
        hits = partial(_any_false, data_sets)
        yield Question("a study has a false verdict on a single data set", setting, 1, hits, high=0.05)
    setting = "1 claim on 3 data sets with spreads from 1 to 4, no effects, looks at 3, 6, 10"
    yield Question("a study has a false verdict on a single data set", setting, 1, _any_false_after_looks, high=0.05)


def _ranks(
    measure: str, sizes: tuple[int, int], apart: float, test: Test, share: int = 4, high: float = INFINITY
) -> Question:
    differences = f"methods {apart:g} sd apart" if apart else "no differences"
    setting = f"{sizes[0]} data sets, {sizes[1]} methods, {differences}"
    return Question(measure, setting, share, partial(_rejected, sizes, apart, test), high=high)


def _rejected(sizes: tuple[int, int], apart: float, test: Test, studies: int, rng: np.random.Generator) -> Floats:
    means_SNK = rng.standard_normal((studies, *sizes)) + apart * np.arange(sizes[1])
    return np.array([float(test(ranks_NK)) for ranks_NK in stats.rankdata(-means_SNK, axis=2)])


def _by_permutation(ranks_NK: Floats) -> bool:
    return permutation_p_value(ranks_NK) <= 0.05


def _by_chi_squared(ranks_NK: Floats) -> bool:
    return bool(stats.chi2.sf(friedman(ranks_NK), ranks_NK.shape[1] - 1) <= 0.05)


def _by_f(ranks_NK: Floats) -> bool:
    """Iman and Davenport 1980, Commun. Stat. A 9:571; Demsar 2006 recommends it."""
    data_sets, methods = ranks_NK.shape
    statistic, most = friedman(ranks_NK), data_sets * (methods - 1)
    if statistic >= most - 1e-9:  # all data sets agree
        return True
    f = (data_sets - 1) * statistic / (most - statistic)
    return bool(stats.f.sf(f, methods - 1, (methods - 1) * (data_sets - 1)) <= 0.05)


def _by_nemenyi(ranks_NK: Floats) -> bool:
    return bool(np.ptp(ranks_NK.mean(axis=0)) >= critical_difference(*ranks_NK.shape))


def _iqm_covered(n: int, data_sets: int, studies: int, rng: np.random.Generator) -> Floats:
    truth = interquartile_mean(_runs(DRAWN, data_sets, rng), resamples=1).value
    runs_SRD = (_runs(n, data_sets, rng) for _ in range(studies))
    return np.array([_holds(interquartile_mean(runs_RD, resamples=RESAMPLES), truth) for runs_RD in runs_SRD])


def _improvement_covered(n: int, data_sets: int, better: float, studies: int, rng: np.random.Generator) -> Floats:
    truth = float(stats.norm.cdf(better / math.sqrt(2)))
    pairs = ((_runs(n, data_sets, rng) + better, _runs(n, data_sets, rng)) for _ in range(studies))
    return np.array([_holds(probability_of_improvement(*pair, resamples=RESAMPLES), truth) for pair in pairs])


def _runs(n: int, data_sets: int, rng: np.random.Generator) -> Floats:
    """(R, N) results with SD 1."""
    return np.asarray(rng.standard_normal((n, data_sets)) + HARDER * np.arange(data_sets))


def _holds(found: Aggregate, truth: float) -> float:
    return float(found.low <= truth <= found.high)


def _any_false(data_sets: int, studies: int, rng: np.random.Generator) -> Floats:
    """Claims against one baseline; any verdict is false, since all true differences are on the boundary."""
    spread_N = np.linspace(1, 4, data_sets)
    runs_SRNK = rng.standard_normal((studies, 5, data_sets, 6)) * spread_N[:, None]
    differences = runs_SRNK[..., 1:] - runs_SRNK[..., :1]
    p_values = _p_values(differences)
    return np.asarray((holm(p_values.reshape(studies, -1)) <= 0.05).any(axis=1), dtype=np.float64)


def _any_false_after_looks(studies: int, rng: np.random.Generator) -> Floats:
    """Replicates are added until the claim over all data sets is decided; the rows use the replicates of that look."""
    differences_SRN = rng.standard_normal((studies, 10, 3)) * np.linspace(1, 4, 3)
    false_S, is_open_S = np.zeros(studies), np.ones(studies, dtype=np.bool_)
    for n, share in zip(schedule := look_schedule(3, 10), look_shares(schedule), strict=True):
        own = differences_SRN[:, :n]
        ends_S = is_open_S & ((_p_values(own.mean(axis=2)) / share <= 0.05) | (n == schedule[-1]))
        adjusted_SN = holm(_p_values(own) / share)
        false_S[ends_S] = (adjusted_SN.min(axis=1) <= 0.05)[ends_S]
        is_open_S &= ~ends_S
    return false_S


def _p_values(differences_SR: Floats) -> Floats:
    """Of the t-test over replicates, the second axis."""
    n = differences_SR.shape[1]
    t = differences_SR.mean(axis=1) / (differences_SR.std(axis=1, ddof=1) / math.sqrt(n))
    return np.asarray(2 * stats.t.sf(np.abs(t), n - 1))
