"""Bootstrap intervals of means."""

import math

import numpy as np
import pytest

from study.analysis.stats import bootstrap
from study.analysis.stats.bootstrap import bootstrap_interval, bootstrap_intervals
from study.analysis.stats.intervals import interval


def test_agrees_with_the_t_interval_on_many_normal_values():
    values = np.random.default_rng(1).normal(5, 2, size=200)
    plain = interval(values)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(plain.low, abs=0.05)
    assert high == pytest.approx(plain.high, abs=0.05)


def test_is_narrower_than_the_t_interval_on_few_values():
    values = [0.91, 0.93, 0.92, 0.95]
    low, high = bootstrap_interval(values)
    assert high - low < interval(values).high - interval(values).low


def test_extends_towards_the_tail_of_skewed_values():
    values = np.random.default_rng(2).exponential(size=40)
    low, high = bootstrap_interval(values)
    assert high - values.mean() > values.mean() - low


def test_same_seed_same_interval():
    values = [1.0, 2.0, 4.0, 7.0, 11.0]
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_equal_values_have_no_width():
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_too_few_values_have_no_interval(values):
    assert all(math.isnan(end) for end in bootstrap_interval(values))


def test_a_batch_gives_the_same_intervals_as_one_call_per_sample():
    """Bit for bit, also if resampled means tie: counts out of 360, samples of several sizes, batches of one."""
    rng = np.random.default_rng(5)
    samples = [list(rng.integers(330, 360, size=n) / 360) for n in (5, 2, 5, 7, 1, 5, 3, 12)] + [[0.5] * 5]
    alone = [bootstrap_interval(values, resamples=199) for values in samples]
    np.testing.assert_array_equal(bootstrap_intervals(samples, resamples=199), alone)


def test_smaller_batches_give_the_same_intervals(monkeypatch):
    samples = [[0.1, 0.2, 0.4], [0.3, 0.5, 0.9], [0.2, 0.6, 0.7]]
    whole = bootstrap_intervals(samples, resamples=99)
    monkeypatch.setattr(bootstrap, "MAX_DRAWN", 2 * 3 * 99)
    assert bootstrap_intervals(samples, resamples=99) == whole
