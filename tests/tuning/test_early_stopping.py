"""Early stopping of a search's trials: refused where it would mislead, and real where it does not."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.tuning_samples import TUNED, Writer

from study import execution
from study.analysis.search_front import searched
from study.design import study as design
from study.design.early_stopping import Halving
from study.design.resources import Resources
from study.design.stages import Stage, stages_of
from study.design.study import Study
from study.execution import Cluster
from study.planning import tuning_state
from study.planning.events import Listener, Listeners, Outcome
from study.planning.plan import make_plan, summary
from study.report import collect
from study.report.sections import Text, outline
from study.report.summary import answers
from study.store.results import Store
from study.tracking import Tracker, undelivered
from study.tracking.ledger import Ledger
from study.tuning.stage_source import TuningWork
from study.utils.errors import StudyError

PRETRAIN = TUNED[TUNED.index("  pretrain:") : TUNED.index("  finetune:")]
EPOCHS, RUNGS = 10, [2, 8]
GOOD = (0.01, 0.02, 0.03)
HALVED = f"""{
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
    ("[val_accuracy]", "[params, val_accuracy]"): "a cheap one with less of it may be on the front",
    ("  early_stopping: asha\n", ""): "grace: belongs to early_stopping",
    ("grace: 2", "grace: 10"): "no trial would be stopped: each has 10 epochs",
    (
        "finetune.batch_size: {low: 16, high: 32, step: 8}",
        "finetune.epochs: {choices: [10, 20]}",
    ): "after the same epoch",
    ("early_stopping: asha", "early_stopping: median"): "early_stopping",
    ("replicates: 1", "early_stopping: asha"): "early_stopping: belongs inside search",
    ("design: search", "design: factorial"): "search.early_stopping: trials that are cut short",
    ("design: search\nsearch:", "search:"): "which biases the effects of factors",
}


@pytest.mark.parametrize(("change", "told"), BAD.items())
def test_it_is_refused_with_the_reason(grid: Writer, change: tuple[str, str], told: str) -> None:
    with pytest.raises(StudyError) as error:
        design.load(grid(change, text=HALVED))
    assert told in str(error.value)


def test_no_design_that_compares_cells_has_it(grid: Writer) -> None:
    with pytest.raises(StudyError, match=r"early_stopping: trials that are cut short .* biases the effects"):
        design.load(grid(("replicates: 2", "early_stopping: asha")))


def test_rungs_by_hand() -> None:
    assert Halving(1, 20).rungs == [1, 4, 16]
    assert Halving(2, 8).rungs == [2]
    assert Halving(5, 5).rungs == []


def test_the_warm_up_is_the_grace_where_none_is_written(grid: Writer) -> None:
    warm = ("finetune.batch_size: {low: 16, high: 32, step: 8}", "finetune.warmup_epochs: {low: 0.0, high: 2.5}")
    study = design.load(grid(("  grace: 2\n", ""), warm, text=HALVED))
    assert study.space is not None
    assert study.space.halving == Halving(3, EPOCHS)


class Starts(Listener):
    def __init__(self) -> None:
        self.keys: list[str] = []
        self.outcomes: list[Outcome] = []

    def on_start(self, stage: Stage) -> None:
        self.keys.append(stage.key)

    def on_done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@dataclass
class Halved:
    """A search that has been run."""

    study: Study
    store: Store
    uri: str
    starts: Starts
    cluster: Cluster

    def again(self) -> list[str]:
        """Run it once more: the keys of the stages that were started."""
        starts = Starts()
        work = TuningWork(self.study, self.store)
        execution.fan_out(work, self.store, Resources(), self.cluster, starts, "abc")
        return starts.keys

    @property
    def record(self) -> Path:
        (path,) = (self.store.root / "tuning").glob("*.json")
        return path


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory, cluster: execution.Cluster) -> Halved:
    folder = tmp_path_factory.mktemp("halved")
    (folder / "halved.yaml").write_text(HALVED)
    store = Store(folder / "store")
    found = Halved(design.load(folder / "halved.yaml"), store, f"sqlite:///{folder / 'runs.db'}", Starts(), cluster)
    with Tracker(found.study, store, found.uri, {}) as tracker:
        resources = Resources(checkpoint_seconds=0)
        listeners = Listeners(found.starts, tracker)
        execution.fan_out(TuningWork(found.study, store), store, resources, cluster, listeners, "abc")
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    return found


def test_what_falls_behind_is_stopped_and_the_best_is_whole(halved: Halved) -> None:
    (one,) = tuning_state.load(halved.study, halved.store)
    stopped = [tried for tried in one.tried if tried.status == "stopped"]
    assert one.finished
    assert {tried.status for tried in one.tried} == {"done", "stopped"}
    for tried in stopped:
        assert tried.epochs in RUNGS
        assert list(tried.course) == [str(epoch) for epoch in range(1, tried.epochs + 1)]
        assert tried.val_accuracy == tried.course[str(tried.epochs)]
        assert not halved.store.has(stages_of(one.trial(tried))[-1])
    assert one.best is not None
    assert one.best.status == "done"
    assert one.best.values["finetune.learning_rate"] in GOOD
    result = halved.store.find(stages_of(one.trial(one.best))[-1])
    assert result is not None
    assert len(result.history) == EPOCHS
    assert list((halved.store.root / "unfinished").rglob("*.*")) == []
    ended = {outcome.stage.key: outcome for outcome in halved.starts.outcomes}
    keys = {stages_of(one.trial(tried))[-1].key for tried in stopped}
    assert {key for key, outcome in ended.items() if outcome.status == "stopped"} == keys
    (replicate,) = make_plan(halved.study, halved.store).stages  # of the baseline: it is not judged
    assert ended[replicate.key].status == "done"


