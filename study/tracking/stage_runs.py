"""The MLflow runs of a stage, of which at most one is finished: the states of a delivery, and what decides a race.

A run of a stage is in one of these states:

    open        RUNNING. Its driver writes to it.
    decided     RUNNING, with the parameter `outcome`: finished, failed, stopped or abandoned. All data are there.
    closed      FINISHED, FAILED or KILLED, as decided. A worker's death closes a run as FAILED without a decision.
    deleted     in MLflow's trash: another run of the stage was finished first, or the stage was recomputed since

MLflow has no transactions, but a parameter of a run never changes once it is written. So `outcome` is a decision that
exactly one process makes, whoever asks first. A driver finishes its run of a stage in this order:

1.  create the run with the stage's key; write all data, and the fingerprint of the stored result
2.  search for all other runs with this key
3.  of another one that is finished and has the stored result, keep that one and delete its own; delete a finished one
    of an earlier result; decide `abandoned` for every open one, whoever's it is
4.  decide `finished` for its own. If another process decided `abandoned` before, delete it and start again
5.  set the status FINISHED

This is safe however processes race, stop or continue late. Of two runs of a stage, the driver of the one created later
finds the earlier one in step 2, and goes on only once that is abandoned for good. So two are never finished, and
whether a driver is alive only decides who does the work. A failure or an early stop is delivered likewise; the tag
`ending` stands for the key there, and is set before step 2.

Who may close whose runs: anyone those of a dead driver of the same store (`study.store.heartbeats`), as decided or else
as abandoned; nobody those of another store, whose drivers it does not know; and in step 3 the one who delivers. A stage
whose run another live driver holds is left to it.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from study.store.heartbeats import Heartbeat
from study.tracking.client import Client
from study.utils.errors import StudyError

if TYPE_CHECKING:
    from mlflow.entities import Run

OUTCOME = "outcome"  # the parameter that is written once
FINISHED, ABANDONED = "finished", "abandoned"
STATUS = {FINISHED: "FINISHED", "failed": "FAILED", "stopped": "KILLED", ABANDONED: "KILLED"}  # MLflow's terms
PARENT, RESULT, ENDING, STORE, DRIVER = "mlflow.parentRunId", "result", "ending", "store", "driver"  # tags
PAGE = 1000  # runs per request

Check = Callable[["Run"], bool]


class StageRuns:
    """The runs of one experiment, as a driver of one store sees them. Any method may raise an error of the server."""

    def __init__(self, client: Client, experiment: str, heartbeat: Heartbeat, store: str | None) -> None:
        """store: the id of the driver's store; None if the experiment has runs of this store only."""
        self._client, self._experiment, self._heartbeat, self._store = client, experiment, heartbeat, store

    def of(self, key: str) -> "list[Run]":
        """All runs of a stage that are not deleted."""
        return list(self.search(f"tags.key = '{key}'"))

    def search(self, query: str) -> "Iterator[Run]":
        """All runs that fit, page by page."""
        token: str | None = ""
        while token is not None:
            page = self._client.search_runs([self._experiment], query, max_results=PAGE, page_token=token or None)
            yield from page
            token = page.token or None

    def is_foreign(self, run: "Run") -> bool:
        """Whether a driver of another store made it."""
        return self._store is not None and run.data.tags.get(STORE, self._store) != self._store

    def is_mine(self, run: "Run") -> bool:
        return run.data.tags.get(DRIVER) == self._heartbeat.driver

    def is_held(self, run: "Run") -> bool:
        """Whether it is an open run of another live driver of this store. Raises StoreError."""
        open_elsewhere = run.info.status == "RUNNING" and not self.is_mine(run) and not self.is_foreign(run)
        return open_elsewhere and self._heartbeat.is_alive(run.data.tags.get(DRIVER))

    def finish(self, run_id: str, key: str, outcome: str, rival: Check, current: Check) -> str | None:
        """Give a run its outcome, unless another one has it: steps 2 to 5. Returns the run that has it; None if this
        run was abandoned by another process, or deleted, so that the caller starts again.

        rival: whether a run is about the same end of the stage; current: whether one that is finished is up to date.
        """
        for other in self.of(key):
            if other.info.run_id != run_id and rival(other) and self._exclude(other, outcome, current):
                self.discard(run_id)
                return str(other.info.run_id)
        if self._decide(run_id, outcome) != outcome:
            self.discard(run_id)
            return None
        self._client.set_terminated(run_id, STATUS[outcome])
        return run_id

    def has(self, run: "Run", outcome: str) -> bool:
        """Whether this is its outcome, be it closed or not. Runs of earlier versions only have a status."""
        return bool(run.data.params.get(OUTCOME, run.info.status) in (outcome, STATUS[outcome]))

    def close(self, run: "Run") -> str:
        """Close an open run as decided; abandoned if nothing is. Returns its outcome."""
        run_id = run.info.run_id
        outcome = self._decide(run_id, ABANDONED)
        if outcome == ABANDONED and {RESULT, ENDING} & run.data.tags.keys():  # whole, but for a status: counts once
            self._client.delete_run(run_id)
        else:
            self._client.set_terminated(run_id, STATUS[outcome])
        return outcome

    def close_parent(self, run_id: str, status: str) -> bool:
        """Close the run of an invocation; one without stages is deleted. Returns whether it is kept."""
        query = f"tags.`{PARENT}` = '{run_id}'"
        kept = bool(self._client.search_runs([self._experiment], query, max_results=1))
        if kept:
            self._client.set_terminated(run_id, status)
        else:
            self._client.delete_run(run_id)
        return kept

    def discard(self, run_id: str) -> None:
        """Delete a run that lost a race. It can be restored in MLflow, but never be finished."""
        self._decide(run_id, ABANDONED)
        if self.exists(run_id):
            self._client.delete_run(run_id)

    def delete(self, run: "Run") -> None:
        """Delete a finished run that is one too many."""
        self._client.delete_run(run.info.run_id)

    def exists(self, run_id: str) -> bool:
        """Whether a run is there and not deleted."""
        return bool(self._client.search_runs([self._experiment], f"attributes.run_id = '{run_id}'", max_results=1))

    def _exclude(self, other: "Run", outcome: str, current: Check) -> bool:
        """Whether another run has the outcome, and is up to date; if not, it never will."""
        is_open = other.info.status == "RUNNING"
        has_it = self.close(other) == outcome if is_open else self.has(other, outcome)
        if has_it and not current(other):
            self.delete(other)
            return False
        return has_it

    def _decide(self, run_id: str, outcome: str) -> str:
        """Write the outcome of a run unless it has one. Returns the one that it has."""
        try:
            self._client.log_param(run_id, OUTCOME, outcome, synchronous=True)
        except StudyError:
            found = self._client.get_run(run_id)
            if OUTCOME not in found.data.params and found.info.lifecycle_stage != "deleted":
                raise
            return str(found.data.params.get(OUTCOME, ABANDONED))
        return outcome
