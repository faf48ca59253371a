"""Cell means and paired differences, against published numbers and plain loops."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from study.analysis.stats.intervals import bounded, interval, paired_difference, small_sample_factor
from study.utils.errors import StudyError

# Student 1908, "The probable error of a mean": extra hours of sleep of ten patients under two drugs.
SLEEP_FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# Lakens 2013, table 1: ten people rate two films.
FILM_ONE = [9, 7, 8, 9, 8, 9, 9, 10, 9, 9]
FILM_TWO = [9, 6, 7, 8, 7, 9, 8, 8, 8, 7]

values = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


def by_replicate(numbers):
    return dict(enumerate(numbers, start=1))


def test_interval_of_three_values_by_hand():
    found = interval([90.0, 92.0, 94.0])
    assert (found.n, found.mean, found.sd) == (3, 92.0, 2.0)
    half = 4.302653 * 2 / math.sqrt(3)  # t(0.975, df 2) from any t table: 4.303
    assert found.low == pytest.approx(92 - half, abs=1e-5)
    assert found.high == pytest.approx(92 + half, abs=1e-5)


def test_one_value_has_a_mean_and_no_interval():
    found = interval([0.5])
    assert (found.n, found.mean) == (1, 0.5)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(found.sd)


def test_no_values_have_no_mean():
    assert interval([]).n == 0
    assert math.isnan(interval([]).mean)


def test_values_that_are_equal_up_to_rounding_have_an_interval_of_width_zero():
    found = interval([0.1 + 0.2, 0.3, 0.3])
    assert found.sd == 0
    assert found.low == found.mean == found.high


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_raise(bad):
    with pytest.raises(StudyError, match=f"invalid value {bad}: must be finite"):
        interval([0.5, bad])


def test_an_invalid_level_raises():
    with pytest.raises(StudyError, match="invalid confidence level 95"):
        interval([1.0, 2.0], level=95)


def test_paired_difference_of_students_sleep_data():
    """R's documentation of t.test prints t = -4.0621, df = 9, p-value = 0.002833, interval -2.4598858 -0.7001142."""
    found = paired_difference(by_replicate(SLEEP_SECOND), by_replicate(SLEEP_FIRST))
    assert found.n == 10
    assert found.mean == pytest.approx(1.58)
    assert found.low == pytest.approx(0.7001142, abs=1e-6)
    assert found.high == pytest.approx(2.4598858, abs=1e-6)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)


def test_effect_size_of_lakens_films():
    """Means 8.7 (sd 0.82) and 7.7 (sd 0.95): d_av = 1 / 0.886 = 1.13, and times J(18) = 0.958 it is 1.08."""
    found = paired_difference(by_replicate(FILM_ONE), by_replicate(FILM_TWO))
    assert found.mean == pytest.approx(1.0)
    assert found.effect_size == pytest.approx(1.08, abs=0.005)


def test_small_sample_factor_is_close_to_the_approximation_by_hedges():
    for df in (2, 4, 8, 18, 60):
        assert small_sample_factor(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=0.01)
    assert small_sample_factor(2) == pytest.approx(1 / math.sqrt(math.pi))  # Gamma(1) / (1 * Gamma(1/2))


def test_only_common_replicates_are_compared():
    found = paired_difference({1: 5.0, 2: 7.0, 4: 100.0}, {2: 4.0, 1: 3.0, 3: -100.0})
    assert (found.n, found.mean) == (2, 2.5)


def test_one_common_replicate_gives_only_a_mean():
    found = paired_difference({1: 5.0}, {1: 3.0, 2: 4.0})
    assert (found.n, found.mean) == (1, 2.0)
    assert all(math.isnan(x) for x in (found.low, found.high, found.p_value, found.effect_size))


def test_no_common_replicate():
    found = paired_difference({1: 5.0}, {2: 4.0})
    assert found.n == 0
    assert math.isnan(found.mean)


def test_equal_differences_have_no_p_value():
    """Counts on a test set of 360 images: the differences are equal up to rounding."""
    found = paired_difference({1: 337 / 360, 2: 341 / 360, 3: 333 / 360}, {1: 331 / 360, 2: 335 / 360, 3: 327 / 360})
    assert found.sd == 0
    assert found.low == found.mean == found.high == pytest.approx(6 / 360)
    assert math.isnan(found.p_value)


def test_identical_cells_do_not_differ():
    found = paired_difference({1: 0.9, 2: 0.8}, {1: 0.9, 2: 0.8})
    assert (found.mean, found.p_value) == (0.0, 1.0)


@given(st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_agrees_with_scipy_and_a_plain_loop(pairs):
    found = paired_difference(by_replicate(x for x, _ in pairs), by_replicate(y for _, y in pairs))
    differences = [x - y for x, y in pairs]
    assert found.mean == pytest.approx(statistics.fmean(differences), rel=1e-6, abs=1e-3)
    if found.sd > 1e-3:
        test = scipy_stats.ttest_1samp(differences, 0.0)
        assert found.p_value == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)
        assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()), rel=1e-6, abs=1e-6)


@given(st.lists(values, min_size=2, max_size=8), st.floats(-100, 100))
def test_shifting_all_values_shifts_the_interval(numbers, shift):
    plain, shifted = interval(numbers), interval([x + shift for x in numbers])
    assert shifted.mean == pytest.approx(plain.mean + shift, abs=1e-6)
    assert shifted.high - shifted.low == pytest.approx(plain.high - plain.low, rel=1e-3, abs=1e-2)


def test_a_bounded_interval_keeps_mean_and_sd() -> None:
    found = bounded(interval([0.95, 0.97]), 0.0, 1.0)
    assert (found.mean, found.high, found.n) == (pytest.approx(0.96), 1.0, 2)
    assert found.low == pytest.approx(interval([0.95, 0.97]).low)
    assert math.isnan(bounded(interval([0.95]), 0.0, 1.0).low)
