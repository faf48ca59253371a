"""Delivers how stages ended: each end is one run, whoever else delivers it. Used by one thread only."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from study.design.stages import Stage
from study.planning.events import Outcome
from study.store.results import Store
from study.tracking.deliveries import Deliveries
from study.tracking.ledger import Ledger
from study.tracking.liverun import LiveRun
from study.tracking.stage_runs import ENDING, FINISHED, RESULT, StageRuns
from study.tracking.undelivered import ending_id
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from mlflow.entities import Run

ATTEMPTS = 5  # at a delivery that another driver's deliveries of the same stage interrupt


class StageEnds:
    """The ends of stages: results, failures and early stops.

    `query`, in its methods: check first whether the server has this end, since a delivery may have been cut off before
    the ledger was written, and whether another driver delivers it.
    """

    def __init__(self, uri: str, store: Store, ledger: Ledger, create: Callable[[Stage], LiveRun]) -> None:
        """create: makes a new run of a stage."""
        self.runs: StageRuns  # set with each connection
        self.deliveries = Deliveries()
        self.delivered: set[str] = set()  # keys of stages whose result is delivered
        self._delivered_endings: set[str] = set()  # ids
        self._uri, self._store, self._ledger, self._create = uri, store, ledger, create

    def deliver_result(self, stage: Stage, run: LiveRun | None, query: bool) -> None:
        """Deliver a stored stage. run: the one that followed it while it was trained."""
        if query and run is None and self._is_settled(stage):
            return
        retrained = run is not None
        for _ in range(ATTEMPTS):
            if self._complete(stage, run or self._create(stage), retrained):
                return
            run = None
            if self._is_settled(stage):
                return
        raise StudyError(f"stage {stage.key[:12]} was delivered by another driver at the same time; deliver it again")

    def _is_settled(self, stage: Stage) -> bool:
        """Whether the server has the one run of the stage, or another driver is writing it."""
        runs = self.runs.of(stage.key)
        finished = [run for run in runs if self.runs.has(run, FINISHED) and run.info.status != "RUNNING"]
        finished.sort(key=lambda run: RESULT not in run.data.tags)  # earlier versions may have finished several
        if current := [run for run in finished if self._is_current(run, stage)]:
            for extra in (run for run in finished if run is not current[0]):
                self.runs.delete(extra)
            self._record(stage, current[0].info.run_id, self._store.fingerprint(stage))
            self.deliveries.found += 1
            return True
        return self._is_left(stage, runs)

    def _is_current(self, run: "Run", stage: Stage, retrained: bool = False) -> bool:
        """Whether a finished run has the stored result. The first one of several stores is kept."""
        if self.runs.is_foreign(run):
            return True
        if RESULT not in run.data.tags:  # delivered by an earlier version
            return not retrained
        return bool(run.data.tags[RESULT] == self._store.fingerprint(stage))

    def _complete(self, stage: Stage, run: LiveRun, retrained: bool) -> bool:
        """Deliver a result in this run. Returns whether the server has it now, in this run or another one, or it cannot
        be delivered; otherwise the run was given up."""
        fingerprint = self._store.fingerprint(stage)
        try:
            result = self._store.find(stage)
            self._store.check(stage)
        except StudyError as error:  # damaged in the store: not an error of the server
            self.deliveries.unreadable[stage.key] = error.message
            run.fail(error.message)
            return True
        if result is None:
            raise StudyError(f"stage {stage.key} ended but its result is not in the store")
        with self._store.folder(stage) as folder:
            run.log_result(result, fingerprint, folder)
        if self._store.fingerprint(stage) != fingerprint:  # recomputed meanwhile
            self.runs.discard(run.run_id)
            return False
        finished = self.runs.finish(
            run.run_id,
            stage.key,
            FINISHED,
            rival=lambda other: other.info.status == "RUNNING" or self.runs.has(other, FINISHED),
            current=lambda other: self._is_current(other, stage, retrained),
        )
        if finished is None:
            return False
        self._record(stage, finished, fingerprint)
        self._count(finished == run.run_id)
        return True

    def deliver_ending(self, outcome: Outcome, run: LiveRun | None, query: bool) -> None:
        """Deliver the end of a stage without a result, unless it was delivered before."""
        name, stage = ending_id(outcome), outcome.stage
        if name in self._delivered_endings:
            return
        if query and run is None and self._is_ending_settled(outcome, name):
            return
        run = run or self._create(stage)
        run.log_ending(outcome, name)
        ended = self.runs.finish(
            run.run_id,
            stage.key,
            outcome.status,
            rival=lambda other: _is_ending(other, outcome, name),
            current=lambda other: True,
        )
        if ended is None:
            raise StudyError(f"the end of stage {stage.key[:12]} was delivered by another driver at the same time")
        self._record_ending(name, ended)
        self._count(ended == run.run_id)

    def _is_ending_settled(self, outcome: Outcome, name: str) -> bool:
        """Whether the server has this end of the stage, or another driver is writing it."""
        runs = self.runs.of(outcome.stage.key)
        for run in runs:
            if _is_ending(run, outcome, name) and self.runs.has(run, outcome.status):
                self._record_ending(name, run.info.run_id)
                self.deliveries.found += 1
                return True
        return self._is_left(outcome.stage, runs)

    def _is_left(self, stage: Stage, runs: "list[Run]") -> bool:
        """Whether another live driver holds one of the stage's runs."""
        held = any(self.runs.is_held(run) for run in runs)
        if held:
            self.deliveries.left.add(stage.key)
        return held

    def _record(self, stage: Stage, run_id: str, fingerprint: str) -> None:
        self._ledger.add(self._uri, stage, run_id, fingerprint)
        self.delivered.add(stage.key)

    def _record_ending(self, name: str, run_id: str) -> None:
        self._ledger.add_ending(self._uri, name, run_id)
        self._delivered_endings.add(name)

    def _count(self, own: bool) -> None:
        self.deliveries.delivered += own
        self.deliveries.found += not own


def _is_ending(run: "Run", outcome: Outcome, name: str) -> bool:
    """Whether a run is about this end of its stage."""
    if outcome.status == "stopped" and run.data.tags.get("stopped") == "asha":  # final; older runs have no ending tag
        return True
    return bool(run.data.tags.get(ENDING) == name)
