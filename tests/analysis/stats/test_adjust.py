"""Holm's adjustment against hand computation, a plain loop and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from study.analysis.stats.adjust import holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def plain_holm(p):
    """Holm 1979 as published: from the smallest p-value on, multiply by the number that are left."""
    adjusted, floor = [0.0] * len(p), 0.0
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        floor = max(floor, min(1.0, p[i] * (len(p) - step)))
        adjusted[i] = floor
    return adjusted


def test_worked_example():
    """Of 0.01, 0.04, 0.03, 0.005, the first and the last are significant at 5%.

    By hand: 4 x 0.005 = 0.02; 3 x 0.01 = 0.03; 2 x 0.03 = 0.06; 1 x 0.04 = 0.04, raised to 0.06.
    """
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_missing_test_counts_in_the_family():
    adjusted = holm([0.02, np.nan])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])


def test_empty_family():
    assert holm([]).shape == (0,)


@given(p_values)
def test_agrees_with_a_plain_loop(p):
    assert holm(p) == pytest.approx(plain_holm(p))


def test_agrees_with_statsmodels():
    p = np.random.default_rng(3).uniform(size=20) ** 3
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@given(p_values, st.randoms(use_true_random=False))
def test_order_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == pytest.approx(holm(p)[order])


@given(p_values)
def test_is_between_the_raw_and_the_bonferroni_values(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12).all()


def test_families_are_adjusted_along_the_last_axis():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(5, 3, 4))
    together = holm(p)
    for i in range(5):
        for j in range(3):
            assert together[i, j] == pytest.approx(holm(p[i, j]))
