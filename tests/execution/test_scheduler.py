"""The scheduler without Ray: by hand, and with workers that hypothesis drives."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.design.early_stopping import SuccessiveHalving
from study.design.stages import Stage
from study.execution.messages import EpochsEnded, StageEnded, StoreFailed, decode, encode
from study.execution.scheduler import ATTEMPTS, BUNDLE_STAGES, Scheduler
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.leases import Leases
from study.store.results import Result, Store, StoreError
from study.vit.settings import Encoder, Finetune, Pretrain
from study.vit.stages import StageSettings

RESULT = Result({"test_accuracy": 0.5}, {}, [], [])
PARENTS = [Stage(StageSettings(Encoder(), Pretrain(dataset="digits")), seed) for seed in range(3)]
CHILDREN = [Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed, PARENTS[seed % 3]) for seed in range(9)]
FREE = [Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed) for seed in range(20)]


def done(seconds: float = 0.01) -> StageEnded:
    return StageEnded(None, seconds)


def failed(error: str) -> StageEnded:
    return StageEnded(error, 0.01)


class Log(Listener):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def on_start(self, stage: Stage) -> None:
        self.events.append(("start", stage.key))

    def on_lost(self, stage: Stage, reason: str) -> None:
        self.events.append(("lost", stage.key))

    def on_done(self, outcome: Outcome) -> None:
        self.events.append((outcome.status, outcome.stage.key))


class Driver:
    """A scheduler with a store, a listener, and the leases of one driver."""

    def __init__(self, folder: Path, work: StageSource | list[Stage], workers: int = 1) -> None:
        self.store, self.log = Store(folder / "store"), Log()
        self.leases = Leases(self.store).__enter__()
        work = work if isinstance(work, StageSource) else StageSource(work)
        self.scheduler = Scheduler(work, self.store, self.leases, self.log, workers)

    def assign(self, worker: str) -> list[Stage]:
        stages = self.scheduler.assign(worker)
        if stages:
            self.scheduler.start(worker)
        return stages

    def save(self, stage: Stage) -> None:
        self.store.save(stage, RESULT, b"", {})

    def run(self, worker: str, seconds: float) -> list[Stage]:
        """A worker completes a bundle; each stage takes `seconds`."""
        stages = self.assign(worker)
        for stage in stages:
            self.save(stage)
        if stages:
            self.scheduler.handle(worker, [done(seconds) for _ in stages])
            self.scheduler.worker_ended(worker, died=False)
        return stages

    def status(self) -> dict[str, str]:
        return {outcome.stage.key: outcome.status for outcome in self.scheduler.outcomes}


@pytest.fixture
def drivers(tmp_path: Path, request: pytest.FixtureRequest) -> "type[Driver]":
    class Here(Driver):
        def __init__(self, work: StageSource | list[Stage], workers: int = 1) -> None:
            super().__init__(tmp_path, work, workers)
            request.addfinalizer(lambda: self.leases.__exit__(None, None, None))

    return Here


def test_stages_of_unknown_duration_are_assigned_alone(drivers: type[Driver]) -> None:
    driver = drivers(FREE)
    assert driver.run("a", seconds=2.0) == FREE[:1]
    assert driver.run("b", seconds=2.0) == FREE[1:2]


def test_short_stages_are_bundled_to_about_a_second(drivers: type[Driver]) -> None:
    """Each takes 0.3 s, so four take about a second. Two workers get a quarter of the remaining stages at most:
    19 // 4 = 4, then 15 // 4 = 3."""
    driver = drivers(FREE, workers=2)
    driver.run("a", seconds=0.3)
    assert driver.run("b", seconds=0.3) == FREE[1:5]
    assert driver.run("c", seconds=0.3) == FREE[5:8]


def test_the_last_stages_are_spread_over_the_workers(drivers: type[Driver]) -> None:
    driver = drivers(FREE[:7], workers=2)
    driver.run("a", seconds=0.001)
    assert [len(driver.assign(worker)) for worker in "bcdefg"] == [1] * 6


def test_a_bundle_has_a_maximum_size(drivers: type[Driver]) -> None:
    many = [Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed) for seed in range(1000)]
    driver = drivers(many)
    driver.run("a", seconds=0.0)
    assert len(driver.assign("b")) == BUNDLE_STAGES


class CanStopEarly(StageSource):
    early_stopping = SuccessiveHalving(1, 4)  # type: ignore[assignment]

    def can_stop_early(self, stage: Stage) -> bool:
        return True


def test_prunable_stages_are_assigned_alone(drivers: type[Driver]) -> None:
    driver = drivers(CanStopEarly(FREE))
    driver.run("a", seconds=0.001)
    (stage,) = driver.assign("b")
    driver.scheduler.handle("b", [EpochsEnded([{"epoch": 1.0, "val_accuracy": 0.3}], 1.5)])
    driver.scheduler.prune("b")
    driver.scheduler.worker_ended("b", died=False)
    last = driver.scheduler.outcomes[-1]
    assert (last.stage, last.status, last.seconds, last.epochs) == (stage, "stopped", 1.5, 1)


