"""Questions for `calibrate`: how often the test of skewness finds it, with and without skew.

Shapes: S studies, N replicates, C cells.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from study.analysis.stats.calibrate_families import lognormal, scenario_of, spreads
from study.analysis.stats.error_choice import correlation_of
from study.analysis.stats.question import INFINITY, Floats, Question
from study.analysis.stats.shape import shape
from study.analysis.stats.simulate import Noise, Scenario, heavy, normal, skewed

FOUND = "results are called skewed"
SHARE = 10  # one study at a time


def questions() -> Iterator[Question]:
    wide = spreads()["25-fold spreads"]
    for n in (3, 4, 5, 10):
        yield _found(n, "normal", normal, high=0.055)
        yield _found(n, "normal, replicates correlate by 0.5", normal, shared_sd=1.0, high=0.05)
        yield _found(n, "normal, 25-fold spreads", normal, wide, high=0.09)
        yield _found(n, "heavy tails", heavy, high=0.11)
        yield _found(n, "gamma of shape 4", skewed)
        yield _found(n, "lognormal", lognormal)
    for n, share in ((3, 0.15), (4, 0.26), (5, 0.38), (10, 0.81)):
        yield _found(n, "lognormal, 25-fold spreads", lognormal, wide, low=share - 0.02, high=share + 0.02)


def _found(
    n: int,
    name: str,
    noise: Noise,
    sd: float | tuple[float, ...] = 1.0,
    shared_sd: float = 0.5,
    low: float = -INFINITY,
    high: float = INFINITY,
) -> Question:
    hits = partial(_called_skewed, scenario_of(n, name, 0.0, sd, noise, shared_sd))
    return Question(FOUND, f"9 cells, {name}; n = {n}", SHARE, hits, low, high)


def _called_skewed(scenario: Scenario, studies: int, rng: np.random.Generator) -> Floats:
    values_SNC = scenario.draw(studies, rng)
    return np.array([float(shape(list(one.T), correlation_of(one)).is_skewed) for one in values_SNC])
