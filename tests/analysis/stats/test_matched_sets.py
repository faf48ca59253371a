"""The mean over matched sets with results missing: by hand, against a plain reference, and in the issue's cases."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.stats.intervals import estimate_of
from study.analysis.stats.matched_sets import average, degrees_of_freedom
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec

UNEQUAL = [{1: 1.0, 2: 2.0, 3: 3.0}, {1: 10.0, 2: 14.0}]


def test_missing_results_by_hand():
    """Means 2 and 12. Contributions of the replicates: -1/6 - 2/4, 0 + 2/4 and 1/6; their squares sum to 26/36."""
    found = average(UNEQUAL, 14.0)
    assert (found.mean, found.n) == (pytest.approx(7.0), 2)
    assert found.error == pytest.approx(math.sqrt(2 * 26 / 36))


@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 1000))
def test_complete_data_give_the_paired_t_test(num_sets, n, seed):
    values = np.random.default_rng(seed).standard_normal((num_sets, n))
    found = average([dict(enumerate(own)) for own in values], float(np.abs(values).max()))
    expected = estimate_of(values.mean(axis=0))
    assert (found.mean, found.error, found.n) == (expected.mean, expected.error, n)
    assert found.df == n - 1 == pytest.approx(degrees_of_freedom(np.ones((num_sets, n), dtype=bool)))


def reference_df(known):
    """Satterthwaite's degrees of freedom from the contributions to unit differences, one at a time."""
    num_sets, n = known.shape
    counts = known.sum(axis=1)

    def contributions(values):
        means = [np.mean([values[s, r] for r in range(n) if known[s, r]]) for s in range(num_sets)]
        return [
            sum((values[s, r] - means[s]) / (num_sets * counts[s]) for s in range(num_sets) if known[s, r])
            for r in range(n)
        ]

    units = [np.zeros((num_sets, n)) for _ in range(num_sets * n)]
    for unit, place in zip(units, itertools.product(range(num_sets), range(n)), strict=True):
        unit[place] = 1.0
    shared = [np.zeros((num_sets, n)) for _ in range(n)]
    for r, unit in enumerate(shared):
        unit[:, r] = 1.0
    found = []
    for basis in (units, shared):
        linear = np.array([contributions(unit) for unit in basis]).T
        eigenvalues = np.linalg.eigvalsh(linear @ linear.T)
        found.append(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    return min(found)


@given(
    st.lists(st.lists(st.booleans(), min_size=5, max_size=5).filter(lambda own: sum(own) > 1), min_size=1, max_size=4)
)
def test_degrees_of_freedom_against_a_plain_reference(rows):
    known = np.array(rows)
    assert degrees_of_freedom(known) == pytest.approx(reference_df(known))
    assert degrees_of_freedom(known) <= 4 + 1e-9


def test_a_set_with_one_replicate_has_no_interval():
    found = average([{1: 1.0, 2: 2.0}, {1: 3.0}], 3.0)
    assert (found.mean, found.n, math.isnan(found.error)) == (pytest.approx(2.25), 1, True)


def test_no_sets():
    found = average([], 0.0)
    assert (found.n, math.isnan(found.mean), math.isnan(found.error)) == (0, True, True)


FACTORS = {"a": ["0", "1"], "b": ["0", "1"], "c": ["0", "1"]}


def cube(failed, replicates=5):
    """A 2x2x2 design without noise: c costs 40 points, a gains 2. `failed` are (cell, replicate) without a result."""
    return pd.DataFrame(
        [
            {"a": a, "b": b, "c": c, "replicate": r, "status": "missing" if (a + b + c, r) in failed else "done"}
            | {"value": math.nan if (a + b + c, r) in failed else 90 + 2 * (a == "1") - 40 * (c == "1") + 0.1 * r}
            for a, b, c in itertools.product("01", "01", "01")
            for r in range(1, replicates + 1)
        ]
    )


def effect_of_a(data):
    claim = ClaimSpec.model_validate({"claim": "a", "metric": "value", "kind": "greater", "cells": {"a": "1"}})
    return judge([claim], data, FACTORS)[0]


def test_failed_replicates_of_one_cell_do_not_shift_another_factors_effect():
    """An average over what each replicate has would mix the levels of c: 2 would become 2 - 40/3 in replicates 1 to 3
    if only one side lost its cells."""
    found = effect_of_a(cube({("101", 1), ("101", 2), ("101", 3)}))
    assert (found.estimate, found.sets, found.n) == (pytest.approx(2.0), 4, 2)


def test_one_failure_per_replicate_in_different_cells_leaves_an_estimate():
    """No replicate has all eight cells."""
    found = effect_of_a(cube({("000", 1), ("110", 2), ("001", 3), ("111", 4), ("000", 5)}))
    assert (found.estimate, found.sets, found.n) == (pytest.approx(2.0), 4, 3)
