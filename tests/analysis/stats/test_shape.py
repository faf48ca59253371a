"""The test of skewness: by hand, against scipy, and how it marks verdicts."""

import math

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.error_choice import choose
from study.analysis.stats.shape import shape
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec
from tests.analysis.stats.test_verdict_rule import rows

TAIL = [0.0, 0.0, 1.0]  # skewness 1 / sqrt(2), the largest that three values can have


def test_by_hand():
    """Of three values the variance of the skewness is 6 * 1 / (4 * 6) = 0.25; nine cells: 9 / sqrt(2) over 1.5."""
    found = shape([TAIL] * 9)
    assert found.skewness == pytest.approx(math.sqrt(0.5))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(9 * math.sqrt(0.5) / 1.5))
    assert found.is_skewed


def test_mean_spread_and_order_of_cells_do_not_count():
    scaled = [[5 + 0.01 * x for x in TAIL], [100 * x - 3 for x in reversed(TAIL)], *[TAIL] * 7]
    assert shape(scaled).p_value == pytest.approx(shape([TAIL] * 9).p_value)
    assert shape([[-x for x in TAIL]] * 9).skewness == pytest.approx(-math.sqrt(0.5))


@pytest.mark.parametrize("n", [3, 4, 7, 12])
def test_the_variance_is_that_of_normal_samples(n):
    values = np.random.default_rng(n).standard_normal((200_000, n))
    found = shape([values[0]])
    z = stats.norm.isf(found.p_value / 2)
    assert abs(stats.skew(values[0])) / z == pytest.approx(stats.skew(values, axis=1).std(), rel=0.02)


def test_cells_that_correlate_count_as_fewer():
    """Nine cells that correlate by 0.5: the variance of the sum is 1 + 8 / 8 times as large."""
    alone, together = (stats.norm.isf(shape([TAIL] * 9, r).p_value / 2) for r in (-0.2, 0.5))
    assert alone / together == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("cells", [[], [[1.0, 2.0]] * 5, [[0.9] * 4] * 3])
def test_nothing_to_test(cells):
    found = shape(cells)
    assert not found.tested
    assert not found.is_skewed


def cell(spread, i):
    """Quantiles of an exponential distribution, each cell in another order."""
    quantiles = np.roll((0.1, 1.5, 0.3, 0.5, 2.6, 0.7, 1.0, 0.2), i)
    return dict(enumerate((0.8 + spread * quantiles).tolist(), start=1))


@pytest.mark.parametrize(
    ("spreads", "condition"),
    [
        ([0.001] * 6, "skewed"),
        ([0.0001] * 5 + [0.05] * 3, "skewed, unequal spreads"),
    ],
)
def test_skew_and_unequal_spreads_mark_the_verdict(spreads, condition):
    results = {(str(i),): cell(spread, i) for i, spread in enumerate(spreads)}
    assert choose(results).condition == condition
    claim = ClaimSpec.model_validate({"claim": "c", "metric": "value", "kind": "greater", "cells": {"x": "1"}})
    factors = {"x": [str(i) for i in range(len(spreads))]}
    data = rows({key: list(values.values()) for key, values in results.items()}, factors)
    assert judge([claim], data, factors)[0].condition == condition


def test_symmetric_results_have_no_sign_of_skew():
    results = {(str(i),): {r: float(r * (i + 1)) for r in range(5)} for i in range(4)}
    assert choose(results).condition == "no sign of skew"
    assert choose({("0",): {1: 0.5}, ("1",): {1: 0.6}}).condition == "not tested"
