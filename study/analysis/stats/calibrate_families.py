"""Calibration of families of claims: cells that spread differently, skewed noise, correlated cells, ends of the scale.

Shapes: S studies, N replicates, C cells, M claims.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy import special, stats  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm
from study.analysis.stats.max_t import step_down_all
from study.analysis.stats.near_end import near_end
from study.analysis.stats.pooled_error import guarded_variances
from study.analysis.stats.question import INFINITY, Floats, Question
from study.analysis.stats.scenarios import against_baseline, any_false, claim
from study.analysis.stats.simulate import SUPPORTED, Noise, Scenario, heavy, judge_all, normal, skewed
from study.analysis.stats.spread import LEVEL, equal_spread_p_values

CELLS = 9  # a baseline and eight others
FALSE = "a study has a false verdict"
OUTSIDE = " (outside the promise)"


def questions() -> Iterator[Question]:
    for n in (3, 4, 5, 10):
        yield from (_none_false(n, name, sd, bounds=(-INFINITY, 0.052)) for name, sd in spreads().items())
        for name, noise in {"groups of correlated cells": _grouped, "opposed cells": _opposed}.items():
            yield _none_false(n, name, noise=noise)
        yield _none_false(n, "replicates correlate by 0.6", shared_sd=1.2)
        yield _none_false(n, "heavy tails, one cell x 5", spreads()["one cell x 5"], noise=heavy)
        yield _none_false(n, "lognormal", noise=lognormal)
        wide = spreads()["25-fold spreads"]
        yield _none_false(n, f"lognormal, 25-fold spreads{OUTSIDE}", wide, lognormal, bounds=(0.155, 0.345))
        yield _none_false(n, f"gamma of shape 4, 25-fold spreads{OUTSIDE}", wide, skewed, bounds=(0.055, 0.095))
    always = partial(_false_if_pooled_at_3, spreads()["baseline x 5"])
    setting = "8 claims, no effects, baseline x 5, pooled with 16 df (not done); n = 3"
    yield Question(FALSE, setting, 1, always, 0.07, 0.1)
    for n, least in ((3, 0.03), (4, 0.1), (5, 0.3), (10, 0.85)):
        yield Question("a true claim among 8 is supported", f"2 sd, n = {n}", 1, partial(_found, n), low=least)
    for n, (size, accuracy) in itertools.product((3, 5, 10), ((100, 0.97), (451, 0.97), (2000, 0.97))):
        for seeds, high in ((0.0, 0.057), (0.3, 0.057 if size < 2000 else 0.07), (0.6, 0.095)):
            setting = f"7 claims against {accuracy:.0%} of a test set of {size}, seeds x {seeds:g}; n = {n}"
            yield Question(FALSE, setting, 1, partial(_false_against_number, n, size, accuracy, seeds), high=high)


def spreads() -> dict[str, tuple[float, ...]]:
    """Standard deviations of the cells, the baseline's first."""
    equal = (1.0,) * (CELLS - 1)
    return {
        "one cell x 5": (*equal, 5.0),
        "baseline x 5": (5.0, *equal),
        "baseline x 0.2": (0.2, *equal),
        "half of the cells x 3": (1.0,) * 4 + (3.0,) * 5,
        "4-fold spreads": tuple(np.geomspace(0.5, 2, CELLS)),
        "25-fold spreads": tuple(np.geomspace(0.2, 5, CELLS)),
    }


def _none_false(
    n: int,
    name: str,
    sd: float | tuple[float, ...] = 1.0,
    noise: Noise = normal,
    shared_sd: float = 0.5,
    bounds: tuple[float, float] = (-INFINITY, 0.05),
) -> Question:
    scenario = scenario_of(n, name, 0.0, sd, noise, shared_sd)
    return Question(FALSE, f"8 claims, no effects, {name}; n = {n}", 1, partial(any_false, scenario), *bounds)


def scenario_of(
    n: int, name: str, effect: float, sd: float | tuple[float, ...] = 1.0, noise: Noise = normal, shared_sd: float = 0.5
) -> Scenario:
    claims = [claim("greater", i) for i in range(1, CELLS)]
    effects = [effect] + [0.0] * (CELLS - 2)
    return against_baseline(name, effects, claims, n, n, sd=sd, shared_sd=shared_sd, noise=noise)


def _false_if_pooled_at_3(sd: tuple[float, ...], studies: int, rng: np.random.Generator) -> Floats:
    """With three replicates, an error of all cells with (n - 1)(C - 1) degrees of freedom, if spreads seem equal."""
    scenario, df = scenario_of(3, "", 0.0, sd), 2 * (CELLS - 1)
    values_SNC, weights_MC = scenario.draw(studies, rng), scenario.contrasts
    differences_SNM = values_SNC @ weights_MC.T
    means_SM, own_SM = np.abs(differences_SNM.mean(axis=1)), differences_SNM.var(axis=1, ddof=1)
    common_SM = np.maximum(guarded_variances(values_SNC) @ (weights_MC**2).T, own_SM)
    pooled_SM = step_down_all(2 * stats.t.sf(means_SM / np.sqrt(common_SM / 3), df), weights_MC, df, 0.05)
    paired_SM = holm(2 * stats.t.sf(means_SM / np.sqrt(own_SM / 3), 2)) <= 0.05
    pools_S1 = equal_spread_p_values(list(np.moveaxis(values_SNC, 2, 0)))[:, None] >= LEVEL
    return np.asarray(np.where(pools_S1, pooled_SM, paired_SM).any(axis=1), dtype=np.float64)


def _found(n: int, studies: int, rng: np.random.Generator) -> Floats:
    scenario = scenario_of(n, "", 2.0)
    verdicts_SM = judge_all(scenario, scenario.draw(studies, rng)).verdicts_SM
    return np.asarray(verdicts_SM[:, 0] == SUPPORTED, dtype=np.float64)


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Standardised lognormal noise with sigma 1: skewness 6."""
    return np.asarray((np.exp(rng.standard_normal(shape)) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e))


def _grouped(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Each half of the cells shares an effect of the replicate, as a common pre-training has, with twice the noise."""
    studies, n, cells = shape
    groups = 2 * rng.standard_normal((studies, n, 2))
    return np.asarray(rng.standard_normal(shape) + groups[:, :, np.arange(cells) * 2 // cells])


def _opposed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Cells of a replicate correlate by -0.1."""
    noise, cells = rng.standard_normal(shape), shape[-1]
    left = np.sqrt((1 - 0.1 * (cells - 1)) / 1.1)  # ratio of the eigenvalues of the correlation matrix, as spreads
    mean = noise.mean(axis=-1, keepdims=True)
    return np.asarray((noise - (1 - left) * mean) * np.sqrt(1.1))


def _false_against_number(
    n: int, images: int, accuracy: float, seeds: float, studies: int, rng: np.random.Generator
) -> Floats:
    """Seven claims on cells of their own, each against the true mean: no verdict is right."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = special.logit(accuracy) + seeds * points
    truth = float(weights @ special.expit(spread)) / float(weights.sum())
    drawn = special.expit(special.logit(accuracy) + seeds * rng.standard_normal((studies * 7, n)))
    shares = rng.binomial(images, drawn) / images
    error = shares.std(axis=1, ddof=1) / np.sqrt(n)
    testable = (error > 1e-12) & ~near_end(shares)
    t = np.abs(shares.mean(axis=1) - truth) / np.where(testable, error, 1.0)
    p_values = np.where(testable, 2 * stats.t.sf(t, n - 1), np.nan)
    return np.asarray((holm(p_values.reshape(studies, 7)) <= 0.05).any(axis=1), dtype=np.float64)
