"""Which stages a free worker gets next, and what follows from how they ended. Knows nothing of Ray."""

import time
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from statistics import median
from typing import TypedDict

from study.design.stages import Stage
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.leases import Leases
from study.store.results import Store, StoreError

FEW = 10  # stages that are looked up one by one; more with one listing
PAUSE = 0.5  # seconds between questions while nothing runs here
ATTEMPTS = 3  # a stage's workers that may die, by kill, lack of memory or loss of their machine, before it has failed
DEATH = "its worker process died (killed, out of memory, or its machine was lost)"
BUNDLE_SECONDS = 1.0  # of work in a bundle: handing one out costs some hundredths
BUNDLE_STAGES = 100
LATEST = 9  # stages of a kind that tell how long the next one will take


class Ending(TypedDict, total=False):
    """What a worker says of the stage that it is at: epochs that have ended, or that the stage has."""

    epochs: list[dict[str, float]]
    ended: bool
    error: str | None
    seconds: float  # since the stage was begun
    unwritten: bool  # the store did not take the result: no stage has failed, none can be kept


@dataclass
class Bundle:
    """Stages that one worker runs one after the other; short ones share what it costs to hand one out."""

    stages: deque[Stage]  # those that have not ended, as far as is known; the worker is at the first
    seconds: float = 0.0  # that it has been at it
    learning_curve: list[dict[str, float]] = field(default_factory=list)  # if the stage can stop early


class Pace:
    """How long stages take here, by the latest ones."""

    def __init__(self) -> None:
        self._latest: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=LATEST))

    def note(self, stage: Stage, seconds: float) -> None:
        self._latest[stage.kind].append(seconds)

    def expected(self, stage: Stage) -> float:
        """Seconds; infinite where no stage of the kind has ended yet."""
        known = self._latest[stage.kind]
        return median(known) if known else float("inf")


