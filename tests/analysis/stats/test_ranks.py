"""Ranks over data sets: hand-worked values, published ones, and scipy's Friedman test."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.ranks import critical_difference, friedman, rank

TIED = [[0.9, 0.8, 0.8], [0.7, 0.6, 0.5], [0.5, 0.5, 0.5], [0.8, 0.9, 0.7]]


def test_mean_ranks_by_hand():
    """Ranks 1, 2.5, 2.5; 1, 2, 3; 2, 2, 2; 2, 1, 3."""
    assert rank(TIED).mean_ranks == pytest.approx((6 / 4, 7.5 / 4, 10.5 / 4))


@pytest.mark.parametrize("shape", [(4, 3), (7, 5), (12, 4)])
def test_the_statistic_is_that_of_scipy_also_with_ties(shape):
    for seed in range(20):
        means = np.random.default_rng(seed).integers(0, 6, shape) / 10
        ranks = stats.rankdata(-means, axis=1)
        assert friedman(ranks) == pytest.approx(stats.friedmanchisquare(*means.T).statistic)


def test_critical_differences_as_published():
    """Demsar 2006, table 5: q at 5 % for 2, 3, 4, 5 and 10 classifiers; and his example of sec. 3.2.2, CD = 1.25."""
    for methods, q in ((2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)):
        scaled = critical_difference(1, methods) / math.sqrt(methods * (methods + 1) / 6)
        assert scaled == pytest.approx(q, abs=1e-3)
    assert critical_difference(14, 4) == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (3, 4), (5, 2)])
def test_the_p_value_counts_all_orders_within_data_sets(shape):
    means = np.random.default_rng(3).standard_normal(shape)
    ranks = stats.rankdata(-means, axis=1)
    orders = itertools.product(*(list(itertools.permutations(row)) for row in ranks))
    found = [friedman(np.array(rows)) >= friedman(ranks) - 1e-9 for rows in orders]
    if len(found) <= 9_999:
        assert rank(means).p_value == pytest.approx(np.mean(found))
    else:
        assert rank(means).p_value == pytest.approx(np.mean(found), abs=0.02)


def test_data_sets_that_agree_have_the_least_p_value():
    """Three methods have 3! orders: on two data sets one in 6 agrees by chance, on three one in 36."""
    for data_sets, least in ((2, 1 / 6), (3, 1 / 36)):
        found = rank([[0.9, 0.8, 0.7]] * data_sets)
        assert found.p_value == pytest.approx(least)
        assert found.least_p_value == pytest.approx(least)
        assert found.statistic == pytest.approx(data_sets * 2)


def test_nothing_but_ties_is_no_evidence():
    found = rank([[0.5, 0.5, 0.5]] * 3)
    assert found.mean_ranks == (2.0, 2.0, 2.0)
    assert math.isnan(found.statistic)
    assert found.p_value == 1.0


def test_the_same_values_give_the_same_p_value():
    means = np.random.default_rng(0).standard_normal((6, 7))
    assert rank(means).p_value == rank(means).p_value
