"""Results of a method over several data sets and replicates as one number, with stratified bootstrap intervals.

Agarwal et al. 2021 (Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS, arXiv 2108.13264).
By the definitions of their library rliable (`rliable/metrics.py`): `aggregate_iqm` is SciPy's `trim_mean` of all
results with 25 % cut at each end, and `probability_of_improvement` the Mann-Whitney U statistic over the number of
pairs of runs, averaged over data sets. As there, the bootstrap draws replicates within each data set and intervals are
percentiles; the data sets are fixed, so the intervals are for these data sets. With few replicates they are too narrow:
see `calibrate`.

Shapes: R replicates, D data sets, B resamples.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_999
LEAST = 3  # replicates for an interval


@dataclass(frozen=True)
class Aggregate:
    """An estimate with its 95 % percentile bootstrap interval, nan below `LEAST` replicates."""

    value: float
    low: float
    high: float


def interquartile_mean(values_RD: Floats, seed: int = 0, resamples: int = RESAMPLES) -> Aggregate:
    """The mean of the middle half of all R x D results."""
    return _aggregate(values_RD, _middle(values_RD[None])[0], _middle(_drawn(values_RD, seed, resamples)))


def probability_of_improvement(
    ours_RD: Floats, theirs_RD: Floats, seed: int = 0, resamples: int = RESAMPLES
) -> Aggregate:
    """The probability that a run of ours is better than one of theirs on the same data set, averaged over data sets.

    On each data set it is the Mann-Whitney U statistic over the number of pairs of runs; ties count half. The numbers
    of replicates may differ.
    """
    drawn = _improvement(_drawn(ours_RD, seed, resamples), _drawn(theirs_RD, seed + 1, resamples))
    found = _improvement(ours_RD[None], theirs_RD[None])[0]
    return _aggregate(min(ours_RD, theirs_RD, key=len), found, drawn)


def _aggregate(values_RD: Floats, found: float, drawn_B: Floats) -> Aggregate:
    if len(values_RD) < LEAST:
        return Aggregate(float(found), math.nan, math.nan)
    low, high = np.quantile(drawn_B, (0.025, 0.975))
    return Aggregate(float(found), float(low), float(high))


def _middle(values_BRD: Floats) -> Floats:
    return np.asarray(stats.trim_mean(values_BRD.reshape(len(values_BRD), -1), 0.25, axis=1))


def _improvement(ours_BRD: Floats, theirs_BRD: Floats) -> Floats:
    better_BRRD = np.sign(ours_BRD[:, :, None] - theirs_BRD[:, None])
    return np.asarray((better_BRRD.mean(axis=(1, 2, 3)) + 1) / 2)


def _drawn(values_RD: Floats, seed: int, resamples: int) -> Floats:
    """(B, R, D) replicates drawn with replacement, for each data set on its own."""
    rows_BRD = np.random.default_rng(seed).integers(0, len(values_RD), (resamples, *values_RD.shape))
    return np.take_along_axis(values_RD[None], rows_BRD, axis=1)
