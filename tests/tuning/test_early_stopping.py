"""Early stopping of the trials of a search, and the errors for designs in which it is biased."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan, undelivered
from helpers.tuning_samples import TUNED, Writer

from study import execution
from study.analysis import search_front
from study.cli.plan import summary
from study.design.early_stopping import SuccessiveHalving
from study.design.resources import Resources
from study.design.stages import Stage, stages_of
from study.design.study import Study, load
from study.execution import Cluster
from study.planning import tuning_state
from study.planning.events import Listener, Listeners, Outcome
from study.planning.state import StudyState
from study.report import analyse
from study.report.sections import Text, outline
from study.report.summary import answers
from study.store.results import Store
from study.tracking import Tracker
from study.tracking.ledger import Ledger
from study.tuning.stage_source import TuningStageSource
from study.utils.errors import StudyError

PRETRAIN = TUNED[TUNED.index("  pretrain:") : TUNED.index("  finetune:")]
EPOCHS, RUNGS = 10, [2, 8]
GOOD = (0.01, 0.02, 0.03)
EARLY_STOPPED = f"""{
    TUNED[: TUNED.index("factors:")]
    .replace(PRETRAIN, "")
    .replace("epochs: 1, train_images: 50", f"epochs: {EPOCHS}, train_images: 300")
}
design: search
search:
  trials: 12
  parallel: 2
  objectives: [val_accuracy]
  early_stopping: asha
  grace: 2
  space:
    finetune.learning_rate: {{choices: [1e-7, 2e-7, 3e-7, 0.01, 0.02, 0.03]}}
    finetune.batch_size: {{low: 16, high: 32, step: 8}}
