"""The time left of a sweep, compared with simulated sweeps of known length."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from study.cli.time_left import REFRESH, SIMULATED_STAGES, TimeLeft, makespan
from study.design.stages import Stage
from study.planning.events import Outcome
from study.vit import subject
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings

SMALL, LARGE = Encoder(), Encoder(width=2 * Encoder().width)
Costs = Callable[[Stage], tuple[float, float]]  # seconds of start-up, and of each epoch


def pretrain(seed: int, epochs: int, encoder: Encoder = SMALL) -> Stage:
    return Stage(StageSettings(encoder, Pretrain(dataset="digits", epochs=epochs, warmup_epochs=0)), seed)


def finetune(seed: int, epochs: int, parent: Stage | None = None, encoder: Encoder = SMALL) -> Stage:
    return Stage(StageSettings(encoder, Finetune(dataset="digits", epochs=epochs, warmup_epochs=0)), seed, parent)


def epochs(first: int, last: int) -> list[dict[str, float]]:
    """The report of these epochs."""
    return [{"epoch": float(epoch)} for epoch in range(first, last + 1)]


@dataclass
class Sweep:
    """A simulated sweep: workers take stages in order, children after their parents, and report every epoch."""

    stages: list[Stage]
    workers: int
    costs: Costs
    now: float = 0.0
    estimates: list[tuple[float, float | None]] = field(default_factory=list)  # time and time left, after each event

    def __post_init__(self) -> None:
        self.time_left = TimeLeft(self.stages, self.workers, clock=lambda: self.now)

    def run(self) -> "Sweep":
        keys = {stage.key for stage in self.stages}
        ready = deque(stage for stage in self.stages if stage.parent is None or stage.parent.key not in keys)
        events: list[tuple[float, int, Stage, int]] = []  # time, tie-breaker, stage, epochs done
        ties, free = count(), self.workers
        while ready or events:
            while ready and free:
                free -= 1
                stage = ready.popleft()
                self.time_left.start(stage)
                startup, seconds = self.costs(stage)
                heapq.heappush(events, (self.now + startup + seconds, next(ties), stage, 1))
            self.now, _, stage, epochs = heapq.heappop(events)
            self.time_left.report(stage, [{"epoch": float(epochs)}])
            if epochs < stage.epochs:
                heapq.heappush(events, (self.now + self.costs(stage)[1], next(ties), stage, epochs + 1))
            else:
                free += 1
                self.time_left.end(Outcome(stage, "done"))
                ready.extend(child for child in self.stages if child.parent is stage)
            self.estimates.append((self.now, self.time_left.seconds()))
        return self

    def errors(self) -> Iterator[tuple[float, float, float]]:
        """Time, estimate and truth of every estimate after the first minute."""
        for when, estimate in self.estimates:
            if when >= 60.0:
                assert estimate is not None
                yield when, estimate, self.now - when


def scratch_only() -> list[Stage]:
    return [finetune(seed, 12) for seed in range(20)]


def lengths() -> list[Stage]:
    """Stages of 5 to 60 epochs."""
    return [finetune(seed, epochs) for seed in range(5) for epochs in (5, 60, 20)]


def pretrained() -> list[Stage]:
    """Every fine-tuning has its own pre-training, of four times as many epochs."""
    pairs = [(parent, finetune(parent.seed, 10, parent)) for parent in (pretrain(seed, 40) for seed in range(10))]
    return [stage for pair in pairs for stage in pair]


def shared() -> list[Stage]:
    """Two long pre-trainings, each followed by many fine-tunings, beside others from scratch."""
    parents = [pretrain(seed, 60) for seed in range(2)]
    children = [finetune(seed, 15, parents[seed % 2]) for seed in range(16)]
    return [parents[0], finetune(100, 15), parents[1], *children, *(finetune(seed, 15) for seed in range(101, 105))]


def sizes() -> list[Stage]:
    """Two sizes of models, in turn."""
    return [finetune(seed, 10, encoder=encoder) for seed in range(12) for encoder in (SMALL, LARGE)]


def even(stage: Stage) -> tuple[float, float]:
    return 5.0, 3.0


def by_macs(stage: Stage) -> tuple[float, float]:
    """In proportion to multiply-adds, up to 10%: as measured with grids/quickstart.yaml on a CPU."""
    seconds = (subject.epoch_macs(stage.settings) or 0) / 4e10
    return (5.0, 1.1 * seconds) if stage.kind == "pretrain" else (3.0, seconds)


def by_size(stage: Stage) -> tuple[float, float]:
    return 2.0, 4.0 if stage.settings.encoder == LARGE else 1.6


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize(
    ("stages", "costs"),
    [
        (scratch_only, even),
        (scratch_only, lambda stage: (30.0, 3.0)),  # start-up costs as much as ten epochs
        (lengths, even),
        (pretrained, by_macs),
        (shared, by_macs),
        (sizes, by_size),
    ],
)
def test_the_time_left_is_right_within_a_quarter_from_the_first_minute_on(
    stages: Callable[[], list[Stage]], costs: Costs, workers: int
) -> None:
    """Or within one epoch, near the end of the sweep."""
    sweep = Sweep(stages(), workers, costs).run()
    longest = max(sum(costs(stage)) for stage in sweep.stages)
    errors = list(sweep.errors())
    assert len(errors) > 50
    for when, estimate, truth in errors:
        assert estimate == pytest.approx(truth, rel=0.25, abs=longest), f"after {when:.0f} s"


def test_there_is_an_estimate_after_the_first_epoch() -> None:
    sweep = Sweep([finetune(0, 100)], 1, even)
    assert sweep.time_left.seconds() is None
    sweep.run()
    assert sweep.estimates[0] == (8.0, pytest.approx(99 * 8.0))  # start-up cannot be told apart yet
    assert sweep.estimates[1] == (11.0, pytest.approx(98 * 3.0))


def test_an_estimate_counts_down_between_epochs() -> None:
    now = 0.0
    left = TimeLeft([finetune(0, 10)], 1, clock=lambda: now)
    left.start(finetune(0, 10))
    now = 10.0
    left.report(finetune(0, 10), [{"epoch": 1.0}])
    assert left.seconds() == 90.0
    now = 10.5  # the estimate is reused
    assert left.seconds() == 89.5
    now = 14.0
    assert left.seconds() == 86.0
    now = 30.0  # an epoch that takes longer than expected does not count twice
    assert left.seconds() == 80.0


def test_epochs_restored_from_a_checkpoint_are_not_counted_as_trained() -> None:
    """Epochs 51 to 60 took 10 s, so the other 40 take 40 s."""
    now = 0.0
    stage = finetune(0, 100)
    left = TimeLeft([stage], 1, clock=lambda: now)
    left.start(stage)
    now = 10.0
    left.report(stage, epochs(51, 60))
    assert left.seconds() == 40.0


def test_a_lost_stage_is_started_again_from_the_beginning() -> None:
    now = 0.0
    first, second = finetune(0, 10), finetune(1, 10)
    left = TimeLeft([first, second], 1, clock=lambda: now)
    left.start(first)
    now = 10.0
    left.report(first, epochs(1, 10))
    left.end(Outcome(first, "done"))
    left.start(second)
    now = 15.0
    left.report(second, epochs(1, 5))
    assert left.seconds() == 5.0
    left.lose(second)
    now = 15.0 + REFRESH
    assert left.running == 0
    assert left.seconds() == 10.0


def test_stages_of_other_drivers_need_no_time() -> None:
    now = 0.0
    stages = [finetune(seed, 10) for seed in range(3)]
    left = TimeLeft(stages, 1, clock=lambda: now)
    left.start(stages[0])
    now = 20.0
    left.end(Outcome(stages[0], "done"))
    left.end(Outcome(stages[1], "done", elsewhere=True))
    assert left.seconds() == 20.0


def test_stages_that_are_not_known_yet_take_as_long_as_the_known_ones() -> None:
    now = 0.0
    stages = [finetune(seed, 10) for seed in range(2)]
    left = TimeLeft(stages, 2, total=lambda: 6, clock=lambda: now)
    for stage in stages:
        left.start(stage)
    now = 10.0
    for stage in stages:
        left.end(Outcome(stage, "done"))
    assert left.seconds() == 20.0  # four more on two workers


def test_thousands_of_stages_are_divided_by_the_workers() -> None:
    now = 0.0
    stages = [finetune(seed, 10) for seed in range(SIMULATED_STAGES + 2)]
    left = TimeLeft(stages, 4, clock=lambda: now)
    left.start(stages[0])
    now = 10.0
    left.end(Outcome(stages[0], "done"))
    assert left.seconds() == pytest.approx(10.0 * (SIMULATED_STAGES + 1) / 4)


@pytest.mark.parametrize(
    ("running", "waiting", "workers", "seconds"),
    [
        ({}, [], 2, 0.0),
        ({"a": 3.0, "b": 5.0}, [], 2, 5.0),
        ({"a": 3.0}, [("b", None, 4.0)], 2, 4.0),
        ({"a": 3.0}, [("b", "a", 4.0)], 2, 7.0),  # after its parent
        ({"a": 3.0, "b": 5.0}, [("c", None, 4.0), ("d", "done", 1.0)], 2, 7.0),
        ({}, [("a", None, 1.0), ("b", "a", 1.0), ("c", "b", 1.0)], 8, 3.0),  # a chain cannot be parallelised
        ({}, [("a", None, 1.0)] * 9, 8, 2.0),  # two rounds
    ],
)
def test_makespan(
    running: dict[str, float], waiting: list[tuple[str, str | None, float]], workers: int, seconds: float
) -> None:
    assert makespan(running, waiting, workers) == seconds
