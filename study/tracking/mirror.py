"""Writes a study's runs; used by one thread only."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from study.design.stages import Stage, users_of
from study.design.study import Study, Trial
from study.planning.events import Outcome
from study.planning.trials import everything, stage_name
from study.store.results import Store
from study.tracking import server, waiting
from study.tracking.ledger import Ledger
from study.tracking.liverun import STATUS, LiveRun
from study.utils.errors import StudyError
from study.utils.process import current_process, has_ended

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_SWEEP = 24 * 3600.0  # after which another machine's driver that left a run open is taken for dead
PARENT = "mlflow.parentRunId"


class Mirror:
    """Writes runs; used by one thread only."""

    def __init__(self, study: Study, store: Store, uri: str, tags: Mapping[str, str]) -> None:
        self.ended: set[str] = set()  # keys of stages that have ended in this sweep, delivered or not
        self.unstored: dict[str, Outcome] = {}  # by key: stages failed or stopped that the server does not have yet
        self.unreadable: dict[str, str] = {}  # by key: stored stages that cannot be delivered, and why
        self.hurried: Callable[[], bool] = lambda: False
        self._study, self._store, self._uri = study, store, uri
        self._ledger, self._tags = Ledger(store, study.name), dict(tags)
        self._users: dict[str, list[Trial]] = {}
        self.expect(everything(study, store))
        self._live: dict[str, LiveRun] = {}
        self._others = False  # whether other drivers are at work on this study
        self._connects = 0
        self._delivered: set[str] = set()
        self._told: set[str] = set()  # names of endings that the server has
        self._refused: Counter[str] = Counter()  # how often the delivery of a stage has failed
        self._client: MlflowClient
        self._experiment = self._parent = ""

    def connect(self) -> None:
        """Make sure of the experiment and this sweep's own run, end what nobody is writing."""
        self._live.clear()
        self._connects += 1
        self._client = server.connect(self._uri)
        self._experiment = self._find_experiment()
        self._close_abandoned()
        if not self._parent:
            tags = {**self._tags, "driver": current_process(), "mlflow.note.content": self._study.grid.question}
            run = self._client.create_run(self._experiment, run_name=f"{self._study.name} {_clock()}", tags=tags)
            self._parent = run.info.run_id

    def expect(self, trials: list[Trial]) -> None:
        """Learn who uses which stage; a trial added later does not rename what earlier ones use."""
        self._users = users_of(trials) | self._users

    def _users_of(self, stage: Stage) -> list[Trial]:
        if stage.key not in self._users:  # tuning has suggested it since
            self.expect(everything(self._study, self._store))
        return self._users[stage.key]

    def start(self, stage: Stage) -> None:
        self._live[stage.key] = self._create(stage)
        self._live[stage.key].flush()

    def epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        if stage.key in self._live:
            self._live[stage.key].add(rows)

    def lose(self, stage: Stage, reason: str) -> None:
        """End a run whose worker is gone; the stage gets another one."""
        (self._live.pop(stage.key, None) or self._create(stage)).fail(reason)

    def end(self, outcome: Outcome) -> None:
        if outcome.status != "done":
            self._tell(outcome, ask=self._connects > 1)
            self.unstored.pop(outcome.stage.key, None)
        elif outcome.stage.key not in self._delivered:
            self._deliver(outcome.stage, ask=self._connects > 1)

    def close(self, status: str, report: Path | None) -> None:
        self._live.clear()
        self._close_abandoned()
        self._client.set_terminated(self._parent, status)  # before the report, which may take long
        if report is not None and report.is_dir():
            self._client.log_artifacts(self._parent, str(report), "report")

    def catch_up(self) -> None:
        """Deliver what waits in order; what was refused before comes last, so that it holds up nothing else. What
        another driver may be delivering at this moment is left to it."""
        self.expect(everything(self._study, self._store))
        stages = waiting.finished(self._study, self._store, self._uri)
        for stage in sorted(stages, key=lambda stage: self._refused[stage.key]):
            if self.hurried():
                return
            if stage.key in self._delivered or self._left_to_others(stage):
                continue
            self._refused[stage.key] += 1
            self._deliver(stage, ask=True)
            del self._refused[stage.key]
        for outcome in list(self.unstored.values()):
            self.end(outcome)
        for outcome in waiting.unfinished(self._study, self._store, self._uri):
            if self.hurried():
                return
            if outcome.stage.key not in self._live and not self._left_to_others(outcome.stage):
                self._tell(outcome, ask=True)

    def _left_to_others(self, stage: Stage) -> bool:
        return self._others and stage.key not in self.ended

    def _deliver(self, stage: Stage, ask: bool) -> None:
        """Deliver a stored stage; `ask` the server first whether it has it, where whoever delivered it may have been
        killed, or cut off, before it could note so."""
        run = self._live.pop(stage.key, None)
        if ask and run is None:
            runs = self._client.search_runs([self._experiment], f"tags.key = '{stage.key}'")
            if finished := [found for found in runs if found.info.status == "FINISHED"]:
                self._note(stage, finished[0].info.run_id)
                return
        self._complete(stage, run or self._create(stage))

    def _complete(self, stage: Stage, run: "LiveRun") -> None:
        try:
            result = self._store.find(stage)
            self._store.weights(stage)
        except StudyError as error:  # damaged since it was stored: the server is not to blame
            self.unreadable[stage.key] = str(error)
            run.fail(str(error))
            return
        if result is None:
            raise StudyError(f"stage {stage.key} has ended but is not stored")
        with self._store.folder(stage) as folder:
            run.complete(result, folder)
        self._note(stage, run.run_id)

    def _tell(self, outcome: Outcome, ask: bool) -> None:
        """Deliver how a stage ended that has no result, unless the server has been told, by whomever."""
        name = waiting.ending(outcome)
        if name in self._told:
            return
        run = self._live.pop(outcome.stage.key, None)
        run_id = self._told_as(outcome, name) if ask and run is None else None
        if run_id is None:
            run = run or self._create(outcome.stage)
            run.end(outcome, name)
            run_id = run.run_id
        self._ledger.add_ending(self._uri, name, run_id)
        self._told.add(name)

    def _told_as(self, outcome: Outcome, name: str) -> str | None:
        """The run that has everything of an ending, save perhaps that it is over."""
        known = f"tags.ending = '{name}'"
        if outcome.status == "stopped":  # once and for all, also before endings had names
            known = f"tags.key = '{outcome.stage.key}' and tags.stopped = 'asha'"
        runs = self._client.search_runs([self._experiment], known)
        if not runs:
            return None
        found, status = runs[0].info, STATUS[outcome.status]
        if found.status != status:
            self._client.set_terminated(found.run_id, status)
        return str(found.run_id)

    def _note(self, stage: Stage, run_id: str) -> None:
        self._ledger.add(self._uri, stage, run_id)
        self._delivered.add(stage.key)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._study.name)
        if found is not None and found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if found is not None:
            return str(found.experiment_id)
        local = self._uri.startswith("sqlite:")
        place = (self._store.root / "mlartifacts" / self._study.name).resolve().as_uri() if local else None
        return str(self._client.create_experiment(self._study.name, artifact_location=place))

    def _close_abandoned(self) -> None:
        """End the runs left RUNNING by drivers of this machine that were killed, and this one's own of which it knows
        nothing any more: its answer got lost, or the server was away since."""
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
        return LiveRun(self._client, run.info, self._uri, stage)

    def _name(self, stage: Stage) -> str:
        return stage_name(stage.key, self._users_of(stage))[:250]

    def _stage_tags(self, stage: Stage) -> dict[str, str]:
        users = self._users_of(stage)
        return {
            **self._tags,
            PARENT: self._parent,
            "driver": current_process(),
            "stage": stage.kind,
            "key": stage.key,
            "parent_key": stage.parent.key if stage.parent else "",
            "cell": "; ".join(trial.cell.name for trial in users)[:4000],
            "role": "tuning" if all(trial.tuning for trial in users) else "replicate",
            **({"tuning": str(users[0].tuning)} if users[0].tuning else {"replicate": str(users[0].replicate)}),
        }


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
