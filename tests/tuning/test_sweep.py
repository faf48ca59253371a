"""Tuning as a sweep does it: equal budgets, fresh seeds, nothing twice, and the same suggestions after any kill."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tuning_samples import Writer, run_here

from study.design import study as design
from study.design.search_space import with_values
from study.design.stages import stages_of
from study.planning import tuning_state
from study.planning.plan import make_plan, summary
from study.planning.trials import everything, wanted
from study.report import collect
from study.store.results import Store
from study.tuning.sampler import NUM_STARTUP_TRIALS, suggest
from study.tuning.stage_source import TuningWork

ALWAYS_DIVERGES = (
    ("finetune.learning_rate: {low: 1e-4, high: 1e-2, log: true}", "finetune.learning_rate: {low: 1e30, high: 1e31}"),
    ("finetune: {dataset", "finetune: {clip_norm: 0.0, dataset"),
)


def records(store: Store) -> dict[str, object]:
    return {path.name: json.loads(path.read_text()) for path in (store.root / "tuning").glob("*.json")}


def test_every_cell_has_the_same_budget_and_its_replicates_fresh_seeds(grid: Writer, tmp_path: Path) -> None:
    study, store = design.load(grid()), Store(tmp_path / "store")
    assert wanted(study, store) == []
    ran = run_here(TuningWork(study, store), store)
    tunings = tuning_state.load(study, store)
    assert [one.cell.name for one in tunings] == ["baseline", "kv heads=2"]
    assert [len(one.tried) for one in tunings] == [4, 4]
    assert all(one.finished for one in tunings)
    replicates = wanted(study, store)
    assert [(trial.cell.name, trial.replicate) for trial in replicates] == [
        *(("baseline", 1), ("kv heads=2", 1)),
        *(("baseline", 2), ("kv heads=2", 2)),
    ]
    for trial in replicates:
        best = next(one.best for one in tunings if one.cell.name == trial.cell.name)
        assert best is not None
        assert trial.settings == with_values(trial.cell.settings, best.values)  # type: ignore[arg-type]
    assert {trial.seed for trial in replicates}.isdisjoint({trial.seed for trial in tuning_state.trials(tunings)})
    keys = [stage.key for stage in ran]
    assert len(keys) == len(set(keys))
    # of each cell one pre-training for all tuning trials and one per replicate
    assert sum(stage.kind == "pretrain" for stage in ran) == 2 * (1 + 2)
    assert all(store.has(stage) for trial in everything(study, store) for stage in stages_of(trial))


def test_the_best_is_chosen_on_validation_data_and_the_earliest_of_equals(grid: Writer, tmp_path: Path) -> None:
    study, store = design.load(grid()), Store(tmp_path / "store")
    run_here(TuningWork(study, store), store)
    for one in tuning_state.load(study, store):
        scores = [store.find(stages_of(one.trial(tried))[-1]).metrics["val_accuracy"] for tried in one.tried]  # type: ignore[union-attr]
        assert [tried.val_accuracy for tried in one.tried] == scores
        assert one.best is one.tried[scores.index(max(scores))]


def test_a_kill_after_any_stage_changes_nothing(grid: Writer, tmp_path: Path) -> None:
    """Every process runs three stages and is gone; together they do what one process does, each stage once."""
    study = design.load(grid())
    whole, pieces = Store(tmp_path / "whole"), Store(tmp_path / "pieces")
    at_once = {stage.key for stage in run_here(TuningWork(study, whole), whole)}
    ran: list[str] = []
    while some := run_here(TuningWork(study, pieces), pieces, most=3):
        ran += [stage.key for stage in some]
    assert len(ran) == len(set(ran))
    assert set(ran) == at_once
    assert records(pieces) == records(whole)


def test_a_lost_record_is_made_again_without_training(grid: Writer, tmp_path: Path) -> None:
    study, store = design.load(grid()), Store(tmp_path / "store")
    run_here(TuningWork(study, store), store)
    before = records(store)
    for path in (store.root / "tuning").iterdir():
        path.unlink()
    assert run_here(TuningWork(study, store), store) == []
    assert records(store) == before


def test_a_larger_budget_goes_on_and_a_smaller_one_looks_at_fewer(grid: Writer, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    small, large = (
        design.load(grid(("budget: 4", f"budget: {budget}"), ("replicates: 2", "replicates: 1"))) for budget in (2, 4)
    )
    run_here(TuningWork(small, store), store)
    first = {one.cell.name: one.tried for one in tuning_state.load(small, store)}
    run_here(TuningWork(large, store), store)
    for one in tuning_state.load(large, store):
        assert one.tried[:2] == first[one.cell.name]
        assert len(one.tried) == 4
    assert [len(one.within_budget) for one in tuning_state.load(small, store)] == [2, 2]
    assert run_here(TuningWork(small, store), store) == []


def test_suggestions_are_a_function_of_the_cell_and_of_what_came_before(grid: Writer, tmp_path: Path) -> None:
    """Also where the sampler models: past its random start, and where several trials of a cell run at once."""
    study = design.load(grid(("budget: 4", "budget: 9\n  parallel: 3"), ("replicates: 2", "replicates: 1")))
    store, again = Store(tmp_path / "store"), Store(tmp_path / "again")
    run_here(TuningWork(study, store), store)
    run_here(TuningWork(study, again), again)
    assert records(again) == records(store)
    first, second = tuning_state.load(study, store)
    assert len(first.tried) == 9 > NUM_STARTUP_TRIALS
    assert [tried.values for tried in first.tried] != [tried.values for tried in second.tried]
    assert len({json.dumps(tried.values) for tried in first.tried}) == 9
    for tried in first.tried:
        assert 1e-4 <= tried.values["finetune.learning_rate"] <= 1e-2
        assert tried.values["finetune.batch_size"] in (10, 30, 50)
        assert tried.values["finetune.augment"] in ({}, {"flip": True})
    assert suggest(replace(first, tried=first.tried[:6])) == [
        replace(tried, status="open", val_accuracy=None) for tried in first.tried[6:]
    ]


def test_nothing_crosses_cells_unless_asked(grid: Writer, tmp_path: Path) -> None:
    """With warm_start the baseline is tuned first, and the others begin with its best values."""
    study, store = design.load(grid(("budget: 4", "budget: 3\n  warm_start: true"))), Store(tmp_path / "store")
    work = TuningWork(study, store)
    run_here(work, store, most=2)
    assert [one.cell.name for one in tuning_state.load(study, store)] == ["baseline"]
    run_here(TuningWork(study, store), store)
    baseline, other = tuning_state.load(study, store)
    assert baseline.best is not None
    assert other.tried[0].values == baseline.best.values
    assert [len(one.tried) for one in (baseline, other)] == [3, 3]
    cold = design.load(grid(("budget: 4", "budget: 3")))
    run_here(TuningWork(cold, store), store)
    baseline, other = tuning_state.load(cold, store)
    assert baseline.best is not None
    assert baseline.best.values not in [tried.values for tried in other.tried]


def test_trials_that_fail_count_and_a_hopeless_cell_is_told_not_looped(grid: Writer, tmp_path: Path) -> None:
    study, store = design.load(grid(*ALWAYS_DIVERGES)), Store(tmp_path / "store")
    ran = run_here(TuningWork(study, store), store)
    tunings = tuning_state.load(study, store)
    assert [(one.failed, one.hopeless, one.best) for one in tunings] == [(4, True, None)] * 2
    assert wanted(study, store) == []
    assert len([stage for stage in ran if stage.kind == "finetune"]) == 8
    results = collect(study, store)
    assert set(results.trials["status"]) == {"failed"}
    assert "all 4 tuning trials failed" in results.trials["reason"].iloc[0]
    assert "2 cells have no trial that succeeded, and are tuned again" in summary(make_plan(study, store))
    again = run_here(TuningWork(study, store), store)  # the next run tries again, at the same values
    assert {stage.key for stage in again} == {stage.key for stage in ran if stage.kind == "finetune"}


def test_values_that_do_not_go_together_are_a_failed_trial(grid: Writer, tmp_path: Path) -> None:
    """2 epochs of warm-up are possible with 3 epochs, and 1 epoch without so much warm-up, but not both at once."""
    path = grid(
        ("finetune.batch_size: {low: 10, high: 50, step: 20}", "finetune.epochs: {choices: [1, 2, 3]}"),
        ("finetune.augment: {choices: [{}, {flip: true}]}", "finetune.warmup_epochs: {low: 0.0, high: 2.0}"),
        ("finetune: {dataset: digits, epochs: 1", "finetune: {dataset: digits, epochs: 3, warmup_epochs: 0.5"),
        ("budget: 4", "budget: 8"),
    )
    study, store = design.load(path), Store(tmp_path / "store")
    run_here(TuningWork(study, store), store)
    for one in tuning_state.load(study, store):
        assert one.finished
        for tried in one.tried:
            impossible = tried.values["finetune.warmup_epochs"] > tried.values["finetune.epochs"]
            assert (tried.status == "failed") == impossible
            assert ("is above epochs 1" in tried.error) == impossible
    assert sum(one.failed for one in tuning_state.load(study, store)) > 0


def test_a_damaged_record_is_told(grid: Writer, tmp_path: Path) -> None:
    study, store = design.load(grid()), Store(tmp_path / "store")
    run_here(TuningWork(study, store), store, most=1)
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
def test_a_driver_killed_while_it_tunes_is_resumed_to_the_same_end(grid: Writer, place: Path, tmp_path: Path) -> None:
    """kill -9 of everything in the middle of the tuning; the next run ends as a sweep that nothing disturbed."""
    longer = (("train_images: 50}", "train_images: 300}"), ("epochs: 1, train", "epochs: 4, train"))
    path = grid(*longer, ("replicates: 2", "replicates: 1"))
    study, calm, store = design.load(path), Store(tmp_path / "calm"), Store(place / ".study")
    run_here(TuningWork(study, calm), calm)
    killed = start(path, place)
    deadline = time.monotonic() + 120
    while sum(one.ended for one in tuning_state.load(study, store)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not all(one.finished for one in tuning_state.load(study, store))
    finished = store.keys()
    resumed = start(path, place)
    told, _ = resumed.communicate(timeout=240)
    assert resumed.returncode == 0, told
    assert records(store) == records(calm)
    assert store.keys() == calm.keys()
    missing = len(calm.keys() - finished)
    assert f"{missing} of {missing} stages run" in told
    assert "tuning was" in told or "was tuned with 4 trials" in told
    mirrored(place, study.name)


def mirrored(place: Path, name: str) -> None:
    """MLflow has each stage's run once, and says which were tuning."""
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