replicates: 1
"""

BAD = {
    ("[val_accuracy]", "[params, val_accuracy]"): "a cheap trial of lower validation accuracy may be Pareto-optimal",
    ("  early_stopping: asha\n", ""): "grace: requires early_stopping: asha",
    ("grace: 2", "grace: 10"): "no trial would be stopped: trials have 10 epochs",
    (
        "finetune.batch_size: {low: 16, high: 32, step: 8}",
        "finetune.epochs: {choices: [10, 20]}",
    ): "requires the same number of epochs in all trials",
    ("early_stopping: asha", "early_stopping: median"): "early_stopping",
    ("replicates: 1", "early_stopping: asha"): "early_stopping: belongs inside 'search'",
    ("design: search", "design: factorial"): "search.early_stopping: not supported: trials would be compared",
    ("design: search\nsearch:", "search:"): "which biases the effects of factors",
}


@pytest.mark.parametrize(("change", "message"), BAD.items())
def test_an_invalid_grid_raises_with_the_reason(grid: Writer, change: tuple[str, str], message: str) -> None:
    with pytest.raises(StudyError) as error:
        load(grid(change, text=EARLY_STOPPED))
    assert message in str(error.value)


def test_designs_that_compare_cells_do_not_allow_it(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"early_stopping: not supported: trials .* biases the effects"):
        load(grid(("replicates: 2", "early_stopping: asha")))


def test_rungs_by_hand() -> None:
    assert SuccessiveHalving(1, 20).rungs == [1, 4, 16]
    assert SuccessiveHalving(2, 8).rungs == [2]
    assert SuccessiveHalving(5, 5).rungs == []


def test_the_default_grace_is_the_warm_up(grid: Writer) -> None:
    warm = ("finetune.batch_size: {low: 16, high: 32, step: 8}", "finetune.warmup_epochs: {low: 0.0, high: 2.5}")
    study = load(grid(("  grace: 2\n", ""), warm, text=EARLY_STOPPED))
    assert study.space is not None
    assert study.space.early_stopping == SuccessiveHalving(3, EPOCHS)


class Events(Listener):
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.outcomes: list[Outcome] = []

    def on_start(self, stage: Stage) -> None:
        self.keys.append(stage.key)

    def on_done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class FinishedSearch:
    """A finished search."""

    study: Study
    store: Store
    uri: str
    events: Events
    cluster: Cluster

    def again(self) -> list[str]:
        """Run it once more; returns the keys of the stages that started."""
        events = Events()
        work = TuningStageSource(self.study, self.store)
        execution.fan_out(work, self.store, Resources(), self.cluster, events, "abc")
        return events.keys

    @property
    def record(self) -> Path:
        (path,) = (self.store.root / "tuning").glob("*.json")
        return path


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory, cluster: execution.Cluster) -> FinishedSearch:
    folder = tmp_path_factory.mktemp("search")
    (folder / "search.yaml").write_text(EARLY_STOPPED)
    store = Store(folder / "store")
    found = FinishedSearch(load(folder / "search.yaml"), store, f"sqlite:///{folder / 'runs.db'}", Events(), cluster)
    with Tracker(StudyState.look(found.study, store), found.uri, {}) as tracker:
        resources = Resources(checkpoint_seconds=0)
        listeners = Listeners(found.events, tracker)
        execution.fan_out(TuningStageSource(found.study, store), store, resources, cluster, listeners, "abc")
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    return found


def test_trials_that_fall_behind_are_stopped_and_the_best_is_complete(search: FinishedSearch) -> None:
    (one,) = tuning_state.load(search.study, search.store)
    stopped = [trial for trial in one.trials if trial.status == "stopped"]
    assert one.finished
    assert {trial.status for trial in one.trials} == {"done", "stopped"}
    for trial in stopped:
        assert trial.epochs in RUNGS
        assert list(trial.learning_curve) == [str(epoch) for epoch in range(1, trial.epochs + 1)]
        assert trial.val_accuracy == trial.learning_curve[str(trial.epochs)]
        assert not search.store.has(stages_of(one.trial(trial))[-1])
    assert one.best is not None
    assert one.best.status == "done"
    assert one.best.values["finetune.learning_rate"] in GOOD
    result = search.store.find(stages_of(one.trial(one.best))[-1])
    assert result is not None
    assert len(result.history) == EPOCHS
    assert list((search.store.root / "unfinished").rglob("*.*")) == []
    ended = {outcome.stage.key: outcome for outcome in search.events.outcomes}
    keys = {stages_of(one.trial(trial))[-1].key for trial in stopped}
    assert {key for key, outcome in ended.items() if outcome.status == "stopped"} == keys
    (replicate,) = make_plan(search.study, search.store).stages  # of the baseline, which is never stopped early
    assert ended[replicate.key].status == "done"


def test_running_again_computes_nothing(search: FinishedSearch) -> None:
    assert len(search.events.keys) == len(set(search.events.keys))
    plan = make_plan(search.study, search.store)
    assert plan.finished
    assert "search: 12 trials; 12 ended, 0 to run; early stopping after epochs 2, 8" in summary(plan)
    assert search.again() == []


def test_a_killed_search_resumes_from_its_record(search: FinishedSearch) -> None:
    """Stopped trials are reset to open, as a kill leaves them. Only these run again, compared with all others."""
    before = search.record.read_bytes()
    record = json.loads(before)
    stopped = [trial for trial in record["trials"] if trial["status"] == "stopped"]
    assert all(trial["course"] for trial in stopped)  # the stored name of learning curves
    twins = [trial for trial in stopped if trial["values"] == stopped[-1]["values"]]
    opened = [*twins, *(trial for trial in stopped if trial["values"] == stopped[0]["values"] and trial not in twins)]
    for trial in opened:
        trial |= {"status": "open", "val_accuracy": None, "course": {}}
    search.record.write_text(json.dumps(record))
    try:
        work = TuningStageSource(search.study, search.store)
        assert len(work.learning_curves()) == 12 - len(opened)
        (one,) = tuning_state.load(search.study, search.store)
        expected = [stages_of(one.trial(trial))[-1].key for trial in one.open]
        assert sorted(search.again()) == sorted(set(expected))
        (one,) = tuning_state.load(search.study, search.store)
        assert one.finished
        for trial in opened:
            again = one.trials[trial["number"] - 1]
            assert again.values == trial["values"]
            assert again.status == "done" or again.epochs in RUNGS
    finally:
        search.record.write_bytes(before)


def test_its_mlflow_runs_are_marked_as_stopped(search: FinishedSearch) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(search.uri)
    experiment = client.get_experiment_by_name(search.study.name)
    assert experiment is not None
    ended = {outcome.stage.key: outcome for outcome in search.events.outcomes}
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "stage" in run.data.tags]
    assert {run.data.tags["key"] for run in runs} == ended.keys()
    for run in runs:
        outcome = ended[run.data.tags["key"]]
        epochs = client.get_metric_history(run.info.run_id, "epoch/val_accuracy")
        if outcome.status == "stopped":
            assert (run.info.status, run.data.tags["stopped"], len(epochs)) == ("KILLED", "asha", outcome.epochs)
        else:
            assert (run.info.status, len(epochs)) == ("FINISHED", EPOCHS)


def test_stops_that_mlflow_missed_are_delivered_later_and_once(search: FinishedSearch, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (one,) = tuning_state.load(search.study, search.store)
    trials = {stages_of(one.trial(trial))[-1]: trial for trial in one.trials if trial.status == "stopped"}
    stopped = {stage.key: trial for stage, trial in trials.items() if not search.store.has(stage)}
    uri = f"sqlite:///{tmp_path / 'later.db'}"
    assert stopped.keys() <= {stage.key for stage in undelivered(search.study, search.store, uri)}
    for forget in (False, True):
        with Tracker(StudyState.look(search.study, search.store), uri, {}) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
        assert undelivered(search.study, search.store, uri) == []
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(search.study.name)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], "tags.stopped = 'asha'")
        assert sorted(run.data.tags["key"] for run in runs) == sorted(stopped)
        for run in runs:
            points = client.get_metric_history(run.info.run_id, "epoch/val_accuracy")
            curve = {str(point.step): pytest.approx(point.value) for point in points}
            assert (run.info.status, curve) == ("KILLED", stopped[run.data.tags["key"]].learning_curve)
        if not forget:  # as after a kill before the ledger was written; MLflow has the runs
            Ledger(search.store, search.study.name).path.unlink()


def test_its_report_counts_them(search: FinishedSearch) -> None:
    results = collect(search.study, search.store)
    table = results.tuning
    stopped = table[table["status"] == "stopped"]
    assert set(stopped["epochs"]) <= set(RUNGS)
    assert set(stopped["reason"]) == {"pruned by early stopping"}
    assert set(search_front.search(results)["status"]) == {"done"}
    counts = [f"{sum(stopped['epochs'] == epoch)} after {epoch} epochs" for epoch in sorted(set(stopped["epochs"]))]
    text = " ".join(cell.source for cell in outline(analyse(results)) if isinstance(cell, Text))
    assert f"stopped: {', '.join(counts)}. Which trials are stopped depends on the order" in text
    (answer,) = (answer for answer in answers(analyse(results)) if answer.about == "Search")
    assert f"and {len(stopped)} stopped early; the best, selected on validation data: trial" in answer.text


def test_a_duplicate_of_a_stopped_trial_ends_the_same_way(grid: Writer, tmp_path: Path) -> None:
    """The sampler may suggest the same values twice; the second time nothing runs."""
    few = ("finetune.batch_size: {low: 16, high: 32, step: 8}", "finetune.batch_size: {choices: [16, 32]}")
    one = ("choices: [1e-7, 2e-7, 3e-7, 0.01, 0.02, 0.03]", "choices: [0.01, 0.02]")
    study, store = load(grid(few, one, text=EARLY_STOPPED)), Store(tmp_path / "store")
    work = TuningStageSource(study, store)
    given: list[str] = []
    while stages := work.more():
        for stage in stages:
            given.append(stage.key)
            row = {"epoch": 2.0, "val_accuracy": 0.1}
            work.ended(Outcome(stage, "stopped", learning_curve=({**row, "epoch": 1.0}, row)))
    (tuned,) = tuning_state.load(study, store)
    assert tuned.finished
    assert len(given) == len(set(given)) <= 4 + 1
    assert {(trial.status, trial.epochs) for trial in tuned.trials} == {("stopped", 2)}
