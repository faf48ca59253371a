"""The simulations of what reports state, against closed forms and the code of reports."""

import math

import numpy as np
import pandas as pd
import pytest

from study.analysis.differences import columns
from study.analysis.findings import judged
from study.analysis.stats import calibrate_reports as simulated
from study.analysis.stats.contrasts import between
from study.analysis.stats.error_choice import choose
from study.analysis.stats.families import family_of


def test_a_single_change_is_distinguishable_by_its_own_interval_in_five_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one change there is nothing to correct: both are the paired t-test."""
    monkeypatch.setattr(simulated, "CHANGES", 1)
    own, adjusted = (simulated.reports_change(3, by, 20_000, np.random.default_rng(0)) for by in ("own", "adjusted"))
    assert own.mean() == pytest.approx(0.05, abs=0.006)
    assert (own == adjusted).all()


def test_null_studies_report_changes_by_own_intervals_and_hardly_ever_after_the_correction() -> None:
    rng = np.random.default_rng(0)
    assert simulated.reports_change(5, "own", 5_000, rng).mean() > 0.25
    assert simulated.reports_change(5, "adjusted", 5_000, rng).mean() <= 0.06


@pytest.mark.parametrize("n", [3, 5])
def test_stated_sizes_are_those_of_the_report(n: int) -> None:
    """Study by study, with the error that a report chooses: true differences of 0 and a margin of 0, so any size but
    unclear is false."""
    found = simulated.states_size(n, 60, np.random.default_rng(3))
    pooled = 0
    for stated, values_NC in zip(found, simulated._values(n, 60, np.random.default_rng(3)), strict=True):
        results = {str(cell): dict(enumerate(values)) for cell, values in enumerate(values_NC.T)}
        choice = choose(results)
        contrasts = [between([(cell, "0")], (1, -1), results) for cell in list(results)[1:]]
        rows = pd.DataFrame([columns(one, math.inf) for one in family_of(contrasts, [choice] * len(contrasts))])
        assert (judged(rows, 0.0)["size"] != "unclear").any() == bool(stated)
        pooled += choice.pooled is not None
    assert pooled == 0 if n == 3 else 30 < pooled < 60
    assert 0 < found.sum() < 15


def test_the_best_of_equal_cells_is_overstated_as_the_largest_of_normal_values() -> None:
    """The mean of the largest of five standard normal values is 1.163."""
    item = (0.96 * 0.04 / 451) / 2
    sd = (item + (0.003**2 + item) / 3) ** 0.5
    found = simulated.overstatement(5, "test", 20_000, np.random.default_rng(0)).mean()
    assert found == pytest.approx(1.163 * sd, rel=0.02)
    chosen = simulated.overstatement(5, "validation", 20_000, np.random.default_rng(0)).mean()
    assert chosen == pytest.approx(0.0, abs=4 * sd / 20_000**0.5)


def test_intervals_after_stopping_cover_less_where_the_claim_was_decided_early() -> None:
    everywhere, early = (
        simulated.covered_after_stopping(3, 5, 2.0, only, 200, np.random.default_rng(0)) for only in (False, True)
    )
    assert len(everywhere) == 200
    assert set(early) <= {0.0, 1.0}
    assert 0.9 < everywhere.mean() < 0.98
