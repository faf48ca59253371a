"""Writes a study's MLflow runs; used by one thread only.

What is missing on the server follows from the ledger, and, if asked for, from the server itself. `stage_ends` delivers
how a stage ended; it looks at the runs of the stage on the server: those of other drivers, those whose ledger entry was
lost, and those of an earlier result. `stage_runs` defines the states of a run and what decides races.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from study.design.stages import Stage
from study.planning.events import Outcome
from study.planning.state import StageNames
from study.planning.study_identity import Identity
from study.store.heartbeats import Heartbeat, mirrors
from study.store.store_id import store_id
from study.tracking import artifact_locations, experiment, server
from study.tracking.client import Client
from study.tracking.deliveries import Deliveries
from study.tracking.ledger import Ledger
from study.tracking.liverun import LiveRun
from study.tracking.stage_ends import StageEnds
from study.tracking.stage_runs import DRIVER, PARENT, STORE, StageRuns
from study.tracking.undelivered import mirror_of, undelivered_endings, undelivered_results
from study.utils import escape

if TYPE_CHECKING:
    from mlflow.entities import Run


class Mirror:
    """Writes runs; used by one thread only."""

    def __init__(
        self,
        names: StageNames,
        uri: str,
        tags: Mapping[str, str],
        heartbeat: Heartbeat,
        replace: bool = False,
        compare: bool = False,
    ) -> None:
        """compare: look for all delivered runs on the server, and deliver again those that were deleted there."""
        self.ended: set[str] = set()  # keys of stages that have ended in this sweep, delivered or not
        self.unstored: dict[str, Outcome] = {}  # by key: failed or stopped stages to be delivered
        self.others: set[str] = set()  # live drivers that have open runs
        self.closed = True  # whether all runs of this driver are closed, as far as known
        self.timed_out: Callable[[], bool] = lambda: False
        self._names, self._uri, self._tags, self._replace = names, uri, dict(tags), replace
        self._study, self._store = names.state.study, names.state.store
        self._ledger, self._heartbeat = Ledger(self._store, self._study.name), heartbeat
        self._live: dict[str, LiveRun] = {}
        self._connects, self._compare = 0, compare
        self._ends = StageEnds(uri, self._store, self._ledger, self._create)
        self._failures: Counter[str] = Counter()  # failed deliveries by stage
        self._client: Client
        self._runs: StageRuns
        self._experiment = self._parent = ""
        self._origin: dict[str, str] = {}  # tags

    @property
    def deliveries(self) -> Deliveries:
        """What was delivered so far."""
        return self._ends.deliveries

    def connect(self) -> None:
        """Find or create the experiment. Raises AnotherStudyError if it is of another study."""
        self._live.clear()
        self._connects += 1
        self._client = server.connect(self._uri, self._store)
        self._experiment = self._find_experiment()
        self._origin = {DRIVER: self._heartbeat.driver, STORE: store_id(self._store)}
        store = None if artifact_locations.is_own(self._uri, self._store) else self._origin[STORE]
        self._runs = self._ends.runs = StageRuns(self._client, self._experiment, self._heartbeat, store)
        if self._parent and not self._runs.exists(self._parent):  # deleted on the server
            self._parent = ""

    def start(self, stage: Stage) -> None:
        self._live[stage.key] = self._create(stage)
        self._live[stage.key].flush()

    def epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        if stage.key in self._live:
            self._live[stage.key].add(rows)

    def lose(self, stage: Stage, reason: str) -> None:
        """Close the run of a worker that died; the stage gets a new run when it is retried."""
        (self._live.pop(stage.key, None) or self._create(stage)).fail(reason)

    def end(self, outcome: Outcome) -> None:
        if outcome.status != "done":
            self._deliver_ending(outcome, query=self._connects > 1)
            self.unstored.pop(outcome.stage.key, None)
        elif outcome.stage.key not in self._ends.delivered:
            self._deliver_result(outcome.stage, query=self._connects > 1)

    def close(self, status: str, report: Path | None) -> None:
        self._live.clear()
        self._close_abandoned()
        # before the report, which may take long
        kept = bool(self._parent) and self._runs.close_parent(self._parent, status)
        self.closed = True
        if kept and report is not None and report.is_dir():
            self._client.upload(self._client.get_run(self._parent).info.artifact_uri, report, "report")

    def catch_up(self) -> None:
        """Close the runs of dead drivers and deliver everything that is missing, in order. Stages whose delivery failed
        before come last, so that they block no others. Stages whose run a live driver holds are left to it."""
        self.deliveries.left.clear()
        self._close_abandoned()
        stages = {stage.key: stage for stage in undelivered_results(self._names.state, self._uri)}
        if self._compare:
            stages |= self._missing()
        for stage in sorted(stages.values(), key=lambda stage: self._failures[stage.key]):
            if self.timed_out():
                return
            if stage.key not in self._ends.delivered:
                self._failures[stage.key] += 1
                self._deliver_result(stage, query=True)
                del self._failures[stage.key]
        for outcome in list(self.unstored.values()):
            self.end(outcome)
        for outcome in undelivered_endings(self._names.state, self._uri):
            if self.timed_out():
                return
            if outcome.stage.key not in self._live:
                self._deliver_ending(outcome, query=True)

    def _deliver_result(self, stage: Stage, query: bool) -> None:
        self._ends.deliver_result(stage, self._live.pop(stage.key, None), query)

    def _deliver_ending(self, outcome: Outcome, query: bool) -> None:
        self._ends.deliver_ending(outcome, self._live.pop(outcome.stage.key, None), query)

    def _missing(self) -> dict[str, Stage]:
        """The stored stages whose delivered run is not on the server, or not the only finished one."""
        found: dict[str, list[str]] = {}
        for run in self._runs.search("attributes.status = 'FINISHED' and tags.key != ''"):
            found.setdefault(run.data.tags["key"], []).append(run.info.run_id)
        delivered, stages = self._ledger.runs(self._uri), self._names.state.all_stages
        return {key: stages[key] for key in delivered if key in stages and found.get(key) != [delivered[key]]}

    def _find_experiment(self) -> str:
        found, identity = self._client.get_experiment_by_name(self._study.name), Identity.of(self._study)
        if found is not None:
            if not self._replace:
                experiment.check(found, self._names.state)
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            experiment.mark(self._client, found, identity)
            return str(found.experiment_id)
        place = None
        if not server.is_server(self._uri):
            place = artifact_locations.folder_of(self._uri, self._store, self._study.name).as_uri()
        return str(self._client.create_experiment(self._study.name, place, experiment.tags(identity)))

    def _close_abandoned(self) -> None:
        """Close the open runs of dead drivers of this store, and those of this driver that it does not write to: the
        response to their creation was lost, or the server was down since."""
        self.others.clear()
        live = {run.run_id for run in self._live.values()}
        for run in list(self._runs.search("attributes.status = 'RUNNING'")):
            if self._runs.is_foreign(run) or run.info.run_id in live:
                continue
            if self._runs.is_held(run):
                self.others.add(run.data.tags[DRIVER])
            elif self._runs.is_mine(run) and PARENT not in run.data.tags and self._parent in ("", run.info.run_id):
                self._parent = run.info.run_id
            else:
                self._close(run)
        for driver in mirrors(self._store, mirror_of(self._names.state, self._uri)):
            if driver != self._heartbeat.driver and not self._heartbeat.is_alive(driver):
                self._heartbeat.forget(driver)

    def _close(self, run: "Run") -> None:
        if PARENT in run.data.tags:
            self._runs.close(run)
        else:
            self._runs.close_parent(run.info.run_id, "KILLED")
        self.deliveries.closed += not self._runs.is_mine(run)

    def _create(self, stage: Stage) -> LiveRun:
        run = self._client.create_run(self._experiment, run_name=self._name(stage), tags=self._stage_tags(stage))
        return LiveRun(self._client, run.info, stage)

    def _parent_run(self) -> str:
        """The run of this invocation, created with its first stage."""
        if not self._parent:
            self.closed = False
            name, note = (
                f"{self._study.name} {_clock()}",
                {"mlflow.note.content": escape.markdown(self._study.grid.question)},
            )
            self._parent = self._client.create_run(
                self._experiment, run_name=name, tags={**self._tags, **self._origin, **note}
            ).info.run_id
        return self._parent

    def _name(self, stage: Stage) -> str:
        return escape.line(self._names[stage.key])[:250]

    def _stage_tags(self, stage: Stage) -> dict[str, str]:
        users = self._names.users_of(stage.key)
        return {
            **self._tags,
            **self._origin,
            PARENT: self._parent_run(),
            "stage": stage.kind,
            "key": stage.key,
            "parent_key": stage.parent.key if stage.parent else "",
            "cell": escape.line("; ".join(trial.cell.name for trial in users))[:4000],
            "role": "tuning" if all(trial.tuning for trial in users) else "replicate",
            **({"tuning": str(users[0].tuning)} if users[0].tuning else {}),
            **({"replicate": str(users[0].replicate)} if users[0].replicate else {}),
        }


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