def test_only_the_running_stage_of_a_dead_worker_counts_as_lost(drivers: type[Driver]) -> None:
    """Of four stages, the first was reported, the second stored but not reported, the third was running."""
    driver = drivers(FREE[:9])
    driver.run("a", seconds=0.3)
    first, second, third, fourth = driver.assign("b")
    for stage in (first, second):
        driver.save(stage)
    driver.scheduler.handle("b", [done()])
    driver.log.events.clear()
    driver.scheduler.worker_ended("b", died=True)
    assert driver.log.events == [("done", second.key), ("start", third.key), ("lost", third.key)]
    assert driver.assign("c")[:2] == [third, fourth]  # retried first


def test_a_failure_does_not_affect_the_rest_of_its_bundle(drivers: type[Driver]) -> None:
    driver = drivers(FREE[:9])
    driver.run("a", seconds=0.3)
    first, second, *_ = driver.assign("b")
    driver.scheduler.handle("b", [failed("ValueError: no\ntrace"), done()])
    assert driver.status()[first.key] == "failed"
    assert driver.store.failure(first) == "ValueError: no\ntrace"
    assert driver.status()[second.key] == "done"


def test_a_store_that_cannot_be_written_stops_the_sweep(drivers: type[Driver]) -> None:
    driver = drivers(FREE)
    driver.assign("a")
    driver.scheduler.handle("a", [StoreFailed("disk full", 0.1)])
    driver.scheduler.worker_ended("a", died=False)
    assert driver.scheduler.store_error == "disk full"
    assert driver.scheduler.outcomes == []
    assert driver.assign("b") == []
    assert driver.scheduler.finished


def test_a_store_that_cannot_be_read_stops_the_sweep(drivers: type[Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    driver = drivers(FREE)

    def broken(stage: Stage) -> bool:
        raise StoreError("not readable")

    monkeypatch.setattr(driver.store, "has", broken)
    assert driver.assign("a") == []
    assert isinstance(driver.scheduler.error, StoreError)
    assert driver.scheduler.finished


def test_children_of_a_stage_that_failed_in_another_driver_fail(tmp_path: Path, drivers: type[Driver]) -> None:
    driver = drivers([PARENTS[0], CHILDREN[0], FREE[0]])
    driver.store.record_failure(PARENTS[0], "failed elsewhere")
    assert driver.assign("a") == [FREE[0]]
    assert driver.status() == {PARENTS[0].key: "failed", CHILDREN[0].key: "failed"}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), workers=st.integers(1, 4))
def test_every_stage_ends_once_for_any_behaviour_of_the_workers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, workers: int
) -> None:
    """Workers finish, fail, or die before or after storing a result; parents end before children start."""
    driver = Driver(tmp_path_factory.mktemp("driver"), [*PARENTS, *CHILDREN, *FREE], workers)
    try:
        bundles = _play(driver, data, workers)
    finally:
        driver.leases.__exit__(None, None, None)
    assert driver.scheduler.error is None
    assert bundles == {}
    ended = [outcome.stage.key for outcome in driver.scheduler.outcomes]
    assert sorted(ended) == sorted(stage.key for stage in [*PARENTS, *CHILDREN, *FREE])
    status, lost = driver.status(), Counter(key for what, key in driver.log.events if what == "lost")
    assert all(number < ATTEMPTS for number in lost.values())
    for child in CHILDREN:
        assert child.parent is not None
        if status[child.parent.key] == "failed":
            assert status[child.key] == "failed"
            assert ("start", child.key) not in driver.log.events
        else:
            started = driver.log.events.index(("start", child.key))
            assert driver.log.events.index(("done", child.parent.key)) < started


def _play(driver: Driver, data: st.DataObject, workers: int) -> dict[str, list[Stage]]:
    """Run until the scheduler has finished; returns the bundles that workers still hold."""
    bundles: dict[str, list[Stage]] = {}
    number = 0
    while not driver.scheduler.finished:
        while len(bundles) < workers and (stages := driver.assign(f"worker {number}")):
            busy = {stage.key for bundle in bundles.values() for stage in bundle}
            assert not busy & {stage.key for stage in stages}
            bundles[f"worker {number}"] = stages
            number += 1
        worker = data.draw(st.sampled_from(sorted(bundles)))
        _act(driver, data.draw(st.sampled_from(["done", "done", "done", "fail", "die", "die late"])), worker, bundles)
    return bundles


def _act(driver: Driver, act: str, worker: str, bundles: dict[str, list[Stage]]) -> None:
    if act in ("done", "die late"):
        driver.save(bundles[worker][0])
    if act == "done":
        driver.scheduler.handle(worker, [done()])
    if act == "fail":
        driver.scheduler.handle(worker, [failed("no")])
    if act in ("done", "fail"):
        bundles[worker].pop(0)
    if not bundles[worker] or act.startswith("die"):
        del bundles[worker]
        driver.scheduler.worker_ended(worker, died=act.startswith("die"))


def test_messages_survive_encoding() -> None:
    messages = [
        EpochsEnded([{"epoch": 1.0, "loss": 0.25}], 1.5),
        done(2.0),
        failed("no"),
        StoreFailed("disk full", 0.1),
    ]
    assert decode(encode(messages)) == messages
