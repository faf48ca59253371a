"""The pooled error against an analysis of variance, and the guard and the choice on hand-made results."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from study.analysis.stats.contrasts import between
from study.analysis.stats.error_choice import choose, may_pool
from study.analysis.stats.pooled_error import guarded_df, guarded_variances, mean_squares, pooled_error


def results(values_NC):
    return {f"c{c}": dict(enumerate(column, start=1)) for c, column in enumerate(values_NC.T.tolist())}


def drawn(n, count, sd=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, count)) * sd + 3 * rng.standard_normal((n, 1))


def test_mean_square_is_that_of_the_block_fit():
    values = drawn(5, 4)
    rows = pd.DataFrame(
        [{"cell": c, "replicate": r, "value": values[r, c]} for r in range(5) for c in range(4)],
    )
    fit = smf.ols("value ~ C(cell) + C(replicate)", rows).fit()
    assert mean_squares(values[None])[0] == pytest.approx(fit.mse_resid)
    assert fit.df_resid == 12


def test_own_variance_of_a_cell_is_unbiased():
    """Cells with variances 1, 4 and 100: the mean over many studies of the noisy cell's variance is 100, while the
    others have the mean square, the mean of the three."""
    rng = np.random.default_rng(0)
    found = guarded_variances(rng.standard_normal((20_000, 6, 3)) * (1.0, 2.0, 10.0)).mean(axis=0)
    assert found[2] == pytest.approx(100, rel=0.03)
    assert found[:2] == pytest.approx([35, 35], rel=0.03)


def test_replicate_effects_cancel():
    values = drawn(5, 4)
    moved = values + np.arange(5)[:, None] * 100
    assert guarded_variances(moved[None])[0] == pytest.approx(guarded_variances(values[None])[0])


@pytest.mark.parametrize(("n", "count", "df"), [(4, 9, 6), (5, 9, 12), (5, 3, 8), (10, 9, 72), (10, 20, 72)])
def test_degrees_of_freedom(n, count, df):
    assert guarded_df(n, count) == df


def test_error_is_at_least_that_of_the_paired_differences():
    """Cells 0 and 1 differ by 0, 8, 0, 8, 0 and the others hardly: their difference keeps its own error."""
    values = drawn(5, 6, sd=0.1)
    values[:, 1] = values[:, 0] + np.array([0.0, 8.0, 0.0, 8.0, 0.0])
    found = results(values)
    own = between([("c1", "c0")], (1, -1), found)
    assert pooled_error(list(found), values).estimate(own).error >= own.estimate().error


def test_a_pooled_error_has_more_degrees_of_freedom_and_the_same_mean():
    found = results(drawn(5, 6))
    choice, difference = choose(found), between([("c1", "c0")], (1, -1), found)
    paired, pooled = difference.estimate(), choice.estimate(difference)
    assert choice.is_pooled(difference)
    assert (pooled.mean, pooled.n, pooled.df, paired.df) == (paired.mean, 5, 12, 4)


def test_a_difference_from_a_number_keeps_its_own_error():
    """The effect of the replicate does not cancel in it."""
    found = results(drawn(5, 6))
    level = between([("c1",)], (1,), found, constant=0.5)
    assert choose(found).estimate(level) == level.estimate()


def test_a_cell_without_all_replicates_keeps_its_own_error():
    found = results(drawn(5, 6))
    del found["c1"][5]
    choice = choose(found)
    assert choice.cells == 5
    assert not choice.is_pooled(between([("c1", "c0")], (1, -1), found))
    assert choice.is_pooled(between([("c2", "c0")], (1, -1), found))


def test_unequal_spreads_are_not_pooled():
    values = drawn(6, 6)
    values[:, 5] *= 50
    choice = choose(results(values))
    assert choice.pooled is None
    assert choice.reason.startswith("equal spread of the cells is not accepted (Brown-Forsythe p = 0.0")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (drawn(3, 6), "a pooled error needs 4 replicates, found 3"),
        (drawn(5, 2), "a pooled error needs 3 cells with all replicates, found 2"),
        (np.ones((5, 6)), "the results hardly vary, so the spreads of the cells cannot be compared"),
        (np.empty((0, 0)), "a pooled error needs 3 cells with all replicates, found 0"),
    ],
)
def test_reasons_for_paired_differences(values, reason):
    choice = choose(results(values))
    assert (choice.pooled, choice.reason) == (None, reason)


def test_correlation_by_hand():
    """Two cells that move together up to 1: variances 2.5 each, differences 0, 1, 0, -1, 0 with variance 0.5."""
    values = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 3.0], [4.0, 5.0], [5.0, 5.0]])
    differences, variances = (values[:, 0] - values[:, 1]).var(ddof=1), values.var(axis=0, ddof=1)
    assert choose(results(values)).correlation == pytest.approx(1 - differences / variances.sum())


def test_many_studies_are_chosen_as_one():
    rng = np.random.default_rng(1)
    studies = rng.standard_normal((60, 5, 4)) * rng.uniform(0.2, 3, (60, 1, 4))
    plain = [choose(results(values)).pooled is not None for values in studies]
    assert may_pool(studies).tolist() == plain
    assert 10 < sum(plain) < 50
