"""Distances of runs from the median of their cell in pooled MADs, by hand."""

import numpy as np
import pytest

from study.analysis.stats.outliers import FAR, distances


def test_distances_by_hand():
    """Deviations -1, 0, 2 and -3, 0, 1; without a zero of each cell the absolute ones are 1, 1, 2, 3: their median is
    1.5."""
    found = distances([np.array([4.0, 5.0, 7.0]), np.array([1.0, 4.0, 5.0])])
    assert found[0] == pytest.approx(np.array([-1, 0, 2]) / (1.4826 * 1.5))
    assert found[1] == pytest.approx(np.array([-3, 0, 1]) / (1.4826 * 1.5))


def test_a_collapsed_run_is_far_among_three_replicates():
    """The others do not hide it: neither its cell's median nor the pooled MAD moves much."""
    cells = [np.array([0.90, 0.91, 0.92]), np.array([0.93, 0.91, 0.50]), np.array([0.90, 0.92, 0.91])]
    far = [np.abs(own) > FAR for own in distances(cells)]
    assert [own.tolist() for own in far] == [[False] * 3, [False, False, True], [False] * 3]


def test_two_runs_cannot_be_outlying():
    found = distances([np.array([0.1, 0.9]), np.array([0.5, 0.51, 0.52])])
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("cells", [[], [np.array([])], [np.array([0.5])], [np.array([0.5, 0.5, 0.5])]])
def test_without_spread_there_is_no_distance(cells):
    assert all(np.isnan(own).all() for own in distances(cells))
