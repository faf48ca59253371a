"""Estimates how long a sweep still takes, from the epochs that have been trained so far."""

import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from study.design.stages import Stage
from study.planning.events import Outcome
from study.vit import subject

SIMULATED_STAGES = 2000  # with more waiting stages, workers are assumed to be busy all the time
REFRESH = 1.0  # seconds for which an estimate is reused: in a sweep of thousands of short stages it costs milliseconds


@dataclass(frozen=True)
class _Cost:
    """Sums over stages: their number, seconds of start-up, epochs, and seconds and multiply-adds of these epochs."""

    stages: int = 0
    startup: float = 0.0
    epochs: int = 0
    seconds: float = 0.0
    macs: float = 0.0

    def __add__(self, other: "_Cost") -> "_Cost":
        return _Cost(
            self.stages + other.stages,
            self.startup + other.startup,
            self.epochs + other.epochs,
            self.seconds + other.seconds,
            self.macs + other.macs,
        )

    @property
    def mean_startup(self) -> float:
        return self.startup / self.stages

    @property
    def per_epoch(self) -> float:
        return self.seconds / self.epochs

    def of(self, stage: Stage) -> float:
        """The expected seconds of a whole stage."""
        return self.mean_startup + stage.epochs * self.per_epoch


@dataclass
class _Running:
    """A stage in a worker. `epochs` includes the `restored` ones of a checkpoint."""

    stage: Stage
    started: float
    restored: int = 0
    epochs: int = 0
    reported: float = 0.0  # time of the latest report
    pace: float | None = None  # seconds per epoch without start-up; known from the second report on
    _first: tuple[int, float] = (0, 0.0)  # epochs and time of the first report

    def report(self, first: int, last: int, now: float) -> None:
        """Epochs `first` to `last` have ended."""
        if not self.epochs:
            self.restored, self._first = first - 1, (last, now)
        elif last > self._first[0]:
            self.pace = (now - self._first[1]) / (last - self._first[0])
        self.epochs, self.reported = last, now

    @property
    def trained(self) -> int:
        return self.epochs - self.restored

    def cost(self) -> _Cost:
        """The cost so far."""
        epochs, reported = self._first
        startup = 0.0
        if self.pace is not None:
            startup = max(0.0, reported - self.started - (epochs - self.restored) * self.pace)
        seconds = self.reported - self.started - startup
        return _Cost(1, startup, self.trained, seconds, self.trained * _epoch_macs(self.stage.settings))

    def remaining(self, expected: _Cost, now: float) -> float:
        """Seconds until the end. An epoch that takes longer than expected counts as one expected epoch."""
        pace = expected.per_epoch if self.pace is None else self.pace
        if self.trained:
            return (self.stage.epochs - self.epochs) * pace - min(now - self.reported, pace)
        return expected.of(self.stage) - min(now - self.started, expected.mean_startup + pace)


