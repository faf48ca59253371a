"""The test of equal spreads, checked by hand and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from study.analysis.stats.spread import LEVEL, equal_spread_p_values, spread


def test_distances_from_the_median_without_its_own_zero_by_hand() -> None:
    """Distances 1 1, 2 2 and 1 3: means 1, 2, 2; between cells 2 x 2/3, within cells 2, on 2 and 3 degrees."""
    found = spread([[4, 5, 6], [8, 10, 12], [1, 2, 5]])
    assert found.p_value == pytest.approx(stats.f.sf((4 / 3 / 2) / (2 / 3), 2, 3))
    assert (found.cells, found.smallest, found.largest) == (3, 1.0, pytest.approx(math.sqrt(13 / 3)))


def test_an_even_number_keeps_one_of_the_two_values_next_to_the_median() -> None:
    """0 1 3 6 has median 2 and distances 1, 1, 2, 4: kept as sqrt(2), 2, 4. 0 2 6 12: twice that."""
    once, twice = np.array([math.sqrt(2), 2, 4]), 2 * np.array([math.sqrt(2), 2, 4])
    assert spread([[0, 1, 3, 6], [12, 0, 6, 2]]).p_value == pytest.approx(stats.f_oneway(once, twice).pvalue)


def test_cells_of_different_sizes_are_compared_and_single_results_ignored() -> None:
    found = spread([[1.0, 2.0], [0.5, 1.0, 4.0], [3.0]])
    assert (found.tested, found.cells) == (True, 2)
    assert found.p_value == pytest.approx(stats.f_oneway([0.5 * math.sqrt(2)], [0.5, 3.0]).pvalue)


@pytest.mark.parametrize("cells", [[], [[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [3.0, 7.0]], [[0.9] * 3, [0.8] * 3]])
def test_nothing_to_test(cells: list[list[float]]) -> None:
    """One cell, one or two replicates, or no variation at all."""
    assert (spread(cells).tested, spread(cells).differs) == (False, False)


def test_rounding_is_no_spread() -> None:
    assert not spread([[0.1 + 0.2, 0.3, 0.3], [0.7, 0.1 * 7, 0.7]]).tested


@pytest.mark.parametrize("n", [3, 4, 5])
def test_equal_spreads_are_rarely_rejected_and_a_collapsing_cell_is_found(n: int) -> None:
    rng = np.random.default_rng(n)
    noise = rng.exponential(size=(2_000, 8, n))
    p_values = equal_spread_p_values(list(np.moveaxis(noise, 1, 0)))
    assert (p_values < 0.05).mean() < 0.12
    assert (p_values < LEVEL).mean() < 0.35
    collapsing = np.moveaxis(np.concatenate([noise[:, :1] * 10, noise[:, 1:]], axis=1), 1, 0)
    assert (equal_spread_p_values(list(collapsing)) < LEVEL).mean() > 0.5
