"""The vectorised simulation of fits against the fit of the report, study by study."""

import numpy as np
import pandas as pd
import pytest

from study.analysis.stats import calibrate_fits
from study.analysis.stats.calibrate_fits import RESOLUTION_3, RESOLUTION_4, Fraction, draw, intervals, sampled
from study.analysis.stats.effects import Effects, estimate
from study.analysis.stats.fit_error import Source


def fitted(fraction: Fraction, values_CN: np.ndarray) -> Effects:
    factors = {f"f{i}": [str(level) for level in range(count)] for i, count in enumerate(fraction.levels)}
    rows = [
        {**{f"f{i}": str(level) for i, level in enumerate(cell)}, "replicate": r, "value": value}
        for cell, values in zip(fraction.codes_CF, values_CN, strict=True)
        for r, value in enumerate(values, start=1)
    ]
    return estimate(pd.DataFrame(rows), factors)


@pytest.mark.parametrize("fraction", [RESOLUTION_3, RESOLUTION_4, sampled(20)], ids=lambda fraction: fraction.name)
def test_intervals_of_simulated_studies_are_those_of_the_report(fraction: Fraction) -> None:
    seen = set()
    for size, ratio in ((0.0, 1.0), (0.5, 1.0), (0.0, 6.0)):
        values, _ = draw(fraction, 3, size, ratio, 3, np.random.default_rng(1))
        for study, estimates, half in zip(values, *intervals(fraction, values), strict=True):
            found = fitted(fraction, study)
            rows = found.effects.dropna(subset="difference")
            assert rows["difference"].tolist() == pytest.approx(estimates)
            assert (rows["difference_high"] - rows["difference"]).tolist() == pytest.approx(half)
            assert found.error is not None
            seen.add(found.error.source)
    assert Source.WITHIN in seen
    assert Source.REPLICATES in seen
    assert (Source.BETWEEN in seen) == (not fraction.interactions)


def test_the_truth_is_the_average_over_the_whole_product() -> None:
    """Without noise and interactions, every estimate is exact."""
    values, truth = draw(sampled(20), 3, 0.0, 1.0, 2, np.random.default_rng(0))
    estimates, half = intervals(sampled(20), values)
    assert estimates.shape == truth.shape == (2, 8)
    assert (np.abs(estimates - truth) < 4 * half).all()


def test_every_line_is_within_its_bounds_for_a_few_studies() -> None:
    for i, question in enumerate(calibrate_fits.questions()):
        share = question.hits(400, np.random.default_rng(i)).mean()
        assert question.low - 0.04 <= share <= question.high + 0.04, question.setting
