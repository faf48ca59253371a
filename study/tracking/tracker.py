"""Follows a sweep and delivers it to MLflow in the background."""

from collections.abc import Mapping
from pathlib import Path

from study.design.stages import Stage
from study.planning.events import Listener, Outcome
from study.planning.state import StageNames, StudyState
from study.store.heartbeats import Heartbeat
from study.tracking.deliveries import Deliveries
from study.tracking.delivery_queue import DeliveryQueue
from study.tracking.experiment import AnotherStudyError
from study.tracking.mirror import Mirror
from study.tracking.undelivered import mirror_of
from study.utils.errors import Advice, StudyError
from study.utils.redact import masked

FLUSH_SECONDS = 45.0  # timeout of the final flush, after which the rest is left to `study sync`
LAST_SECONDS = 15.0  # timeout for closing the parent run


class Tracker(Listener):
    """Delivers a sweep while it runs. Use as a context manager. Errors of the server are never raised.

    Running stages are shown while they run. A stage that ends before its start was delivered is delivered as a whole,
    with half as many calls, so that a slow server, or a sweep of very short stages, does not fall behind. A server that
    is down is retried throughout the sweep; the store keeps what it missed.
    """

    def __init__(
        self, state: StudyState, uri: str, tags: Mapping[str, str], replace: bool = False, compare: bool = False
    ) -> None:
        """replace: deliver also to an experiment of another study with the same name; compare: look for all delivered
        runs on the server, and deliver again those that were deleted there."""
        self.uri = uri
        self.names = StageNames(state)
        self._heartbeat = Heartbeat(state.store, mirror=mirror_of(state, uri))
        self._mirror = Mirror(self.names, uri, tags, self._heartbeat, replace, compare)
        self._queue = DeliveryQueue(self._mirror.connect, self._mirror.catch_up)
        self._mirror.timed_out = self._queue.timed_out.is_set
        self._late = False  # whether a timeout expired before everything was delivered

    @property
    def problem(self) -> str | None:
        """Why the server does not have everything; None if it has."""
        error = self._queue.problem
        if isinstance(error, StudyError):
            return masked(error.message)
        if error is not None:
            return masked(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        if self.deliveries.unreadable:
            return next(iter(self.deliveries.unreadable.values()))
        return "not everything was delivered in time" if self._late else None

    @property
    def advice(self) -> Advice | None:
        """The command that helps, other than delivering again."""
        return self._queue.problem.advice if isinstance(self._queue.problem, StudyError) else None

    @property
    def refused(self) -> bool:
        """Whether nothing is delivered because the experiment is of another study."""
        return isinstance(self._queue.problem, AnotherStudyError)

    @property
    def deliveries(self) -> Deliveries:
        """What was delivered so far."""
        return self._mirror.deliveries

    @property
    def others(self) -> frozenset[str]:
        """Other drivers that were writing runs of the study at the last flush, and seemed to be alive."""
        return frozenset(self._mirror.others)

    def wait_for_others(self) -> None:
        """Wait for a sign of life of each other driver, or until it counts as dead, two minutes at most.

        Raises StoreError.
        """
        self._heartbeat.wait_for_signs(self.others)

    def __enter__(self) -> "Tracker":
        self._heartbeat.__enter__()
        self._queue.start()
        return self

    def on_start(self, stage: Stage) -> None:
        self.names.users_of(stage.key)  # looks again in this thread if tuning has just suggested the stage
        self._queue.send(lambda: None if stage.key in self._mirror.ended else self._mirror.start(stage))

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        self._queue.send(lambda: self._mirror.epochs(stage, rows))

    def on_lost(self, stage: Stage, reason: str) -> None:
        self._queue.send(lambda: self._mirror.lose(stage, reason))

    def on_done(self, outcome: Outcome) -> None:
        if outcome.elsewhere:
            return  # delivered by the driver that ran it; a flush delivers what is missing
        self.names.users_of(outcome.stage.key)
        self._mirror.ended.add(outcome.stage.key)
        if outcome.status != "done":
            self._mirror.unstored[outcome.stage.key] = outcome  # kept until delivered: the store has less of it
        self._queue.send(lambda: self._mirror.end(outcome))

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all finished stages are delivered, those of earlier sweeps included, or the server has failed, at
        most `timeout` seconds."""
        self._late = not self._queue.flush(timeout) and self._queue.problem is None

    def finish(self, status: str, report: Path | None) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED, with the report if there is one. The last call."""
        self._late |= not self._queue.stop(lambda: self._mirror.close(status, report), LAST_SECONDS)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._queue.stop(lambda: None, 0.0 if self._late or kind is not None else LAST_SECONDS)
        self._heartbeat.keep = not self._mirror.closed
        self._heartbeat.__exit__(None, None, None)
