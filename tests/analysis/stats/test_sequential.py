"""Looks: schedule, shares of alpha, and the replay from data."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.stats.sequential import look, look_schedule, look_shares, looks
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec
from study.utils.errors import StudyError

FACTORS = {"x": ["base", "big", "none", "late"]}
EFFECTS = {"base": 0.0, "big": 20.0, "none": 0.0, "late": 1.5}


def claim(level, **keys):
    return ClaimSpec.model_validate(
        {"claim": level, "kind": "greater", "cells": {"x": level}, "metric": "value"} | keys
    )


def results(replicates, levels=tuple(EFFECTS), seed=0):
    noise = np.random.default_rng(seed).normal(size=(20, len(EFFECTS)))
    return pd.DataFrame(
        [
            {"x": level, "replicate": r, "value": EFFECTS[level] + noise[r - 1, list(EFFECTS).index(level)]}
            for level in levels
            for r in range(1, replicates + 1)
        ]
    )


@pytest.mark.parametrize(
    ("least", "most", "schedule"),
    [(3, 10, (3, 6, 10)), (5, 20, (5, 10, 20)), (3, 5, (3, 5)), (3, 4, (3, 4)), (4, 4, (4,)), (2, 16, (2, 4, 8, 16))],
)
def test_looks_are_at_about_doubled_numbers_of_replicates(least, most, schedule):
    assert look_schedule(least, most) == schedule


def test_shares_by_hand():
    """(3/10)^2, (6/10)^2 - (3/10)^2, 1 - (6/10)^2."""
    assert look_shares((3, 6, 10)) == pytest.approx((0.09, 0.27, 0.64))


@given(st.integers(2, 200), st.integers(0, 400))
def test_every_schedule_grows_from_least_to_most_and_spends_all_of_alpha(least, more):
    schedule = look_schedule(least, least + more)
    assert schedule[0] == least
    assert schedule[-1] == least + more
    assert all(now > before for before, now in itertools.pairwise(schedule))
    assert sum(look_shares(schedule)) == pytest.approx(1.0)
    assert min(look_shares(schedule)) > 0


@pytest.mark.parametrize(("least", "most"), [(1, 5), (0, 0), (5, 4)])
def test_invalid_replicates_raise(least, most):
    with pytest.raises(StudyError, match=f"invalid replicates {least} to {most}"):
        look_schedule(least, most)


def test_first_look_decides_the_clear_claim_and_requests_the_cells_of_the_other():
    claims = [claim("big"), claim("none")]
    state = look(claims, results(4), FACTORS, 4, 16)
    assert [verdict.verdict for verdict in state.verdicts] == ["supported", "undecided"]
    assert (state.index, state.replicates, state.requested) == (0, 4, 8)
    assert set(state.cells) == {("base",), ("none",)}
    assert state.undecided == (1,)


def test_adjusted_p_value_by_hand():
    """One look of two at (2/4)^2 = 1/4 of alpha, two claims: the smaller p-value is multiplied by 2 x 4."""
    claims = [claim("big"), claim("none")]
    state = look(claims, results(2), FACTORS, 2, 4)
    plain = judge(claims, results(2), FACTORS)
    assert state.verdicts[0].p_value == plain[0].p_value
    assert state.verdicts[0].p_adjusted == pytest.approx(min(1.0, 8 * plain[0].p_value))


def test_a_decided_claim_keeps_its_verdict_when_its_cells_get_more_replicates():
    claims = [claim("big"), claim("late")]
    first = look(claims, results(4), FACTORS, 4, 16, index=0)
    later = look(claims, results(8), FACTORS, 4, 16, index=1)
    assert first.verdicts[0].verdict == "supported"
    assert later.verdicts[0] == first.verdicts[0]
    assert later.verdicts[1].n == 8


def test_a_decided_claim_passes_its_alpha_on():
    claims = [claim("big"), claim("late")]
    alone = look([claim("late")], results(8), FACTORS, 4, 16, index=1).verdicts[0]
    assert look(claims, results(8), FACTORS, 4, 16, index=1).verdicts[1].p_adjusted == alone.p_adjusted


def test_replay_does_not_depend_on_later_replicates():
    claims = [claim(level) for level in ("big", "none", "late")]
    for index, n in enumerate(look_schedule(4, 16)):
        assert look(claims, results(16), FACTORS, 4, 16, index) == look(claims, results(n), FACTORS, 4, 16, index)


def test_between_looks_no_study_of_its_own_is_advised():
    """The study itself adds replicates; after its last look only new ones in another study can decide."""
    between = look([claim("none")], results(8), FACTORS, 4, 8, index=0).verdicts[0]
    assert between.note == "not distinguishable at n = 4; the next look is after 8 replicates"
    last = look([claim("none")], results(8), FACTORS, 4, 8).verdicts[0]
    assert last.verdict == "undecided"
    assert "the next look" not in last.note
    assert "reasonable cost" in last.note or "in a study of their own" in last.note


def test_between_looks_the_reason_of_failed_runs_is_kept():
    data = results(4, ("base", "none")).assign(status="done")
    failed = (data["x"] == "none") & (data["replicate"] == 2)
    data.loc[failed, ["status", "value"]] = ["failed", float("nan")]
    note = look([claim("none")], data, FACTORS, 4, 8).verdicts[0].note
    assert "failed" in note
    assert "next look" not in note


def test_the_last_look_requests_no_more():
    state = look([claim("none")], results(16), FACTORS, 4, 16)
    assert (state.index, state.replicates, state.cells, state.requested) == (2, 16, (), 16)


def test_a_single_look_agrees_with_judge():
    claims = [claim(level) for level in ("big", "none", "late")]
    assert list(look(claims, results(5), FACTORS, 5, 5).verdicts) == judge(claims, results(5), FACTORS)


def test_before_the_first_look_nothing_is_decided():
    state = look([claim("big")], results(3), FACTORS, 4, 16)
    assert (state.index, state.verdicts[0].verdict, state.requested) == (-1, "undecided", 4)
    assert set(state.cells) == {("base",), ("big",)}
    assert state.verdicts[0].note == "the first look is after 4 replicates"


def test_a_look_is_reached_when_its_trials_were_run_or_failed():
    claims = [claim("none")]
    data = results(8).assign(status="done")
    waiting = data.copy()
    waiting.loc[(data["x"] == "none") & (data["replicate"] == 8), ["status", "value"]] = ["missing", np.nan]
    assert look(claims, waiting, FACTORS, 4, 16).index == 0
    failed = waiting.replace({"status": {"missing": "failed"}})
    state = look(claims, failed, FACTORS, 4, 16)
    assert (state.index, state.verdicts[0].n) == (1, 7)


def test_a_look_does_not_wait_for_trials_of_decided_claims():
    data = pd.concat([results(4), results(8, levels=("base", "none"))]).drop_duplicates()
    state = look([claim("big"), claim("none")], data, FACTORS, 4, 16)
    assert (state.index, set(state.cells)) == (1, {("base",), ("none",)})


def test_no_further_look_once_all_claims_are_decided():
    state = look([claim("big")], results(4), FACTORS, 4, 16)
    assert (state.index, state.undecided, state.cells) == (0, (), ())
    assert look([claim("big")], results(16), FACTORS, 4, 16) == state


def test_an_invalid_look_raises():
    with pytest.raises(StudyError, match="invalid look 3: 4 to 16 replicates have 3 looks"):
        look([claim("big")], results(4), FACTORS, 4, 16, index=3)


def test_no_claims():
    assert look([], results(4), FACTORS, 4, 16).verdicts == ()


def test_all_looks_end_with_the_current_one():
    claims = [claim("big"), claim("none")]
    made = looks(claims, results(6), FACTORS, 3, 10)
    assert [(found.index, found.replicates, found.requested) for found in made] == [(-1, 0, 3), (0, 3, 6), (1, 6, 10)]
    assert made[-1] == look(claims, results(6), FACTORS, 3, 10)