class Queue:
    """Hands out stages in order of dependency. Workers are named by whoever asks for them."""

    def __init__(self, work: StageSource, store: Store, leases: Leases, listener: Listener, at_once: int = 1) -> None:
        self.outcomes: list[Outcome] = []
        self.broken: str | None = None  # why the store cannot be written; then nothing more is handed out
        self.error: Exception | None = None  # what went wrong here; likewise
        self.work, self._store, self._leases, self._listener = work, store, leases, listener
        self._at_once = at_once  # workers
        self._ready: OrderedDict[str, Stage] = OrderedDict()
        self._blocked: dict[str, list[Stage]] = defaultdict(list)  # by the key of the parent that they wait for
        self._bundles: dict[str, Bundle] = {}  # by worker
        self._open: set[str] = set()  # neither done nor failed
        self._failed: dict[str, str] = {}
        self._deaths: Counter[str] = Counter()  # of a stage's workers
        self._stopped: set[str] = set()  # workers whose stage fell behind
        self._pace = Pace()
        self._take_more()

    @property
    def exhausted(self) -> bool:
        """Whether every stage has ended."""
        return not self._open

    @property
    def over(self) -> bool:
        """Whether nothing will be handed out any more; what runs may want more, or have to be run again."""
        return self.exhausted or (self._stopping and not self._bundles)

    def take(self, worker: str) -> list[Stage]:
        """Stages for a free worker; none where none can be started here and now."""
        try:
            stages = [] if self._stopping else self._bundle()
        except Exception as problem:
            self.error, stages = problem, []
        if stages:
            self._bundles[worker] = Bundle(deque(stages))
        elif self._open and not self._bundles:
            time.sleep(PAUSE)  # another driver is awaited, and the next question would come at once
        return stages

    def begin(self, worker: str) -> None:
        """The worker is at its first stage."""
        self._listener.on_start(self._bundles[worker].stages[0])

    def hear(self, worker: str, said: list[Ending]) -> None:
        """What a worker has reported, in order."""
        try:
            for ending in said:
                self._hear(self._bundles[worker], ending)
        except Exception as problem:  # Ray would take it for the stage's, and ask again
            self.error = self.error or problem

    def fall_behind(self, worker: str) -> None:
        """The worker's stage is not worth going on with; it will leave."""
        self._stopped.add(worker)

    def leave(self, worker: str, died: bool) -> None:
        """The worker has ended: it is through, or it died, or is stopped with its stage or with the whole sweep."""
        bundle = self._bundles.pop(worker)
        try:
            if bundle.stages and died:
                self._lose(bundle)
            elif bundle.stages and worker in self._stopped:
                stage = bundle.stages.popleft()
                self._store.delete_checkpoint(stage)
                self._close(
                    Outcome(stage, "stopped", None, bundle.seconds, learning_curve=tuple(bundle.learning_curve))
                )
        except Exception as problem:
            self.error = self.error or problem

    @property
    def _stopping(self) -> bool:
        return self.broken is not None or self.error is not None

    def _hear(self, bundle: Bundle, said: Ending) -> None:
        bundle.seconds = said["seconds"]
        if said.get("unwritten"):
            self.broken = said["error"]
            bundle.stages.clear()
        elif said.get("ended"):
            self._pace.note(bundle.stages[0], bundle.seconds)
            self._advance(bundle, said["error"])
        else:
            stage, rows = bundle.stages[0], said["epochs"]
            if self.work.can_stop_early(stage):
                bundle.learning_curve += rows
            self._listener.on_epochs(stage, rows)

    def _advance(self, bundle: Bundle, error: str | None) -> None:
        """The bundle's first stage has ended, and its next one begun."""
        self._end(bundle.stages.popleft(), error, bundle.seconds)
        bundle.seconds = 0.0
        if bundle.stages:
            self._listener.on_start(bundle.stages[0])

    def _lose(self, bundle: Bundle) -> None:
        """A worker has died: at the first stage that it had not stored."""
        bundle.seconds = 0.0
        while bundle.stages and self._store.has(bundle.stages[0]):
            self._advance(bundle, None)
        if not bundle.stages:
            return
        victim = bundle.stages[0]
        self._deaths[victim.key] += 1
        if self._deaths[victim.key] >= ATTEMPTS:
            self._end(bundle.stages.popleft(), f"{DEATH}, {ATTEMPTS} times", 0.0)
        else:
            self._listener.on_lost(victim, DEATH)
        for stage in reversed(bundle.stages):
            self._ready[stage.key] = stage
            self._ready.move_to_end(stage.key, last=False)

    def _bundle(self) -> list[Stage]:
        """As many as take about a second together, while there is enough for all workers; those that may be stopped
        early come one by one."""
        stages: list[Stage] = []
        most = 1 if self.work.early_stopping else min(BUNDLE_STAGES, len(self._ready) // (2 * self._at_once))
        seconds = 0.0
        while not stages or (len(stages) < most and seconds < BUNDLE_SECONDS):
            stage = self._next()
            if stage is None:
                break
            stages.append(stage)
            seconds += self._pace.expected(stage)
        return stages

    def _next(self) -> Stage | None:
        """The first stage that can be started here and now."""
        while (stage := next(filter(self._leases.take, self._ready.values()), None)) is not None:
            del self._ready[stage.key]
            if not self._ended_elsewhere(stage):
                return stage
        return None

    def _ended_elsewhere(self, stage: Stage) -> bool:
        error = None if (stored := self._store.has(stage)) else self._leases.failure(stage)
        if not stored and error is None:
            return False
        self._close(Outcome(stage, "failed" if error else "done", error, elsewhere=True))
        return True

    def _take_more(self) -> None:
        while more := self.work.more():
            stored = self._store.keys() if len(more) > FEW else None
            for stage in more:
                if self._store.has(stage) if stored is None else stage.key in stored:
                    self.work.ended(Outcome(stage, "done"))  # by now: another sweep may share the store
                else:
                    self._add(stage)

    def _add(self, stage: Stage) -> None:
        self._open.add(stage.key)
        if stage.parent is not None and stage.parent.key in self._open:
            self._blocked[stage.parent.key].append(stage)
        else:
            self._go_on(stage)

    def _go_on(self, stage: Stage) -> None:
        """The stage's parent has ended, or it has none."""
        parent = stage.parent.key if stage.parent is not None else ""
        if parent in self._failed:
            self._end(stage, f"its pre-training {parent[:12]} failed: {self._failed[parent]}", 0.0)
        else:
            self._ready[stage.key] = stage

    def _end(self, stage: Stage, error: str | None, seconds: float) -> None:
        note = ""
        if error is not None:
            try:
                note = self._store.record_failure(stage, error)
            except StoreError as unwritten:
                self.broken = str(unwritten)
        self._close(Outcome(stage, "failed" if error else "done", error, seconds, note=note))

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
            self._go_on(child)
        self._take_more()
