"""Interquartile mean and probability of improvement: by hand, and against the definitions of rliable."""

import math

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.aggregates import interquartile_mean, probability_of_improvement

# rows are replicates, columns data sets
OURS = np.array([[0.90, 0.50], [0.92, 0.60], [0.94, 0.70]])
THEIRS = np.array([[0.91, 0.50], [0.91, 0.40], [0.95, 0.55]])


def test_the_interquartile_mean_by_hand():
    """Of eight values the two lowest and the two highest are left out."""
    values = np.array([[1.0, 80.0], [3.0, 5.0], [2.0, 4.0], [90.0, 6.0]])
    assert interquartile_mean(values).value == (3 + 4 + 5 + 6) / 4


def test_the_probability_of_improvement_by_hand():
    """On the first data set 4 of 9 pairs are better; on the second 7 and a tie: (4/9 + 7.5/9) / 2."""
    assert probability_of_improvement(OURS, THEIRS).value == pytest.approx((4 / 9 + 7.5 / 9) / 2)
    assert probability_of_improvement(THEIRS, OURS).value == pytest.approx(1 - (4 / 9 + 7.5 / 9) / 2)
    assert probability_of_improvement(OURS, OURS).value == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_agree_with_the_definitions_of_rliable(seed):
    """`aggregate_iqm` and `probability_of_improvement` of its `metrics.py`, the library not being installed."""
    rng = np.random.default_rng(seed)
    ours, theirs = rng.integers(0, 9, (5, 3)) / 10, rng.integers(0, 9, (4, 3)) / 10
    ordered = sorted(ours.ravel())
    assert interquartile_mean(ours).value == pytest.approx(np.mean(ordered[3:-3]))  # 15 values: int(3.75) at each end
    assert interquartile_mean(ours).value == pytest.approx(stats.trim_mean(ours, 0.25, axis=None))
    u = [
        stats.mannwhitneyu(x, y, alternative="greater").statistic / (5 * 4)
        for x, y in zip(ours.T, theirs.T, strict=True)
    ]
    assert probability_of_improvement(ours, theirs).value == pytest.approx(np.mean(u))


def test_intervals_are_quantiles_over_replicates_drawn_within_each_data_set():
    """A plain loop with its own random numbers: drawn for each data set on its own, never across."""
    rng = np.random.default_rng(1)
    drawn_iqm, drawn_better = [], []
    for _ in range(4_000):
        ours, theirs = (
            np.column_stack([rng.choice(column, size=3) for column in values.T]) for values in (OURS, THEIRS)
        )
        drawn_iqm.append(stats.trim_mean(ours, 0.25, axis=None))
        better = [(x > y) + 0.5 * (x == y) for column in (0, 1) for x in ours[:, column] for y in theirs[:, column]]
        drawn_better.append(np.mean(better))
    found = interquartile_mean(OURS)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn_iqm, (0.025, 0.975)), abs=0.02)
    found = probability_of_improvement(OURS, THEIRS)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn_better, (0.025, 0.975)), abs=0.06)


def test_data_sets_are_not_mixed():
    """Without spread within data sets there is no uncertainty, however much they differ."""
    values = np.array([[0.2, 0.9]] * 4)
    found = interquartile_mean(values)
    assert (found.low, found.high) == pytest.approx((found.value, found.value))


def test_two_replicates_have_no_interval():
    found = interquartile_mean(OURS[:2])
    assert found.value == pytest.approx((0.60 + 0.90) / 2)
    assert math.isnan(found.low)
    assert math.isnan(probability_of_improvement(OURS, THEIRS[:2]).high)
