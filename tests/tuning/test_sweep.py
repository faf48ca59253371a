"""Tuning in a sweep: equal budgets, new seeds, no duplicate runs, and the same suggestions after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan, requested_trials
from helpers.tuning_samples import Writer, run_here

from study.cli.plan import summary
from study.design.search_space import with_values
from study.design.stages import stages_of
from study.design.study import load
from study.planning import tuning_state
from study.planning.state import StudyState
from study.store.results import Store
from study.tuning.sampler import NUM_STARTUP_TRIALS, suggest
from study.tuning.stage_source import TuningStageSource

ALWAYS_DIVERGES = (
    ("finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}", "finetune.learning_rate: {low: 1e30, high: 1e31}"),
    ("finetune: {dataset", "finetune: {clip_norm: 0.0, dataset"),
)


def records(store: Store) -> dict[str, object]:
    return {path.name: json.loads(path.read_text()) for path in (store.root / "tuning").glob("*.json")}


def test_every_cell_has_the_same_budget_and_its_replicates_have_new_seeds(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid()), Store(tmp_path / "store")
    assert requested_trials(study, store) == []
    ran = run_here(TuningStageSource(study, store), store)
    tunings = tuning_state.load(study, store)
    assert [one.cell.name for one in tunings] == ["baseline", "kv heads=2"]
    assert [len(one.trials) for one in tunings] == [4, 4]
    assert all(one.finished for one in tunings)
    replicates = requested_trials(study, store)
    assert [(trial.cell.name, trial.replicate) for trial in replicates] == [
        *(("baseline", 1), ("kv heads=2", 1)),
        *(("baseline", 2), ("kv heads=2", 2)),
    ]
    for trial in replicates:
        best = next(one.best for one in tunings if one.cell.name == trial.cell.name)
        assert best is not None
        assert trial.settings == with_values(trial.cell.settings, best.values)  # type: ignore[arg-type]
    assert {trial.seed for trial in replicates}.isdisjoint(
        {trial.seed for trial in tuning_state.suggested_trials(tunings)}
    )
    keys = [stage.key for stage in ran]
    assert len(keys) == len(set(keys))
    # of each cell one pre-training for all tuning trials and one per replicate
    assert sum(stage.kind == "pretrain" for stage in ran) == 2 * (1 + 2)
    assert StudyState.look(study, store).all_stages.keys() <= store.keys()


def test_the_best_is_chosen_on_validation_data_and_the_earliest_of_equals(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid()), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    for one in tuning_state.load(study, store):
        scores = [store.find(stages_of(one.trial(trial))[-1]).metrics["val_accuracy"] for trial in one.trials]  # type: ignore[union-attr]
        assert [trial.val_accuracy for trial in one.trials] == scores
        assert one.best is one.trials[scores.index(max(scores))]


def test_a_kill_after_any_stage_changes_nothing(grid: Writer, tmp_path: Path) -> None:
    """Each process runs three stages and exits; together they run the same stages as one process, each once."""
    study = load(grid())
    whole, pieces = Store(tmp_path / "whole"), Store(tmp_path / "pieces")
    at_once = {stage.key for stage in run_here(TuningStageSource(study, whole), whole)}
    ran: list[str] = []
    while some := run_here(TuningStageSource(study, pieces), pieces, most=3):
        ran += [stage.key for stage in some]
    assert len(ran) == len(set(ran))
    assert set(ran) == at_once
    assert records(pieces) == records(whole)


def test_a_lost_record_is_rebuilt_without_training(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid()), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    before = records(store)
    for path in (store.root / "tuning").iterdir():
        path.unlink()
    assert run_here(TuningStageSource(study, store), store) == []
    assert records(store) == before


def test_a_larger_budget_continues_and_a_smaller_one_ignores_later_trials(grid: Writer, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    small, large = (
        load(grid(("budget: 4", f"budget: {budget}"), ("replicates: 2", "replicates: 1"))) for budget in (2, 4)
    )
    run_here(TuningStageSource(small, store), store)
    first = {one.cell.name: one.trials for one in tuning_state.load(small, store)}
    run_here(TuningStageSource(large, store), store)
    for one in tuning_state.load(large, store):
        assert one.trials[:2] == first[one.cell.name]
        assert len(one.trials) == 4
    assert [len(one.within_budget) for one in tuning_state.load(small, store)] == [2, 2]
    assert run_here(TuningStageSource(small, store), store) == []


def test_suggestions_are_a_function_of_the_cell_and_the_earlier_trials(grid: Writer, tmp_path: Path) -> None:
    """Also after the random startup trials, and with several trials of a cell in parallel."""
    study = load(grid(("budget: 4", "budget: 9\n  parallel: 3"), ("replicates: 2", "replicates: 1")))
    store, again = Store(tmp_path / "store"), Store(tmp_path / "again")
    run_here(TuningStageSource(study, store), store)
    run_here(TuningStageSource(study, again), again)
    assert records(again) == records(store)
    first, second = tuning_state.load(study, store)
    assert len(first.trials) == 9 > NUM_STARTUP_TRIALS
    assert [trial.values for trial in first.trials] != [trial.values for trial in second.trials]
    assert len({json.dumps(trial.values) for trial in first.trials}) == 9
    for trial in first.trials:
        assert 1e-4 <= trial.values["finetune.learning_rate"] <= 1e-2
        assert trial.values["finetune.batch_size"] in (10, 30, 50)
        assert trial.values["finetune.augment"] in ({}, {"flip": True})
    assert suggest(replace(first, trials=first.trials[:6])) == [
        replace(trial, status="open", val_accuracy=None) for trial in first.trials[6:]
    ]


def test_cells_share_values_only_with_a_warm_start(grid: Writer, tmp_path: Path) -> None:
    """With warm_start the baseline is tuned first, and its best values are the first trial of the others."""
    study, store = load(grid(("budget: 4", "budget: 3\n  warm_start: true"))), Store(tmp_path / "store")
    work = TuningStageSource(study, store)
    run_here(work, store, most=2)
    assert [one.cell.name for one in tuning_state.load(study, store)] == ["baseline"]
    run_here(TuningStageSource(study, store), store)
    baseline, other = tuning_state.load(study, store)
    assert baseline.best is not None
    assert other.trials[0].values == baseline.best.values
    assert [len(one.trials) for one in (baseline, other)] == [3, 3]
    cold = load(grid(("budget: 4", "budget: 3")))
    run_here(TuningStageSource(cold, store), store)
    baseline, other = tuning_state.load(cold, store)
    assert baseline.best is not None
    assert baseline.best.values not in [trial.values for trial in other.trials]


def test_failed_trials_count_and_a_cell_without_success_ends(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(*ALWAYS_DIVERGES)), Store(tmp_path / "store")
    ran = run_here(TuningStageSource(study, store), store)
    tunings = tuning_state.load(study, store)
    assert [(one.failed, one.all_failed, one.best) for one in tunings] == [(4, True, None)] * 2
    assert requested_trials(study, store) == []
    assert len([stage for stage in ran if stage.kind == "finetune"]) == 8
    results = collect(study, store)
    assert set(results.trials["status"]) == {"failed"}
    assert "0 of 4 tuning trials succeeded" in results.trials["reason"].iloc[0]
    assert "2 cells without a successful trial will be tuned again" in summary(make_plan(study, store))
    again = run_here(TuningStageSource(study, store), store)  # the next run retries the same values
    assert {stage.key for stage in again} == {stage.key for stage in ran if stage.kind == "finetune"}


def test_values_that_exclude_each_other_are_a_failed_trial(grid: Writer, tmp_path: Path) -> None:
    """Each value is valid on its own, but not 2 epochs of warm-up with 1 epoch of training."""
    path = grid(
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "finetune.epochs: {choices: [1, 2, 3]}"),
        ("finetune.augment: {choices: [{}, {flip: true}]}", "finetune.warmup_epochs: {low: 0.0, high: 2.0}"),
        ("finetune: {dataset: digits, epochs: 1", "finetune: {dataset: digits, epochs: 3, warmup_epochs: 0.5"),
        ("budget: 4", "budget: 8"),
    )
    study, store = load(path), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    for one in tuning_state.load(study, store):
        assert one.finished
        for trial in one.trials:
            invalid = trial.values["finetune.warmup_epochs"] > trial.values["finetune.epochs"]
            assert (trial.status == "failed") == invalid
            assert ("exceeds epochs 1" in trial.error) == invalid
    assert sum(one.failed for one in tuning_state.load(study, store)) > 0


def test_a_damaged_record_raises(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid()), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store, most=1)
    path = next((store.root / "tuning").iterdir())
    path.write_text('{"trials": [{"nummer": 1}]}')
    with pytest.raises(Exception, match="invalid tuning record; remove the file"):
        tuning_state.load(study, store)


def start(grid: Path, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "study", "run", grid.name]
    return subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )


@pytest.mark.system
def test_a_driver_killed_while_tuning_resumes_to_the_same_result(grid: Writer, place: Path, tmp_path: Path) -> None:
    """All processes get kill -9 during the tuning; the next run ends like an undisturbed sweep."""
    longer = (("train_images: 50}", "train_images: 300}"), ("epochs: 1, train", "epochs: 4, train"))
    path = grid(*longer, ("replicates: 2", "replicates: 1"))
    study, undisturbed, store = load(path), Store(tmp_path / "undisturbed"), Store(place / ".study")
    run_here(TuningStageSource(study, undisturbed), undisturbed)
    killed = start(path, place)
    deadline = time.monotonic() + 120
    while sum(one.ended for one in tuning_state.load(study, store)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not all(one.finished for one in tuning_state.load(study, store))
    finished = store.keys()
    resumed = start(path, place)
    output, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, output
    assert records(store) == records(undisturbed)
    assert store.keys() == undisturbed.keys()
    missing = len(undisturbed.keys() - finished)
    assert f"{missing} of {missing} stages run" in output
    assert "tuning was" in output or "was tuned with 4 trials" in output
    check_mlflow(place, study.name)


def check_mlflow(place: Path, name: str) -> None:
    """MLflow has one run per stage, with its role in the tags."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place / '.study' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id], max_results=1000) if "stage" in run.data.tags]
    finished = [run for run in runs if run.info.status == "FINISHED"]
    roles = [run.data.tags["role"] for run in finished if run.data.tags["stage"] == "finetune"]
    assert (roles.count("tuning"), roles.count("replicate")) == (8, 2)
    assert not [run for run in runs if run.info.status == "RUNNING"]
