"""Decides which stages a free worker runs next, and handles how they end. Independent of Ray."""

import time
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from statistics import median

from study.design.stages import Stage
from study.execution.messages import EpochsEnded, Message, StageEnded, StoreFailed
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.leases import Leases
from study.store.results import Store, StoreError
from study.utils.provenance import now

FEW = 10  # up to so many stages are looked up one by one, more with one listing of the store
POLL_SECONDS = 0.5  # between attempts while all remaining stages are leased by other drivers
ATTEMPTS = 3  # a stage fails once so many of its workers have died (killed, out of memory, or node lost)
DEATH = "its worker process died (killed, out of memory, or its machine was lost)"
BUNDLE_SECONDS = 1.0  # expected run time of a bundle: handing one out costs a few hundredths of a second
BUNDLE_STAGES = 100  # at most
DURATIONS = 9  # latest durations per kind of stage, of which the median is the expected one


@dataclass
class Bundle:
    """Stages that one worker runs one after the other: short stages share the cost of handing out a bundle."""

    stages: deque[Stage]  # that have not ended as far as reported; the worker runs the first
    seconds: float = 0.0  # run time of the first stage
    learning_curve: list[dict[str, float]] = field(default_factory=list)  # its epoch records, if it is prunable


class Durations:
    """How long the latest stages of each kind took."""

    def __init__(self) -> None:
        self._latest: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=DURATIONS))

    def add(self, stage: Stage, seconds: float) -> None:
        self._latest[stage.kind].append(seconds)

    def expected(self, stage: Stage) -> float:
        """Seconds; infinite before the first stage of its kind has ended."""
        known = self._latest[stage.kind]
        return median(known) if known else float("inf")


