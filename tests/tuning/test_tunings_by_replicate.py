"""`tune: {seeds: N}`: each replicate has a tuning of its own, and the first is the one of all replicates."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan, requested_trials
from helpers.tuning_samples import Writer, run_here

from study.analysis.tuned_values import tuned
from study.cli.plan import as_json, summary
from study.design.search_space import with_values
from study.design.stages import stages_of
from study.design.study import Study, load
from study.planning import tuning_state
from study.planning.state import StudyState
from study.planning.tuning_state import TuningTrial
from study.report import analyse
from study.report.summary import answers as summary_of
from study.store.results import Store
from study.tuning.stage_source import TuningStageSource

SEEDS = ("tune:\n  budget: 4", "tune:\n  seeds: 2\n  budget: 2")
ONE = ("  budget: 4", "  budget: 2")
WARM = ("  budget: 4", "  seeds: 2\n  warm_start: true\n  budget: 2")
SPLIT = ("replicates: 2", "replicates: 2\nresample: [split]")


@pytest.fixture
def ran(grid: Writer, tmp_path: Path) -> tuple[Study, Store]:
    """Two tunings of two trials for each of two cells, and the replicates."""
    study, store = load(grid(SEEDS)), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    return study, store


def test_each_replicate_uses_the_best_values_of_its_own_tuning(ran: tuple[Study, Store]) -> None:
    study, store = ran
    tunings = tuning_state.load(study, store)
    names = [("baseline", 1), ("kv heads=2", 1), ("baseline", 2), ("kv heads=2", 2)]
    assert [one.name for one in tunings] == names
    assert [one.ended for one in tunings] == [2] * 4, "the budget is that of each tuning"
    best = {one.name: one.best for one in tunings}
    trials = requested_trials(study, store)
    assert [(trial.cell.name, trial.replicate) for trial in trials] == names
    for trial in trials:
        found = best[trial.cell.name, trial.replicate]
        assert found is not None
        assert trial.settings == with_values(trial.cell.settings, found.values)  # type: ignore[arg-type]


def test_tunings_of_one_cell_differ_in_suggestions_and_in_seeds(ran: tuple[Study, Store]) -> None:
    tunings = tuning_state.load(*ran)
    assert len({str(trial.values) for one in tunings for trial in one.trials}) == 8
    seeds = {one.name: {one.trial(trial).seed for trial in one.trials} for one in tunings}
    assert seeds["baseline", 1] == seeds["kv heads=2", 1], "cells of one replicate are paired"
    assert not seeds["baseline", 1] & seeds["baseline", 2]
    tags = [one.trial(trial).tag for one in tunings for trial in one.trials]
    assert tags == ["r1t1", "r1t2"] * 2 + ["r2t1", "r2t2"] * 2


def test_the_tuning_of_all_replicates_is_that_of_the_first_one(
    grid: Writer, ran: tuple[Study, Store], tmp_path: Path
) -> None:
    """So a study that was tuned once has its tuning, and its first replicate, when `seeds` is added."""
    study, store = ran
    once = load(grid(ONE))
    assert [one.key for one in tuning_state.load(once, store)] == [
        one.key for one in tuning_state.load(study, store) if one.replicate == 1
    ]
    found = {trial.replicate for trial in requested_trials(once, store) if store.has(stages_of(trial)[-1])}
    assert found == {1}


def test_a_killed_sweep_continues(grid: Writer, ran: tuple[Study, Store], tmp_path: Path) -> None:
    study, pieces, keys = ran[0], Store(tmp_path / "pieces"), []
    while some := run_here(TuningStageSource(study, pieces), pieces, most=5):
        keys += [stage.key for stage in some]
    assert len(keys) == len(set(keys))
    assert set(keys) == ran[1].keys()


def test_with_a_warm_start_cells_start_from_the_baseline_of_their_replicate(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(WARM)), Store(tmp_path / "store")
    assert [one.name for one in tuning_state.load(study, store)] == [("baseline", 1), ("baseline", 2)]
    run_here(TuningStageSource(study, store), store)
    tunings = {one.name: one for one in tuning_state.load(study, store)}
    assert len(tunings) == 4
    for replicate in (1, 2):
        best = tunings["baseline", replicate].best
        assert best is not None
        assert tunings["kv heads=2", replicate].trials[0].values == best.values


def test_a_tuning_on_resampled_data_has_the_split_of_its_replicate(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(SEEDS, SPLIT)), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    state = StudyState.look(study, store)
    splits = {
        replicate: {
            trial.resampling.split for trial in [*state.trials, *state.tuning_trials] if trial.replicate == replicate
        }
        for replicate in (1, 2)
    }
    assert [len(found) for found in splits.values()] == [1, 1]
    assert splits[1] != splits[2]
    fixed = {one.key for one in tuning_state.load(load(grid(SEEDS)), store)}
    assert fixed.isdisjoint(one.key for one in state.tunings)


def test_plan_counts_all_tunings(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(SEEDS)), Store(tmp_path / "store")
    plan = make_plan(study, store)
    assert "tuning: 2 cells x 2 replicates x 2 trials = 8; 0 ended, 8 to run; then 4 replicates" in summary(plan)
    assert "2 cells x 2 replicates = 4 trials" in summary(plan)
    assert TuningStageSource(study, store).total == 8 + 4
    written = as_json(plan)["tuning"]
    assert written["tunings"] == 2
    assert [(one["cell"], one["replicate"]) for one in written["cells"]] == [one.name for one in plan.tunings]


def test_the_report_has_a_row_for_each_tuning(ran: tuple[Study, Store]) -> None:
    study, store = ran
    results = collect(study, store)
    rows = tuned(results)
    names = [("baseline", 1), ("baseline", 2), ("kv heads=2", 1), ("kv heads=2", 2)]
    assert list(zip(rows["cell"], rows["replicate"], strict=True)) == names
    best = {one.name: one.best for one in tuning_state.load(study, store)}
    for row in rows.to_dict("records"):
        found = best[row["cell"], row["replicate"]]
        assert found is not None
        assert (row["trial"], row["values"]) == (found.number, dict(found.values))
    assert results.tables()["tuning.csv"].columns.tolist()[:3] == ["cell", "replicate", "trial"]
    assert results.facts.tuning is not None
    assert results.facts.tuning.tunings == 2
    said = [answer.text for answer in summary_of(analyse(results)) if answer.about == "Tuning"]
    assert said[0].startswith("every replicate of every cell was tuned with 2 trials, on validation data only")


def test_a_replicate_whose_tuning_is_not_finished_is_missing_for_that_reason(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(SEEDS)), Store(tmp_path / "store")
    for one in tuning_state.load(study, store):
        if one.name != ("baseline", 2):
            values = {"finetune.learning_rate": 1e-3, "finetune.batch_size": 30, "finetune.augment": {}}
            done = [TuningTrial(number, values, "done", 0.5) for number in (1, 2)]
            tuning_state.save(replace(one, trials=tuple(done)), store)
    trials = collect(study, store).trials
    rows = trials[["cell", "replicate", "reason"]].to_dict("records")
    assert rows == [
        {"cell": "baseline", "replicate": 1, "reason": "its pre-training has not been run"},
        {"cell": "baseline", "replicate": 2, "reason": "its tuning is not finished (0 of 2 trials)"},
        {"cell": "kv heads=2", "replicate": 1, "reason": "its pre-training has not been run"},
        {"cell": "kv heads=2", "replicate": 2, "reason": "its pre-training has not been run"},
    ]
