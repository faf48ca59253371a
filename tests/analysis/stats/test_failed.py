"""Failed trials in verdicts: by default undecided, or counted as the grid states; always named."""

import math

import pandas as pd
import pytest

from study.analysis.stats.failed import Failed, counted, failed_by_cell, note
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec

FACTORS = {"a": ["a0", "a1"], "c": ["c0", "c1"]}
GREATER = ClaimSpec.model_validate(
    {"claim": "a", "metric": "test_accuracy", "kind": "greater", "cells": {"a": "a1"}, "where": {"c": "c0"}}
)
BASE, LEVEL = [0.70, 0.71, 0.72, 0.70, 0.71], [0.80, 0.82, 0.81, None, None]  # None: failed


def study(*, other_failed=False):
    cells = {("a0", "c0"): BASE, ("a1", "c0"): LEVEL, ("a0", "c1"): [None if other_failed else 0.5] * 5}
    return pd.DataFrame(
        [
            {"a": a, "c": c, "replicate": r, "status": "failed" if value is None else "done", "test_accuracy": value}
            for (a, c), values in cells.items()
            for r, value in enumerate(values, start=1)
        ]
    )


def test_a_claim_with_failed_replicates_is_undecided_and_names_them():
    found = judge([GREATER], study(), FACTORS)[0]
    assert (found.verdict, found.n, math.isnan(found.p_adjusted)) == ("undecided", 3, True)
    assert found.note == "2 of 5 replicates of a=a1 failed: no verdict (failures: undecided)"


def test_excluded_failures_are_named_beside_the_verdict():
    found = judge([GREATER], study(), FACTORS, failures="exclude")[0]
    assert (found.verdict, found.n, found.estimate) == ("supported", 3, pytest.approx(0.1))
    assert found.note == "2 of 5 replicates of a=a1 failed: excluded"


def test_the_worst_value_of_an_accuracy_is_zero():
    """Differences by hand: 0.10, 0.11, 0.09, -0.70, -0.71."""
    found = judge([GREATER], study(), FACTORS, failures="worst")[0]
    assert (found.verdict, found.n, found.estimate) == ("undecided", 5, pytest.approx(-1.11 / 5))
    assert found.note.startswith("2 of 5 replicates of a=a1 failed: counted as the worst value; not ")


def test_failures_of_other_cells_do_not_concern_a_claim():
    assert judge([GREATER], study(other_failed=True).query("a == 'a0' or replicate <= 3"), FACTORS)[0].note == ""


def test_failures_of_the_other_claims_count_in_the_family():
    """As a claim without results: the p of the other claim is doubled."""
    other = GREATER.model_copy(update={"claim": "c", "cells": {"c": "c1"}, "where": {"a": "a0"}})
    data = study(other_failed=True)
    data = data[~((data["a"] == "a1") & (data["replicate"] > 3))]
    alone, both = judge([GREATER], data, FACTORS)[0], judge([GREATER, other], data, FACTORS)
    assert both[0].p_adjusted == pytest.approx(2 * alone.p_value)
    assert both[1].verdict == "undecided"


def test_a_cell_without_any_result_gives_no_verdict_under_any_rule_but_worst():
    data = study()
    lost = data.assign(status=data["status"].mask(data["a"] == "a1", "failed"))
    lost.loc[lost["a"] == "a1", "test_accuracy"] = math.nan
    for rule in ("undecided", "exclude"):
        found = judge([GREATER], lost, FACTORS, failures=rule)[0]
        assert (found.verdict, "5 of 5 replicates of a=a1 failed" in found.note) == ("undecided", True)
    assert judge([GREATER], lost, FACTORS, failures="worst")[0].verdict == "refuted"


def test_missing_and_excluded_trials_have_not_failed():
    data = study().assign(status="missing")
    assert failed_by_cell(data, FACTORS) == failed_by_cell(data.drop(columns="status"), FACTORS) == {}
    assert failed_by_cell(study(), FACTORS) == {("a1", "c0"): Failed("a=a1", 2, 5)}


def test_metrics_without_a_worst_value_stay_missing():
    data = counted(study().assign(train_seconds=math.nan), "worst")
    assert data["test_accuracy"].tolist()[5:10] == [0.80, 0.82, 0.81, 0.0, 0.0]
    assert data["train_seconds"].isna().all()


def test_a_note_lists_three_cells():
    found = note([Failed(f"a={i}", 1, 3) for i in range(5)], "exclude")
    assert found.startswith("1 of 3 replicates of a=0 failed, 1 of 3 replicates of a=1 failed, ")
    assert found.endswith("a=2 failed, and some of 2 more cells: excluded")
    assert note([], "worst") == ""


def test_a_study_without_factors_has_its_failed_trials():
    """A search: all trials are of the one cell that has no levels."""
    data = pd.DataFrame({"replicate": [1, 2, 3], "status": ["done", "failed", "missing"]})
    assert failed_by_cell(data, {}) == {(): Failed("baseline", 1, 2)}