def test_running_again_computes_nothing(halved: Halved) -> None:
    assert len(halved.starts.keys) == len(set(halved.starts.keys))
    plan = make_plan(halved.study, halved.store)
    assert plan.finished
    assert "search: 12 trials; 12 ended, 0 to run; those that fall behind are stopped after epoch 2, 8" in summary(plan)
    assert halved.again() == []


def test_a_killed_search_goes_on_from_its_record(halved: Halved) -> None:
    """The last trials that were stopped, as a kill leaves them: open. They alone are run again, judged by the rest."""
    before = halved.record.read_bytes()
    record = json.loads(before)
    stopped = [trial for trial in record["trials"] if trial["status"] == "stopped"]
    twins = [trial for trial in stopped if trial["values"] == stopped[-1]["values"]]
    opened = [*twins, *(trial for trial in stopped if trial["values"] == stopped[0]["values"] and trial not in twins)]
    for trial in opened:
        trial |= {"status": "open", "val_accuracy": None, "course": {}}
    halved.record.write_text(json.dumps(record))
    try:
        work = TuningWork(halved.study, halved.store)
        assert len(work.courses()) == 12 - len(opened)
        (one,) = tuning_state.load(halved.study, halved.store)
        wanted = [stages_of(one.trial(tried))[-1].key for tried in one.open]
        assert sorted(halved.again()) == sorted(set(wanted))
        (one,) = tuning_state.load(halved.study, halved.store)
        assert one.finished
        for trial in opened:
            again = one.tried[trial["number"] - 1]
            assert again.values == trial["values"]
            assert again.status == "done" or again.epochs in RUNGS
    finally:
        halved.record.write_bytes(before)


def test_its_runs_say_that_they_were_stopped(halved: Halved) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(halved.uri)
    experiment = client.get_experiment_by_name(halved.study.name)
    assert experiment is not None
    ended = {outcome.stage.key: outcome for outcome in halved.starts.outcomes}
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "stage" in run.data.tags]
    assert {run.data.tags["key"] for run in runs} == ended.keys()
    for run in runs:
        outcome = ended[run.data.tags["key"]]
        epochs = client.get_metric_history(run.info.run_id, "epoch/val_accuracy")
        if outcome.status == "stopped":
            assert (run.info.status, run.data.tags["stopped"], len(epochs)) == ("KILLED", "asha", outcome.epochs)
        else:
            assert (run.info.status, len(epochs)) == ("FINISHED", EPOCHS)


def test_stops_that_a_server_was_not_told_of_are_delivered_later_once(halved: Halved, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    (one,) = tuning_state.load(halved.study, halved.store)
    trials = {stages_of(one.trial(tried))[-1]: tried for tried in one.tried if tried.status == "stopped"}
    stopped = {stage.key: tried for stage, tried in trials.items() if not halved.store.has(stage)}
    uri = f"sqlite:///{tmp_path / 'later.db'}"
    assert stopped.keys() <= {stage.key for stage in undelivered(halved.study, halved.store, uri)}
    for forget in (False, True):
        with Tracker(halved.study, halved.store, uri, {}) as tracker:
            tracker.flush()
            tracker.finish("FINISHED", None)
        assert tracker.problem is None
        assert undelivered(halved.study, halved.store, uri) == []
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(halved.study.name)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], "tags.stopped = 'asha'")
        assert sorted(run.data.tags["key"] for run in runs) == sorted(stopped)
        for run in runs:
            points = client.get_metric_history(run.info.run_id, "epoch/val_accuracy")
            course = {str(point.step): pytest.approx(point.value) for point in points}
            assert (run.info.status, course) == ("KILLED", stopped[run.data.tags["key"]].course)
        if not forget:  # a kill before they could be noted: the server knows
            Ledger(halved.store, halved.study.name).path.unlink()


def test_its_report_counts_them(halved: Halved) -> None:
    results = collect(halved.study, halved.store)
    table = results.tuning
    stopped = table[table["status"] == "stopped"]
    assert set(stopped["epochs"]) <= set(RUNGS)
    assert set(stopped["reason"]) == {"stopped early, for it fell behind"}
    assert set(searched(results)["status"]) == {"done"}
    told = [f"{sum(stopped['epochs'] == epoch)} after {epoch} epochs" for epoch in sorted(set(stopped["epochs"]))]
    text = " ".join(cell.source for cell in outline(results) if isinstance(cell, Text))
    assert f"stopped: {', '.join(told)}. Which trials these are depends on which came first" in text
    (answer,) = (answer for answer in answers(results) if answer.about == "Search")
    assert f"and {len(stopped)} stopped early; the best: trial" in answer.text


def test_a_trial_like_one_that_was_stopped_ends_like_it(grid: Writer, tmp_path: Path) -> None:
    """Suggestions may come twice; the second time nothing is run, and nothing waits."""
    few = ("finetune.batch_size: {low: 16, high: 32, step: 8}", "finetune.batch_size: {choices: [16, 32]}")
    one = ("choices: [1e-7, 2e-7, 3e-7, 0.01, 0.02, 0.03]", "choices: [0.01, 0.02]")
    study, store = design.load(grid(few, one, text=HALVED)), Store(tmp_path / "store")
    work = TuningWork(study, store)
    given: list[str] = []
    while stages := work.more():
        for stage in stages:
            given.append(stage.key)
            row = {"epoch": 2.0, "val_accuracy": 0.1}
            work.ended(Outcome(stage, "stopped", course=({**row, "epoch": 1.0}, row)))
    (tuned,) = tuning_state.load(study, store)
    assert tuned.finished
    assert len(given) == len(set(given)) <= 4 + 1
    assert {(tried.status, tried.epochs) for tried in tuned.tried} == {("stopped", 2)}
