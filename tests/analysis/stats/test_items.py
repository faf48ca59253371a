"""Errors over replicates and images: by hand, against a plain two-way analysis, and by simulation."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from study.analysis.stats.intervals import interval
from study.analysis.stats.items import (
    item_difference,
    item_estimate,
    item_interval,
    logit_item_estimate,
    mean_squares,
)

HAND = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]])
"""Replicates 1/2 and 3/4, images 1, 1, 1/2, 0, mean 5/8: A = 4 (1/64 + 1/64) = 1/8; B = 2 x 11/16 / 3 = 11/24.
Residuals: 1/8, 1/8, -3/8, 1/8 and their negatives: E = 2 x 12/64 / 3 = 1/8."""


def test_the_error_by_hand() -> None:
    assert mean_squares(HAND) == pytest.approx((1 / 8, 11 / 24, 1 / 8))
    found = item_estimate(HAND)
    assert (found.mean, found.n) == (5 / 8, 2)
    assert found.error == pytest.approx(math.sqrt(11 / 24 / 8))
    assert found.df == pytest.approx((11 / 24) ** 2 / (1 / 64 + (11 / 24) ** 2 / 3 + 1 / 64 / 3))


def test_mean_squares_are_those_of_an_analysis_of_variance() -> None:
    values = np.random.default_rng(0).normal(size=(3, 7)) + np.arange(7)
    total = ((values - values.mean()) ** 2).sum()
    between = 7 * ((values.mean(1) - values.mean()) ** 2).sum(), 3 * ((values.mean(0) - values.mean()) ** 2).sum()
    expected = (between[0] / 2, between[1] / 6, (total - sum(between)) / 12)
    assert mean_squares(values) == pytest.approx(expected)


def test_negative_components_of_variance_count_as_none() -> None:
    """Both replicates have the mean 1/2 and all images the mean 1/2: what is left is the residual."""
    found = item_estimate(np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert found.error == pytest.approx(math.sqrt(1.0 / 4))  # E = 1


def test_identical_replicates_have_the_error_of_one_sample_of_images() -> None:
    right = np.array([1.0] * 45 + [0.0] * 5)
    found = item_estimate(np.tile(right, (4, 1)))
    assert found.error == pytest.approx(right.std(ddof=1) / math.sqrt(50))
    assert found.df == pytest.approx(49)


@pytest.mark.parametrize("shape", [(1, 10), (3, 1), (0, 5)])
def test_one_replicate_or_image_has_no_error(shape: tuple[int, int]) -> None:
    found = item_estimate(np.ones(shape))
    assert math.isnan(found.error)
    assert math.isnan(logit_item_estimate(np.ones(shape)).error)


def test_the_interval_contains_that_over_replicates_and_stays_within_0_and_1() -> None:
    rng = np.random.default_rng(1)
    for replicates in (2, 3, 10):
        shares = (rng.random((replicates, 60)) < 0.95).astype(float)
        seeds, (low, high) = interval(shares.mean(axis=1)), item_interval(shares)
        assert 0 <= low <= max(seeds.low, 0) + 1e-12
        assert min(seeds.high, 1) - 1e-12 <= high <= 1


def test_without_any_error_the_interval_is_that_of_half_an_image() -> None:
    """logit(451.5 / 0.5), error sqrt(1/451.5 + 1/0.5), 450 degrees of freedom."""
    low, high = item_interval(np.ones((3, 451)))
    half = stats.t.isf(0.025, 450) * math.sqrt(1 / 451.5 + 2)
    assert low == pytest.approx(special.expit(math.log(903) - half))
    assert 0.97 < low < 0.5 ** (1 / 451)  # a share at which an empty sample of errors is as likely as not
    assert high == 1


def test_a_difference_is_mcnemars_on_identical_replicates() -> None:
    """b = 12 images right only in the first cell, c = 4 only in the second: (b - c) / sqrt(b + c - (b - c)^2 / N)."""
    differences = np.tile(np.array([1.0] * 12 + [-1.0] * 4 + [0.0] * 184), (3, 1))
    found, ends, p_value = item_difference(differences)
    z = 8 / math.sqrt(16 - 64 / 200)
    assert found.mean / found.error == pytest.approx(z * math.sqrt(199 / 200))
    assert p_value == pytest.approx(2 * stats.t.sf(z * math.sqrt(199 / 200), 199))  # replicates have no spread: no test
    assert ends[0] > 0


def test_a_difference_needs_both_the_replicates_and_the_images() -> None:
    rng = np.random.default_rng(2)
    few_images = np.array([[1.0, 0.0, 1.0, 0.0, 0.0]] * 9 + [[1.0, 0.0, 0.0, 0.0, 0.0]])
    _, _, p_value = item_difference(few_images)
    assert stats.ttest_1samp(few_images.mean(axis=1), 0).pvalue < 1e-6
    assert p_value > 0.1  # two of five images
    spread = np.repeat(np.array([[0.4], [-0.2], [0.3]]), 1000, axis=1) + 0.05 * rng.normal(size=(3, 1000))
    assert item_difference(spread)[2] >= stats.ttest_1samp(spread.mean(axis=1), 0).pvalue


@pytest.mark.parametrize("accuracy", [0.9, 0.98])
def test_coverage_over_other_seeds_and_other_images(accuracy: float) -> None:
    """Images differ in difficulty: the interval over replicates covers in 75 % of studies, this one in 94 % or more."""
    rng, studies = np.random.default_rng(3), 400
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    expected = lambda m: (weights / weights.sum()) @ special.expit(m + 3.5 * nodes) - accuracy  # noqa: E731
    centre = optimize.brentq(expected, 0, 40)
    logits = centre + 3.5 * rng.standard_normal((studies, 1, 451)) + 0.1 * rng.standard_normal((studies, 5, 1))
    right = (rng.random((studies, 5, 451)) < special.expit(logits)).astype(float)
    ends = np.array([item_interval(shares) for shares in right])
    plain = [interval(shares.mean(axis=1)) for shares in right]
    assert ((ends[:, 0] <= accuracy) & (accuracy <= ends[:, 1])).mean() > 0.94
    assert np.mean([one.low <= accuracy <= one.high for one in plain]) < 0.88