class Scheduler:
    """Assigns stages to workers, parents before children. Workers are identified by names of the caller's choice.

    Errors of the store, the listener or the source of stages do not propagate to the caller (Ray would count them as
    errors of a trial and retry): they are kept in `error` or `store_error`, and no more stages are assigned.
    """

    def __init__(self, work: StageSource, store: Store, leases: Leases, listener: Listener, workers: int = 1) -> None:
        """`workers`: how many can run at the same time."""
        self.outcomes: list[Outcome] = []
        self.store_error: str | None = None  # why the store cannot be written
        self.error: Exception | None = None
        self.work, self._store, self._leases, self._listener = work, store, leases, listener
        self._workers = workers
        self._ready: OrderedDict[str, Stage] = OrderedDict()
        self._blocked: dict[str, list[Stage]] = defaultdict(list)  # by the key of the parent that has not ended
        self._bundles: dict[str, Bundle] = {}  # by worker
        self._open: set[str] = set()  # neither done nor failed
        self._failed: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()  # dead workers by key of their stage
        self._pruned: set[str] = set()  # workers whose stage was stopped early
        self._durations = Durations()
        self._add_stages()

    @property
    def exhausted(self) -> bool:
        """Whether every stage has ended."""
        return not self._open

    @property
    def finished(self) -> bool:
        """Whether no more stages will be assigned. Until then a running stage may add stages or need a retry."""
        return self.exhausted or (self._stopping and not self._bundles)

    def assign(self, worker: str) -> list[Stage]:
        """A bundle of stages for a free worker; empty if no stage can start now."""
        try:
            stages = [] if self._stopping else self._next_bundle()
        except Exception as error:
            self.error, stages = error, []
        if stages:
            self._bundles[worker] = Bundle(deque(stages))
        elif self._open and not self._bundles:
            time.sleep(POLL_SECONDS)  # waiting for another driver; Tune asks again at once
        return stages

    def start(self, worker: str) -> None:
        """The worker has started its first stage."""
        self._listener.on_start(self._bundles[worker].stages[0])

    def handle(self, worker: str, messages: list[Message]) -> None:
        """Process a worker's messages, in order."""
        try:
            for message in messages:
                self._handle(self._bundles[worker], message)
        except Exception as error:
            self.error = self.error or error

    def prune(self, worker: str) -> None:
        """Early stopping has chosen the worker's stage: it counts as stopped when the worker ends."""
        self._pruned.add(worker)

    def worker_ended(self, worker: str, died: bool) -> None:
        """The worker completed its bundle, died, or was stopped (by early stopping, or with the whole sweep)."""
        bundle = self._bundles.pop(worker)
        try:
            if bundle.stages and died:
                self._retry(bundle)
            elif bundle.stages and worker in self._pruned:
                stage = bundle.stages.popleft()
                self._store.delete_checkpoint(stage)
                self._close(
                    Outcome(stage, "stopped", None, bundle.seconds, learning_curve=tuple(bundle.learning_curve))
                )
        except Exception as error:
            self.error = self.error or error

    @property
    def _stopping(self) -> bool:
        return self.store_error is not None or self.error is not None

    def _handle(self, bundle: Bundle, message: Message) -> None:
        bundle.seconds = message.seconds
        match message:
            case StoreFailed():
                self.store_error = message.error
                bundle.stages.clear()
            case StageEnded():
                self._durations.add(bundle.stages[0], bundle.seconds)
                self._advance(bundle, message)
            case EpochsEnded():
                stage = bundle.stages[0]
                if self.work.can_stop_early(stage):
                    bundle.learning_curve += message.epochs
                self._listener.on_epochs(stage, message.epochs)

    def _advance(self, bundle: Bundle, ended: StageEnded) -> None:
        """The bundle's first stage has ended, and the next one started."""
        self._end(bundle.stages.popleft(), ended)
        bundle.seconds = 0.0
        if bundle.stages:
            self._listener.on_start(bundle.stages[0])

    def _retry(self, bundle: Bundle) -> None:
        """Put the stages of a dead worker back at the front; it died in the first one that is not stored."""
        bundle.seconds = 0.0
        while bundle.stages and self._store.has(bundle.stages[0]):
            self._advance(bundle, StageEnded(None, 0.0))
        if not bundle.stages:
            return
        lost = bundle.stages[0]
        self._deaths[lost.key] += 1
        if self._deaths[lost.key] >= ATTEMPTS:
            self._end(bundle.stages.popleft(), StageEnded(f"{DEATH}, {ATTEMPTS} times", 0.0))
        else:
            self._listener.on_lost(lost, DEATH)
        for stage in reversed(bundle.stages):
            self._ready[stage.key] = stage
            self._ready.move_to_end(stage.key, last=False)

    def _next_bundle(self) -> list[Stage]:
        """Stages for about BUNDLE_SECONDS, leaving enough for all workers; prunable stages are assigned one by one."""
        stages: list[Stage] = []
        limit = 1 if self.work.early_stopping else min(BUNDLE_STAGES, len(self._ready) // (2 * self._workers))
        seconds = 0.0
        while not stages or (len(stages) < limit and seconds < BUNDLE_SECONDS):
            stage = self._next_stage()
            if stage is None:
                break
            stages.append(stage)
            seconds += self._durations.expected(stage)
        return stages

    def _next_stage(self) -> Stage | None:
        """The first stage that is ready and not leased by another driver."""
        while (stage := next(filter(self._leases.take, self._ready.values()), None)) is not None:
            del self._ready[stage.key]
            if not self._ended_elsewhere(stage):
                return stage
        return None

    def _ended_elsewhere(self, stage: Stage) -> bool:
        """Close the stage if another driver has stored its result or failure."""
        error = None if (stored := self._store.has(stage)) else self._leases.failure(stage)
        if not stored and error is None:
            return False
        self._close(Outcome(stage, "failed" if error else "done", error, elsewhere=True))
        return True

    def _add_stages(self) -> None:
        while more := self.work.more():
            stored = self._store.keys() if len(more) > FEW else None
            for stage in more:
                if self._store.has(stage) if stored is None else stage.key in stored:
                    self.work.ended(Outcome(stage, "done"))  # stored meanwhile by another sweep
                else:
                    self._add(stage)

    def _add(self, stage: Stage) -> None:
        self._open.add(stage.key)
        if stage.parent is not None and stage.parent.key in self._open:
            self._blocked[stage.parent.key].append(stage)
        else:
            self._unblock(stage)

    def _unblock(self, stage: Stage) -> None:
        """The stage has no parent, or its parent has ended: a failed parent fails the stage."""
        parent = stage.parent.key if stage.parent is not None else ""
        if parent in self._failed:
            error = f"its pre-training {parent[:12]} failed: {self._failed[parent]}"
            self._end(stage, StageEnded(error, 0.0))
        else:
            self._ready[stage.key] = stage

    def _end(self, stage: Stage, ended: StageEnded) -> None:
        note, error = "", ended.error
        if error is not None:
            origin = ended.origin or {"finished": now()}
            try:
                note = self._store.record_failure(stage, error, origin, ended.certain)
            except StoreError as unwritten:
                self.store_error = str(unwritten)
        self._close(Outcome(stage, "failed" if error else "done", error, ended.seconds, note=note))

    def _close(self, outcome: Outcome) -> None:
        key = outcome.stage.key
        self._open.discard(key)
        if outcome.error is not None:
            self._failed[key] = outcome.error.splitlines()[0]
        self._leases.release(outcome.stage)
        self.outcomes.append(outcome)
        self._listener.on_done(outcome)
        self.work.ended(outcome)
        for child in self._blocked.pop(key, []):
            self._unblock(child)
        self._add_stages()
