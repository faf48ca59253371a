"""Bootstrap intervals of means, as a check on the t interval."""

import math
import warnings
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.intervals import Floats, interval

MAX_DRAWN = 5_000_000  # values drawn at a time: 40 MB


def bootstrap_interval(
    values: Collection[float], level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> tuple[float, float]:
    """Lower and upper end of the BCa interval of the mean (Efron 1987, J. Am. Stat. Assoc. 82:171-185).

    The same values and seed give the same interval. It assumes no shape of the distribution, but it resamples only the
    given values: with fewer than 10 it is too narrow (see `calibrate`). If it extends far beyond the
    t interval or is clearly off its centre, the values are skewed or have outliers. Both ends are nan for fewer than 3
    values, and where the interval is undefined.

    Raises StudyError for values that are not finite, and for a level outside (0, 1).
    """
    return bootstrap_intervals([values], level, resamples, seed)[0]


def bootstrap_intervals(
    samples: Sequence[Collection[float]], level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> list[tuple[float, float]]:
    """`bootstrap_interval` of each sample. Samples of one size are resampled together, which is far faster."""
    plain = [interval(values, level) for values in samples]
    found = [(math.nan, math.nan) if one.n < 3 else (one.mean, one.mean) for one in plain]
    spread = [i for i, one in enumerate(plain) if one.n >= 3 and one.sd > 0]
    for group in _batches(spread, [one.n for one in plain], resamples):
        values_GN = np.array([list(samples[i]) for i in group], dtype=np.float64)
        for i, ends in zip(group, _bca(values_GN, level, resamples, seed), strict=True):
            found[i] = ends
    return found


def _bca(values_GN: Floats, level: float, resamples: int, seed: int) -> list[tuple[float, float]]:
    """The BCa interval of each of G samples of N values; nan where scipy finds it undefined."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        drawn = stats.bootstrap(
            (values_GN,),
            _mean,
            vectorized=True,
            axis=-1,
            n_resamples=resamples,
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),  # one per batch: each sample gets the same draws as on its own
        )
    ends = drawn.confidence_interval
    return [(float(low), float(high)) for low, high in zip(ends.low, ends.high, strict=True)]


def _mean(values: Floats, axis: int) -> Floats:
    """Means whose summation order does not depend on the batch: the BCa interval counts ties of means."""
    return np.asarray(np.ascontiguousarray(values).mean(axis=axis))


def _batches(chosen: Sequence[int], sizes: Sequence[int], resamples: int) -> Iterator[Sequence[int]]:
    """The chosen samples in batches of one sample size, none of which draws more than `MAX_DRAWN` values."""
    by_size: dict[int, list[int]] = {}
    for i in chosen:
        by_size.setdefault(sizes[i], []).append(i)
    for size, group in by_size.items():
        step = max(1, MAX_DRAWN // (size * resamples))
        yield from (group[start : start + step] for start in range(0, len(group), step))
