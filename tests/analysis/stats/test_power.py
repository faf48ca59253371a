"""Power, replicates needed and smallest detectable effect, against published tables and statsmodels."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from study.analysis.stats.power import (
    detectable_effect,
    inside_power,
    needed_by_sd,
    needed_replicates,
    paired_power,
)
from study.utils.errors import StudyError


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_needed_replicates_of_small_medium_and_large_effects(effect, n):
    """The sample sizes of Cohen's d_z for a two-sided paired t-test at alpha 0.05 and power 0.80 (as in G*Power)."""
    assert needed_replicates(effect, sd=1.0) == n


@given(st.integers(2, 60), st.floats(0.05, 3), st.sampled_from([0.01, 0.05]))
@settings(deadline=None)
def test_power_agrees_with_statsmodels(n, effect, alpha):
    two_sided = TTestPower().power(effect, n, alpha)
    assume(not math.isnan(two_sided))  # statsmodels returns nan far in the tail
    assert paired_power(n, effect, 1.0, alpha) == pytest.approx(two_sided, abs=alpha / 2)


def test_power_without_an_effect_is_half_of_alpha():
    assert paired_power(7, 0.0, 1.0) == pytest.approx(0.025)


def test_one_replicate_has_no_power():
    assert paired_power(1, 100.0, 1.0) == 0
    assert math.isnan(detectable_effect(1, 1.0))


@given(st.integers(2, 40), st.floats(0.1, 10), st.sampled_from([0.5, 0.8, 0.95]), st.sampled_from([0.05, 0.007]))
@settings(deadline=None, max_examples=50)
def test_the_detectable_effect_has_the_requested_power(n, sd, power, alpha):
    effect = detectable_effect(n, sd, power, alpha)
    assert paired_power(n, effect, sd, alpha) == pytest.approx(power, abs=1e-6)
    assert needed_replicates(effect * 1.000001, sd, power, alpha) == n


def test_needed_replicates_is_the_first_that_suffices():
    n = needed_replicates(0.7, 1.3)
    assert paired_power(n, 0.7, 1.3) >= 0.8 > paired_power(n - 1, 0.7, 1.3)


def test_no_number_of_replicates_detects_an_effect_of_zero():
    assert needed_replicates(0.0, 1.0) is None
    assert needed_replicates(1e-9, 1.0) is None


def test_one_sided_region_has_the_power_of_the_t_test():
    for n, effect in [(2, 0.7), (5, 1.0), (12, 0.4)]:
        assert inside_power(n, effect, 1.0, 0.0, math.inf) == pytest.approx(paired_power(n, effect, 1.0), abs=1e-6)


def test_equivalence_power_agrees_with_a_simulation():
    x = np.random.default_rng(0).standard_normal((40_000, 12)) + 0.1
    half = 2.200985 * x.std(axis=1, ddof=1) / math.sqrt(12)  # t(0.975, df 11) of any t table: 2.201
    inside = ((x.mean(axis=1) - half > -0.8) & (x.mean(axis=1) + half < 0.8)).mean()
    assert inside_power(12, 0.1, 1.0, -0.8, 0.8) == pytest.approx(inside, abs=0.01)


def test_vectorised_search_agrees_with_a_linear_search():
    sds = [0.3, 0.8, 1.1, 2.0, 1e6]
    plain = [next((n for n in range(2, 300) if paired_power(n, 0.9, sd) >= 0.8), None) for sd in sds]
    assert needed_by_sd(0.9, sds) == plain


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_power(5, 1.0, 0.0),
        lambda: paired_power(5, 1.0, math.nan),
        lambda: paired_power(5, 1.0, 1.0, alpha=5),
        lambda: needed_replicates(1.0, 1.0, power=1.0),
        lambda: needed_replicates(1.0, 1.0, power=0.01),
        lambda: detectable_effect(5, -1.0),
        lambda: inside_power(5, 0.0, 0.0, -1, 1),
    ],
)
def test_invalid_numbers_raise(call):
    with pytest.raises(StudyError, match=r"invalid (standard deviation|alpha|power) .*: must be"):
        call()
