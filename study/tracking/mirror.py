"""Writes a study's MLflow runs; used by one thread only."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from study.design.stages import Stage
from study.planning.events import Outcome
from study.planning.state import StageNames
from study.planning.study_identity import Identity
from study.tracking import artifact_locations, experiment, server
from study.tracking.client import Client
from study.tracking.ledger import Ledger
from study.tracking.liverun import STATUS, LiveRun
from study.tracking.undelivered import ending_id, undelivered_endings, undelivered_results
from study.utils.errors import StudyError
from study.utils.process import current_process, has_ended

LONGEST_SWEEP = 24 * 3600.0  # seconds after which an open run of another machine's driver counts as abandoned
PARENT = "mlflow.parentRunId"


class Mirror:
    """Writes runs; used by one thread only."""

    def __init__(self, names: StageNames, uri: str, tags: Mapping[str, str], replace: bool) -> None:
        self.ended: set[str] = set()  # keys of stages that have ended in this sweep, delivered or not
        self.unstored: dict[str, Outcome] = {}  # by key: failed or stopped stages to be delivered
        self.unreadable: dict[str, str] = {}  # by key: stored stages that cannot be delivered, and why
        self.timed_out: Callable[[], bool] = lambda: False
        self._names, self._uri, self._tags, self._replace = names, uri, dict(tags), replace
        self._study, self._store = names.state.study, names.state.store
        self._ledger = Ledger(self._store, self._study.name)
        self._live: dict[str, LiveRun] = {}
        self._others = False  # whether other drivers run this study now
        self._connects = 0
        self._delivered: set[str] = set()
        self._delivered_endings: set[str] = set()  # ids
        self._failures: Counter[str] = Counter()  # failed deliveries by stage
        self._client: Client
        self._experiment = self._parent = ""

    def connect(self) -> None:
        """Find or create the experiment and the parent run of this sweep, and close abandoned runs.

        Raises AnotherStudyError if the experiment is of another study.
        """
        self._live.clear()
        self._connects += 1
        self._client = server.connect(self._uri, self._store)
        self._experiment = self._find_experiment()
        self._close_abandoned()
        if not self._parent:
            tags = {**self._tags, "driver": current_process(), "mlflow.note.content": self._study.grid.question}
            run = self._client.create_run(self._experiment, run_name=f"{self._study.name} {_clock()}", tags=tags)
            self._parent = run.info.run_id

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
        elif outcome.stage.key not in self._delivered:
            self._deliver(outcome.stage, query=self._connects > 1)

    def close(self, status: str, report: Path | None) -> None:
        self._live.clear()
        self._close_abandoned()
        self._client.set_terminated(self._parent, status)  # before the report, which may take long
        if report is not None and report.is_dir():
            self._client.upload(self._client.get_run(self._parent).info.artifact_uri, report, "report")

    def catch_up(self) -> None:
        """Deliver everything that is missing, in order. Stages whose delivery failed before come last, so that they
        block no others. Stages that another driver may be delivering now are left to it."""
        stages = undelivered_results(self._names.state, self._uri)
        for stage in sorted(stages, key=lambda stage: self._failures[stage.key]):
            if self.timed_out():
                return
            if stage.key in self._delivered or self._left_to_others(stage):
                continue
            self._failures[stage.key] += 1
            self._deliver(stage, query=True)
            del self._failures[stage.key]
        for outcome in list(self.unstored.values()):
            self.end(outcome)
        for outcome in undelivered_endings(self._names.state, self._uri):
            if self.timed_out():
                return
            if outcome.stage.key not in self._live and not self._left_to_others(outcome.stage):
                self._deliver_ending(outcome, query=True)

    def _left_to_others(self, stage: Stage) -> bool:
        return self._others and stage.key not in self.ended

    def _deliver(self, stage: Stage, query: bool) -> None:
        """Deliver a stored stage. `query`: check first whether the server has it, since a delivery may have been cut
        off before the ledger was written."""
        run = self._live.pop(stage.key, None)
        if query and run is None:
            runs = self._client.search_runs([self._experiment], f"tags.key = '{stage.key}'")
            if finished := [found for found in runs if found.info.status == "FINISHED"]:
                self._record(stage, finished[0].info.run_id)
                return
        self._complete(stage, run or self._create(stage))

    def _complete(self, stage: Stage, run: "LiveRun") -> None:
        try:
            result = self._store.find(stage)
            self._store.check(stage)
        except StudyError as error:  # damaged in the store: not an error of the server
            self.unreadable[stage.key] = error.message
            run.fail(error.message)
            return
        if result is None:
            raise StudyError(f"stage {stage.key} ended but its result is not in the store")
        with self._store.folder(stage) as folder:
            run.complete(result, folder)
        self._record(stage, run.run_id)

    def _deliver_ending(self, outcome: Outcome, query: bool) -> None:
        """Deliver the end of a stage without a result, unless it was delivered before. `query` as in `_deliver`."""
        name = ending_id(outcome)
        if name in self._delivered_endings:
            return
        run = self._live.pop(outcome.stage.key, None)
        run_id = self._find_ending(outcome, name) if query and run is None else None
        if run_id is None:
            run = run or self._create(outcome.stage)
            run.end(outcome, name)
            run_id = run.run_id
        self._ledger.add_ending(self._uri, name, run_id)
        self._delivered_endings.add(name)

    def _find_ending(self, outcome: Outcome, name: str) -> str | None:
        """The run that has this ending, closed now if it was still open."""
        query = f"tags.ending = '{name}'"
        if outcome.status == "stopped":  # final for a stage; older runs have no ending tag
            query = f"tags.key = '{outcome.stage.key}' and tags.stopped = 'asha'"
        runs = self._client.search_runs([self._experiment], query)
        if not runs:
            return None
        found, status = runs[0].info, STATUS[outcome.status]
        if found.status != status:
            self._client.set_terminated(found.run_id, status)
        return str(found.run_id)

    def _record(self, stage: Stage, run_id: str) -> None:
        self._ledger.add(self._uri, stage, run_id)
        self._delivered.add(stage.key)

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
        """Close the runs left RUNNING by killed drivers of this machine, and by this driver where the response was lost
        or the server was down since."""
        self._others = False
        for run in self._client.search_runs([self._experiment], "attributes.status = 'RUNNING'", max_results=10_000):
            owner, run_id = run.data.tags.get("driver", ""), run.info.run_id
            if owner == current_process() and PARENT not in run.data.tags:
                self._parent = self._parent or run_id
            if run_id != self._parent and (owner == current_process() or has_ended(owner)):
                self._client.set_terminated(run_id, "KILLED")
            recent = time.time() - run.info.start_time / 1000 < LONGEST_SWEEP
            self._others |= recent and owner != current_process() and not has_ended(owner)

    def _create(self, stage: Stage) -> "LiveRun":
        run = self._client.create_run(self._experiment, run_name=self._name(stage), tags=self._stage_tags(stage))
        return LiveRun(self._client, run.info, stage)

    def _name(self, stage: Stage) -> str:
        return self._names[stage.key][:250]

    def _stage_tags(self, stage: Stage) -> dict[str, str]:
        users = self._names.users_of(stage.key)
        return {
            **self._tags,
            PARENT: self._parent,
            "driver": current_process(),
            "stage": stage.kind,
            "key": stage.key,
            "parent_key": stage.parent.key if stage.parent else "",
            "cell": "; ".join(trial.cell.name for trial in users)[:4000],
            "role": "tuning" if all(trial.tuning for trial in users) else "replicate",
            **({"tuning": str(users[0].tuning)} if users[0].tuning else {}),
            **({"replicate": str(users[0].replicate)} if users[0].replicate else {}),
        }


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
