"""Adjustment by the largest |t| against SciPy's Dunnett test, exact quadrature and Bonferroni-Holm."""

import numpy as np
import pytest
from scipy import special, stats

from study.analysis.stats.adjust import holm
from study.analysis.stats.max_t import draws, exceeding, step_down, step_down_all


def against_first(count):
    """Weights of `count` differences from a shared baseline."""
    return np.hstack([-np.ones((count, 1)), np.eye(count)])


def dunnett_by_quadrature(t, count, df):
    """P(max |T| >= t) for equal correlations of 1/2: over the baseline's value, then over the error's distribution."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    limit = t * np.sqrt(stats.chi2.ppf((nodes + 1) / 2, df) / df)[:, None]
    z = np.linspace(-8, 8, 2_001)
    inside = (special.ndtr(np.sqrt(2) * limit + z) - special.ndtr(-np.sqrt(2) * limit + z)) ** count
    return 1 - float(weights / 2 @ (inside @ stats.norm.pdf(z) * (z[1] - z[0])))


@pytest.mark.parametrize(("count", "df"), [(2, 12), (8, 36), (8, 18), (20, 60)])
@pytest.mark.parametrize("t", [2.0, 2.7, 3.3])
def test_probability_is_that_of_dunnetts_distribution(count, df, t):
    found = exceeding(draws(against_first(count)).max(axis=1), t, df)
    assert found == pytest.approx(dunnett_by_quadrature(t, count, df), rel=0.03)


def test_largest_statistic_is_adjusted_as_by_scipys_dunnett():
    rng = np.random.default_rng(3)
    control, *samples = (rng.normal(mean, 1.0, 6) for mean in (0.0, 1.9, 0.4, -0.3))
    reference = stats.dunnett(*samples, control=control, rng=np.random.default_rng(0))
    df = 4 * 5
    p_values = 2 * stats.t.sf(np.abs(reference.statistic), df)
    adjusted = step_down(p_values, against_first(3), df)
    smallest = int(np.argmin(p_values))
    assert adjusted[smallest] == pytest.approx(reference.pvalue[smallest], rel=0.03)
    assert (adjusted <= reference.pvalue + 0.005).all()  # step-down is at least as powerful


def test_table_of_dunnett():
    """Two-sided 5 % points for 2, 4 and 8 comparisons with known variance (Dunnett 1964, Biometrics 20:482)."""
    for count, point in ((2, 2.21), (4, 2.44), (8, 2.65)):
        assert exceeding(draws(against_first(count)).max(axis=1), point, 1e6) == pytest.approx(0.05, abs=0.001)


def test_steps_by_hand():
    """Two equal tests count as one; the third is adjusted for itself alone once both are rejected."""
    weights = np.array([[1.0, -1.0, 0.0], [2.0, -2.0, 0.0], [0.0, 0.0, 1.0]])
    adjusted = step_down(np.array([0.001, 0.001, 0.04]), weights, 10)
    assert adjusted[2] == pytest.approx(0.04, rel=0.02)
    assert adjusted[0] == pytest.approx(1 - 0.999**2, rel=0.2)


def test_is_between_the_p_values_and_holms():
    p_values = np.array([1e-9, 0.012, 0.3, 0.9, 0.02])
    adjusted = step_down(p_values, against_first(5), 12)
    assert ((p_values <= adjusted) & (adjusted <= holm(p_values))).all()


def test_a_test_without_p_value_counts():
    weights = against_first(3)
    alone, among = (
        step_down(np.array([0.02]), weights[:1], 12),
        step_down(np.array([0.02, np.nan, np.nan]), weights, 12),
    )
    assert np.isnan(among[1:]).all()
    assert among[0] > 1.5 * alone[0]


def test_many_rows_agree_with_one():
    rng = np.random.default_rng(0)
    weights, p_values = against_first(4), rng.uniform(0, 0.06, (200, 4))
    plain = np.array([step_down(row, weights, 12) <= 0.05 for row in p_values])
    assert (step_down_all(p_values, weights, 12, 0.05) == plain).all()
    assert 0.2 < plain.mean() < 0.8
