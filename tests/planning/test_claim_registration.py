"""The record of claims in a store: drawn sequences of runs, drivers at the same time, damage."""

import itertools
import json
import threading
from pathlib import Path

import pytest
from helpers.report_samples import KV_HEADS, make_study, put
from hypothesis import given, settings
from hypothesis import strategies as st

from study.design.registration import standings
from study.design.study import Study
from study.planning.claim_registration import history, present, register
from study.planning.state import StudyState
from study.store.results import Store
from study.utils.errors import StudyError


def study_of(folder: Path, margin: float, replicates: int = 3) -> Study:
    claim = {"claim": "c", "kind": "greater", "cells": {"kv heads": 1}, "margin": margin}
    return make_study(folder, KV_HEADS, claims=[claim], replicates=replicates)


def test_a_new_study_is_recorded_with_no_results_and_again_only_after_a_change(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 0.01), Store(tmp_path / "store")
    state = StudyState.look(study, store)
    first = register(state)
    assert [(entry.results, entry.minimum, entry.maximum) for entry in first] == [(0, 3, 3)]
    assert first[0].claims[0].judged["margin"] == 0.01
    for trial in state.trials[:4]:
        put(store, trial, 0.9)
    assert register(state.look_again()) == first
    changed = register(StudyState.look(study_of(tmp_path, 0.02, replicates=5), store))
    assert changed[:1] == first
    assert (changed[1].results, changed[1].maximum) == (4, 5)


def test_plan_and_report_read_only(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 0.01), Store(tmp_path / "store")
    assert history(study, store) == ()
    present(StudyState.look(study, store))
    assert not (tmp_path / "store").exists()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.01, 0.02]), st.integers(0, 3)), min_size=1, max_size=5))
def test_any_sequence_of_runs(tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[float, int]]) -> None:
    """Each run has a margin, and adds results afterwards: the standing is the number of results before the first of
    the last runs with the present margin."""
    folder = tmp_path_factory.mktemp("runs")
    store, results, expected, last = Store(folder / "store"), 0, 0, None
    for margin, added in runs:
        state = StudyState.look(study_of(folder, margin), store)
        entries = register(state)
        expected = expected if margin == last else results
        last = margin
        assert standings(present(state), entries)[0].results == expected
        for trial in state.trials[results : results + added]:
            put(store, trial, 0.9)
        results = min(results + added, len(state.trials))
    changes = [margin for margin, _ in runs]
    assert len(history(state.study, store)) == 1 + sum(a != b for a, b in itertools.pairwise(changes))


def test_drivers_at_the_same_time_lose_no_entry(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    folders = [tmp_path / str(i) for i in range(8)]
    for folder in folders:
        folder.mkdir()
    states = [StudyState.look(study_of(folder, (i + 1) / 100), store) for i, folder in enumerate(folders)]
    threads = [threading.Thread(target=register, args=[state]) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    margins = [entry.claims[0].judged["margin"] for entry in history(states[0].study, store)]
    assert sorted(margins) == [(i + 1) / 100 for i in range(8)]


def test_fields_of_later_versions_are_ignored_and_damage_is_named(tmp_path: Path) -> None:
    study, store = study_of(tmp_path, 0.01), Store(tmp_path / "store")
    made = register(StudyState.look(study, store))
    store.write("claims/made-up/1.json", json.dumps(made[0].model_dump() | {"later": 1}).encode())
    assert history(study, store) == made
    store.write("claims/made-up/1.json", b"{")
    with pytest.raises(StudyError, match=r"claims/made-up/1\.json, the record of the claims, cannot be read"):
        history(study, store)
