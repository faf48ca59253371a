"""A bootstrap interval, as a check on the t interval."""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.intervals import Floats, interval

AT_ONCE = 5_000_000  # values that are drawn at a time: 40 MB


def bootstrap_interval(
    values: Collection[float], level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> tuple[float, float]:
    """Low and high end of the BCa interval of the mean (Efron 1987, J. Am. Stat. Assoc. 82:171-185).

    The same values and seed give the same interval. It makes no assumption on the shape of the distribution, but it
    can only draw from the values it has: under 10 of them it is too narrow (`calibrate` measures by how much). Where
    it reaches far beyond the t interval or is clearly off its centre, the values are skewed or have outliers.
    Fewer than 3 values give nan.

    Raises StudyError for values that are not finite, and for a level outside (0, 1).
    """
    return bootstrap_intervals([values], level, resamples, seed)[0]


def bootstrap_intervals(
    samples: Sequence[Collection[float]], level: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> list[tuple[float, float]]:
    """`bootstrap_interval` of each sample: thousands in the time of a few, for those of one size are drawn together."""
    plain = [interval(values, level) for values in samples]
    found = [(math.nan, math.nan) if one.n < 3 else (one.mean, one.mean) for one in plain]
    spread = [i for i, one in enumerate(plain) if one.n >= 3 and one.sd > 0]
    for group in _alike(spread, [one.n for one in plain], resamples):
        drawn = stats.bootstrap(
            (np.array([list(samples[i]) for i in group], dtype=np.float64),),
            _mean,
            vectorized=True,
            axis=-1,
            n_resamples=resamples,
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),  # anew for each group: every sample is drawn from as if it were alone
        )
        ends = drawn.confidence_interval
        for i, low, high in zip(group, ends.low, ends.high, strict=True):
            found[i] = float(low), float(high)
    return found


def _mean(values: Floats, axis: int) -> Floats:
    """Each mean summed in the same order however many there are: the BCa interval counts ties of means."""
    return np.asarray(np.ascontiguousarray(values).mean(axis=axis))


def _alike(chosen: Sequence[int], sizes: Sequence[int], resamples: int) -> Iterator[Sequence[int]]:
    """The chosen samples in groups of one size, none too large to be drawn at once."""
    by_size: dict[int, list[int]] = {}
    for i in chosen:
        by_size.setdefault(sizes[i], []).append(i)
    for size, group in by_size.items():
        step = max(1, AT_ONCE // (size * resamples))
        yield from (group[start : start + step] for start in range(0, len(group), step))
