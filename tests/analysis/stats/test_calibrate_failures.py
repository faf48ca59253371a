"""The simulated rules for failures are those of real studies."""

import numpy as np
import pandas as pd
import pytest

from study.analysis.stats.calibrate_failures import Failing, collapse_listed, supported_better, supports
from study.analysis.stats.verdict_rule import judge
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec

CLAIM = ClaimSpec.model_validate({"claim": "better", "metric": "test_accuracy", "kind": "greater", "cells": {"a": "1"}})


@pytest.mark.parametrize("seed", range(20))
def test_a_simulated_study_is_judged_as_a_real_one(seed):
    rng = np.random.default_rng(seed)
    differences, used = rng.normal(0.8, 0.5, 4), rng.random(4) < 0.7
    status = ["done" if ok else "failed" for ok in used]
    data = pd.DataFrame(
        {
            "a": ["0"] * 4 + ["1"] * 4,
            "replicate": [1, 2, 3, 4] * 2,
            "status": ["done"] * 4 + status,
            "test_accuracy": [0.0] * 4 + [d if ok else np.nan for d, ok in zip(differences, used, strict=True)],
        }
    )
    found = judge([CLAIM], data, {"a": ["0", "1"]}, failures="exclude")[0]
    assert supports(differences[None], used[None], Region(0.0, np.inf))[0] == (found.verdict == "supported")


def test_leaving_out_the_worst_runs_makes_a_cell_look_better():
    """Twice as often as any run that fails, and more often than half of alpha; the default rule does not."""
    false = {
        (rule, worst): supported_better(Failing(10, 0.2, worst, rule), 4_000, np.random.default_rng(0)).mean()
        for rule in ("undecided", "exclude")
        for worst in (False, True)
    }
    assert false["exclude", True] > 0.06 > 0.04 > false["exclude", False]
    assert false["undecided", True] < 0.025


def test_collapsed_runs_are_listed():
    assert collapse_listed(5, 50, np.random.default_rng(0)).all()
