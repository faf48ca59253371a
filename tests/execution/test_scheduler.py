"""Which stages workers get, played through without any: by hand, and with workers that do as hypothesis pleases."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.design.early_stopping import SuccessiveHalving
from study.design.stages import Stage
from study.execution.scheduler import ATTEMPTS, BUNDLE_STAGES, Ending, Queue
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


def done(seconds: float = 0.01) -> Ending:
    return {"ended": True, "error": None, "seconds": seconds, "unwritten": False}


def failed(error: str) -> Ending:
    return {"ended": True, "error": error, "seconds": 0.01, "unwritten": False}


class Log(Listener):
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def on_start(self, stage: Stage) -> None:
        self.events.append(("start", stage.key))

    def on_lost(self, stage: Stage, reason: str) -> None:
        self.events.append(("lost", stage.key))

    def on_done(self, outcome: Outcome) -> None:
        self.events.append((outcome.status, outcome.stage.key))


class Desk:
    """A queue with a store, a listener, and the leases of one driver."""

    def __init__(self, folder: Path, work: StageSource | list[Stage], at_once: int = 1) -> None:
        self.store, self.log = Store(folder / "store"), Log()
        self.leases = Leases(self.store).__enter__()
        work = work if isinstance(work, StageSource) else StageSource(work)
        self.queue = Queue(work, self.store, self.leases, self.log, at_once)

    def take(self, worker: str) -> list[Stage]:
        stages = self.queue.take(worker)
        if stages:
            self.queue.begin(worker)
        return stages

    def save(self, stage: Stage) -> None:
        self.store.save(stage, RESULT, b"", {})

    def run(self, worker: str, seconds: float) -> list[Stage]:
        """A worker takes stages and does them well, in so many seconds each."""
        stages = self.take(worker)
        for stage in stages:
            self.save(stage)
        if stages:
            self.queue.hear(worker, [done(seconds) for _ in stages])
            self.queue.leave(worker, died=False)
        return stages

    def status(self) -> dict[str, str]:
        return {outcome.stage.key: outcome.status for outcome in self.queue.outcomes}


@pytest.fixture
def desks(tmp_path: Path, request: pytest.FixtureRequest) -> "type[Desk]":
    class Here(Desk):
        def __init__(self, work: StageSource | list[Stage], at_once: int = 1) -> None:
            super().__init__(tmp_path, work, at_once)
            request.addfinalizer(lambda: self.leases.__exit__(None, None, None))

    return Here


def test_what_is_not_known_to_be_short_comes_alone(desks: type[Desk]) -> None:
    desk = desks(FREE)
    assert desk.run("a", seconds=2.0) == FREE[:1]
    assert desk.run("b", seconds=2.0) == FREE[1:2]


def test_short_stages_come_in_bundles_of_about_a_second(desks: type[Desk]) -> None:
    """They take 0.3 s each, so four make a second; two workers leave as much for each other, and again: of 19 that are
    left, 19 // 4 = 4 at the most, of 15 then 3."""
    desk = desks(FREE, at_once=2)
    desk.run("a", seconds=0.3)
    assert desk.run("b", seconds=0.3) == FREE[1:5]
    assert desk.run("c", seconds=0.3) == FREE[5:8]


def test_the_last_stages_are_spread_over_the_workers(desks: type[Desk]) -> None:
    desk = desks(FREE[:7], at_once=2)
    desk.run("a", seconds=0.001)
    assert [len(desk.take(worker)) for worker in "bcdefg"] == [1] * 6


def test_a_bundle_is_never_endless(desks: type[Desk]) -> None:
    many = [Stage(StageSettings(Encoder(), Finetune(dataset="digits")), seed) for seed in range(1000)]
    desk = desks(many)
    desk.run("a", seconds=0.0)
    assert len(desk.take("b")) == BUNDLE_STAGES


class CanStopEarly(StageSource):
    early_stopping = SuccessiveHalving(1, 4)  # type: ignore[assignment]

    def can_stop_early(self, stage: Stage) -> bool:
        return True


def test_stages_that_may_be_stopped_come_alone(desks: type[Desk]) -> None:
    desk = desks(CanStopEarly(FREE))
    desk.run("a", seconds=0.001)
    (stage,) = desk.take("b")
    desk.queue.hear("b", [{"epochs": [{"epoch": 1.0, "val_accuracy": 0.3}], "seconds": 1.5}])
    desk.queue.fall_behind("b")
    desk.queue.leave("b", died=False)
    last = desk.queue.outcomes[-1]
    assert (last.stage, last.status, last.seconds, last.epochs) == (stage, "stopped", 1.5, 1)


