"""Adjustment by the largest |t| against SciPy's Dunnett test, exact quadrature and Bonferroni-Holm."""

import numpy as np
import pytest
from scipy import special, stats

from study.analysis.stats.adjust import holm
from study.analysis.stats.max_t import SharedError, draws, exceeding, step_down, step_down_all


def against_first(count):
    """Weights of `count` differences from a shared baseline."""
    return np.hstack([-np.ones((count, 1)), np.eye(count)])


def together(p_values, weights, df):
    """Adjusted p-values of tests that share one error."""
    return step_down(p_values, [SharedError(range(len(p_values)), weights, df)])


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
    adjusted = together(p_values, against_first(3), df)
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
    adjusted = together(np.array([0.001, 0.001, 0.04]), weights, 10)
    assert adjusted[2] == pytest.approx(0.04, rel=0.02)
    assert adjusted[0] == pytest.approx(1 - 0.999**2, rel=0.2)


def test_is_between_the_p_values_and_holms():
    p_values = np.array([1e-9, 0.012, 0.3, 0.9, 0.02])
    adjusted = together(p_values, against_first(5), 12)
    assert ((p_values <= adjusted) & (adjusted <= holm(p_values))).all()


def test_a_test_without_p_value_counts():
    weights = against_first(3)
    alone, among = (
        together(np.array([0.02]), weights[:1], 12),
        together(np.array([0.02, np.nan, np.nan]), weights, 12),
    )
    assert np.isnan(among[1:]).all()
    assert among[0] > 1.5 * alone[0]


def test_many_rows_agree_with_one():
    rng = np.random.default_rng(0)
    weights, p_values = against_first(4), rng.uniform(0, 0.06, (200, 4))
    plain = np.array([together(row, weights, 12) <= 0.05 for row in p_values])
    assert (step_down_all(p_values, weights, 12, 0.05) == plain).all()
    assert 0.2 < plain.mean() < 0.8


def test_tests_with_different_errors_count_as_independent():
    """One pair shares an error; the third has its own, and the fourth none that is shared."""
    p_values = np.array([0.01, 0.02, 0.03, 0.04])
    pair = SharedError([0, 2], against_first(2), 6)
    single = SharedError([1], np.array([[1.0, -1.0]]), 12)
    found = step_down(p_values, [pair, single])
    both = together(p_values[[0, 2]], pair.weights_MC, 6)[0]
    assert found[0] == pytest.approx(min(1 - (1 - both) * 0.99**2, 0.04))  # at most Holm's
    assert found[1] == pytest.approx(1 - 0.98**3)
    assert found[2] == pytest.approx(max(1 - 0.97**2, found[1]))
    assert found[3] == pytest.approx(max(0.04, found[2]))


def test_independent_errors_keep_the_level():
    """Six pairs of tests, each with an error of 6 degrees of freedom: as one error, 6.2 % of these have a rejection."""
    rng, studies = np.random.default_rng(5), 4_000
    weights = against_first(2)
    errors = [SharedError([2 * i, 2 * i + 1], weights, 6) for i in range(6)]
    z = rng.normal(size=(studies, 6, 3)) @ weights.T / np.sqrt(2)
    t = z / np.sqrt(rng.chisquare(6, (studies, 6, 1)) / 6)
    smallest = (2 * stats.t.sf(np.abs(t), 6)).reshape(studies, 12).min(axis=1)
    limit = 0.05 / 12  # of Holm; the p-value that is adjusted to 0.05 is above
    grid = np.linspace(limit, 2 * limit, 30)
    adjusted = [step_down(np.array([p, *[1.0] * 11]), errors)[0] for p in grid]
    level = float(np.interp(0.05, adjusted, grid))
    assert level > 1.01 * limit
    assert (smallest <= level).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)


def test_components_do_not_matter_beyond_the_correlations():
    """Many cells on each side, in any order, cost no accuracy: draws depend on the correlations alone."""
    wide = np.hstack([np.repeat(-np.ones((3, 1)) / 50, 50, axis=1), np.kron(np.eye(3), np.ones((1, 50)) / 50)])
    assert draws(wide) == pytest.approx(draws(wide[:, ::-1]))
    assert draws(wide) == pytest.approx(draws(against_first(3)))
