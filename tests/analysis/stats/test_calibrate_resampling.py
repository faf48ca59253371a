"""Simulated studies with fixed and drawn splits, and with one or several tunings."""

import numpy as np
import pytest

from study.analysis.stats.calibrate_resampling import Replicates, covered, covers_tuning

STUDIES = 400


def share(made: Replicates) -> float:
    return float(covered(made, STUDIES, np.random.default_rng(1)).mean())


def test_an_interval_covers_the_split_only_if_it_is_drawn_anew() -> None:
    assert share(Replicates(5, "resampled", "these images")) > 0.92
    assert share(Replicates(5, "fixed", "these images")) < 0.8


def test_an_interval_for_other_images_has_to_be_wider() -> None:
    assert share(Replicates(5, "resampled", "new images")) < 0.88
    assert share(Replicates(5, "resampled", "new images", corrected=True)) > 0.9


@pytest.mark.parametrize(("tunings", "low", "high"), [(1, 0.3, 0.65), (2, 0.5, 0.85), (10, 0.92, 0.98)])
def test_replicates_that_share_a_tuning_are_not_independent(tunings: int, low: float, high: float) -> None:
    assert low < covers_tuning(10, tunings, STUDIES, np.random.default_rng(1)).mean() < high