def test_of_a_bundle_that_is_lost_only_the_stage_at_work_is_to_blame(desks: type[Desk]) -> None:
    """Of four, the first was reported, the second stored and not reported, the third at work."""
    desk = desks(FREE[:9])
    desk.run("a", seconds=0.3)
    first, second, third, fourth = desk.take("b")
    for stage in (first, second):
        desk.save(stage)
    desk.queue.hear("b", [done()])
    desk.log.events.clear()
    desk.queue.leave("b", died=True)
    assert desk.log.events == [("done", second.key), ("start", third.key), ("lost", third.key)]
    assert desk.take("c")[:2] == [third, fourth]  # they go first


def test_a_failure_in_a_bundle_is_its_own(desks: type[Desk]) -> None:
    desk = desks(FREE[:9])
    desk.run("a", seconds=0.3)
    first, second, *_ = desk.take("b")
    desk.queue.hear("b", [failed("ValueError: no\ntrace"), done()])
    assert desk.status()[first.key] == "failed"
    assert desk.store.failure(first) == "ValueError: no\ntrace"
    assert desk.status()[second.key] == "done"


def test_a_result_that_the_store_did_not_take_stops_everything(desks: type[Desk]) -> None:
    desk = desks(FREE)
    desk.take("a")
    desk.queue.hear("a", [{"ended": True, "error": "disk full", "seconds": 0.1, "unwritten": True}])
    desk.queue.leave("a", died=False)
    assert desk.queue.broken == "disk full"
    assert desk.queue.outcomes == []
    assert desk.take("b") == []
    assert desk.queue.over


def test_a_store_that_cannot_be_read_stops_everything(desks: type[Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = desks(FREE)

    def broken(stage: Stage) -> bool:
        raise StoreError("gone")

    monkeypatch.setattr(desk.store, "has", broken)
    assert desk.take("a") == []
    assert isinstance(desk.queue.error, StoreError)
    assert desk.queue.over


def test_children_of_what_another_driver_has_failed_fail_with_it(tmp_path: Path, desks: type[Desk]) -> None:
    desk = desks([PARENTS[0], CHILDREN[0], FREE[0]])
    desk.store.record_failure(PARENTS[0], "told by the other")
    assert desk.take("a") == [FREE[0]]
    assert desk.status() == {PARENTS[0].key: "failed", CHILDREN[0].key: "failed"}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), at_once=st.integers(1, 4))
def test_whatever_workers_do_every_stage_ends_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, at_once: int
) -> None:
    """Workers finish, fail, die with and without having stored what they were at; parents end before children start."""
    desk = Desk(tmp_path_factory.mktemp("desk"), [*PARENTS, *CHILDREN, *FREE], at_once)
    try:
        bundles = _play(desk, data, at_once)
    finally:
        desk.leases.__exit__(None, None, None)
    assert desk.queue.error is None
    assert bundles == {}
    ended = [outcome.stage.key for outcome in desk.queue.outcomes]
    assert sorted(ended) == sorted(stage.key for stage in [*PARENTS, *CHILDREN, *FREE])
    status, lost = desk.status(), Counter(key for what, key in desk.log.events if what == "lost")
    assert all(number < ATTEMPTS for number in lost.values())
    for child in CHILDREN:
        assert child.parent is not None
        if status[child.parent.key] == "failed":
            assert status[child.key] == "failed"
            assert ("start", child.key) not in desk.log.events
        else:
            started = desk.log.events.index(("start", child.key))
            assert desk.log.events.index(("done", child.parent.key)) < started


def _play(desk: Desk, data: st.DataObject, at_once: int) -> dict[str, list[Stage]]:
    """Until the queue is over; what workers were left with."""
    bundles: dict[str, list[Stage]] = {}
    number = 0
    while not desk.queue.over:
        while len(bundles) < at_once and (stages := desk.take(f"worker {number}")):
            busy = {stage.key for bundle in bundles.values() for stage in bundle}
            assert not busy & {stage.key for stage in stages}
            bundles[f"worker {number}"] = stages
            number += 1
        worker = data.draw(st.sampled_from(sorted(bundles)))
        _act(desk, data.draw(st.sampled_from(["done", "done", "done", "fail", "die", "die late"])), worker, bundles)
    return bundles


def _act(desk: Desk, act: str, worker: str, bundles: dict[str, list[Stage]]) -> None:
    if act in ("done", "die late"):
        desk.save(bundles[worker][0])
    if act == "done":
        desk.queue.hear(worker, [done()])
    if act == "fail":
        desk.queue.hear(worker, [failed("no")])
    if act in ("done", "fail"):
        bundles[worker].pop(0)
    if not bundles[worker] or act.startswith("die"):
        del bundles[worker]
        desk.queue.leave(worker, died=act.startswith("die"))