class _Costs:
    """The costs of stages by their shape, by their kind, and of all."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Cost] = defaultdict(_Cost)
        self._kinds: dict[str, _Cost] = defaultdict(_Cost)
        self.all = _Cost()

    def copy(self) -> "_Costs":
        copied = _Costs()
        copied._shapes, copied._kinds, copied.all = self._shapes.copy(), self._kinds.copy(), self.all
        return copied

    def add(self, run: _Running) -> None:
        cost = run.cost()
        self._shapes[_shape(run.stage.settings)] += cost
        self._kinds[run.stage.kind] += cost
        self.all += cost

    def expected(self, stage: Stage) -> _Cost:
        """The cost of stages of the same shape, else of the same kind, else of all in proportion to multiply-adds."""
        known = self._shapes.get(_shape(stage.settings)) or self._kinds.get(stage.kind)
        if known:
            return known
        macs = _epoch_macs(stage.settings) * self.all.epochs
        return (
            replace(self.all, seconds=self.all.seconds * macs / self.all.macs) if macs and self.all.macs else self.all
        )


@lru_cache(maxsize=100_000)
def _shape(settings: subject.StageSettings) -> str:
    return settings.shape


@lru_cache(maxsize=100_000)
def _epoch_macs(settings: subject.StageSettings) -> float:
    """Multiply-adds of an epoch; 0 where they are not known."""
    return float(subject.epoch_macs(settings) or 0)


class TimeLeft:
    """Follows a sweep and estimates the time left.

    The costs of start-up and of an epoch are averaged over stages of the same shape, else of the same kind. Until two
    epochs of a kind have ended, its epochs are assumed to take time in proportion to their multiply-adds. The rest
    is then simulated: stages in order on `workers` workers, each after its parent. `total` is the expected number of
    stages, including those that are not known yet.
    """

    def __init__(
        self,
        stages: Iterable[Stage],
        workers: int,
        total: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = {stage.key: stage for stage in stages}
        self._running: dict[str, _Running] = {}
        self._finished = _Costs()
        self._ended = 0
        self._estimate: float | None = None
        self._estimated = 0.0
        known = len(self._waiting)
        self._workers, self._total, self._clock = workers, total or (lambda: known), clock

    @property
    def running(self) -> int:
        """How many stages are running."""
        return len(self._running)

    def start(self, stage: Stage) -> None:
        self._waiting.pop(stage.key, None)
        self._running[stage.key] = _Running(stage, self._clock())

    def report(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        """One or more epochs have ended; each row has its number."""
        self._running[stage.key].report(int(rows[0]["epoch"]), int(rows[-1]["epoch"]), self._clock())

    def lose(self, stage: Stage) -> None:
        """The stage will be restarted."""
        if self._running.pop(stage.key, None):
            self._waiting[stage.key] = stage

    def end(self, outcome: Outcome) -> None:
        stage = outcome.stage
        self._ended += 1
        self._waiting.pop(stage.key, None)
        run = self._running.pop(stage.key, None)
        if run is None:  # computed by another driver, or never started
            return
        if outcome.status == "done":
            run.report(1, stage.epochs, self._clock())
        if outcome.status == "done" or run.pace is not None:
            self._finished.add(run)

    def seconds(self) -> float | None:
        """Seconds until all stages have ended; None before the first epoch has ended."""
        now = self._clock()
        if self._estimate is None or now - self._estimated >= REFRESH:
            self._estimate, self._estimated = self._calculate(now), now
        return None if self._estimate is None else max(0.0, self._estimate - (now - self._estimated))

    def _calculate(self, now: float) -> float | None:
        # copies: the display reads from a thread of its own
        runs, stages, costs = list(self._running.values()), list(self._waiting.values()), self._finished.copy()
        known = [run for run in runs if run.pace is not None]
        if not known and not costs.all.epochs:  # better than none: first epochs, which include start-up
            known = [run for run in runs if run.trained]
        for run in known:
            costs.add(run)
        if not costs.all.epochs:
            return None
        running = {run.stage.key: run.remaining(costs.expected(run.stage), now) for run in runs}
        waiting = [
            (stage.key, stage.parent.key if stage.parent else None, costs.expected(stage).of(stage)) for stage in stages
        ]
        unknown = max(0, self._total() - self._ended - len(running) - len(waiting))
        waiting += [("", None, (costs.all.startup + costs.all.seconds) / costs.all.stages)] * unknown
        workers = max(self._workers, len(running))
        if len(waiting) > SIMULATED_STAGES:
            return (sum(running.values()) + sum(seconds for *_, seconds in waiting)) / workers
        return makespan(running, waiting, workers)


def makespan(running: Mapping[str, float], waiting: list[tuple[str, str | None, float]], workers: int) -> float:
    """Seconds until all stages have ended.

    running: the remaining seconds of each running stage by key. waiting: key, key of the parent, and seconds of the
    other stages, in the order in which they start once their parent has ended.
    """
    unfinished = {*running, *(key for key, _, _ in waiting)}
    ready: deque[tuple[str, float]] = deque()
    blocked: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for key, parent, seconds in waiting:
        (ready if parent is None or parent not in unfinished else blocked[parent]).append((key, seconds))
    busy = [(seconds, key) for key, seconds in running.items()]
    heapq.heapify(busy)
    now = 0.0
    while busy or ready:
        while ready and len(busy) < workers:
            key, seconds = ready.popleft()
            heapq.heappush(busy, (now + seconds, key))
        now, key = heapq.heappop(busy)
        ready.extend(blocked.pop(key, ()))
    return now
