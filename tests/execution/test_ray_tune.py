"""The fan-out, through a real Ray on this machine."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from study import execution
from study.design import study as design
from study.design.resources import Resources
from study.design.stages import Stage, unique_stages
from study.execution import Cluster
from study.execution.run_stage import run_stage
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.results import Store, StoreError


class Log(Listener):
    """Keeps what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.epochs: dict[str, list[float]] = {}

    def on_start(self, stage: Stage) -> None:
        self.events.append(("start", stage.key))

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        self.epochs.setdefault(stage.key, []).extend(row["epoch"] for row in rows)

    def on_done(self, outcome: Outcome) -> None:
        self.events.append((outcome.status, outcome.stage.key))


def stages_of(grid: Path) -> list[Stage]:
    return unique_stages(design.expand(design.load(grid)))


def test_every_stage_runs_once_and_parents_first(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store, log = stages_of(tiny), Store(tmp_path / "store"), Log()
    outcomes, interrupted = execution.fan_out(stages, store, Resources(), cluster, log, "abc")
    assert not interrupted
    assert sorted(outcome.stage.key for outcome in outcomes) == sorted(stage.key for stage in stages)
    assert all(outcome.status == "done" for outcome in outcomes)
    assert len([event for event in log.events if event[0] == "start"]) == len(stages) == 12
    for stage in stages:
        assert log.epochs[stage.key] == list(range(1, stage.epochs + 1))
        if stage.parent is not None:
            assert log.events.index(("done", stage.parent.key)) < log.events.index(("start", stage.key))
        result = store.find(stage)
        assert result is not None
        assert result.provenance["commit"] == "abc"


def test_what_is_stored_is_not_run_again(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store, log = stages_of(tiny)[:2], Store(tmp_path / "store"), Log()
    alone = run_stage(stages[0], store, "cpu", lambda row: None)
    outcomes, _ = execution.fan_out(stages, store, Resources(), cluster, log, "abc")
    assert [outcome.stage for outcome in outcomes] == [stages[1]]
    assert store.find(stages[0]) == alone


def test_a_worker_gives_what_running_here_gives(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """Bit for bit: same seed and thread count, another process."""
    stages = stages_of(tiny)[:2]
    near, far = Store(tmp_path / "near"), Store(tmp_path / "far")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for stage in stages:
            run_stage(stage, near, "cpu", lambda row: None)
    finally:
        torch.set_num_threads(threads)
    execution.fan_out(stages, far, Resources(), cluster, Log(), "abc")
    for stage in stages:
        assert near.weights(stage) == far.weights(stage)


def test_a_failure_stops_only_what_starts_from_it(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny), Store(tmp_path / "store")
    bad = next(stage for stage in stages if stage.kind == "pretrain")
    broken = replace(bad, recipe=bad.recipe.model_copy(update={"learning_rate": 1e30, "clip_norm": 0.0}))
    child = next(stage for stage in stages if stage.parent is not None and stage.parent.key == bad.key)
    orphan = replace(child, parent=broken)
    free = next(stage for stage in stages if stage.kind == "finetune" and stage.parent is None)
    outcomes, interrupted = execution.fan_out([broken, orphan, free], store, Resources(), cluster, Log(), "abc")
    ended = {outcome.stage.key: outcome for outcome in outcomes}
    assert not interrupted
    assert ended[free.key].status == "done"
    assert ended[broken.key].status == ended[orphan.key].status == "failed"
    assert "epoch" in (ended[broken.key].error or "")
    assert f"pre-training {broken.key[:12]} failed" in (ended[orphan.key].error or "")
    assert store.failure(broken) == ended[broken.key].error
    assert store.find(broken) is None


class Elsewhere(Store):
    """A store that workers cannot open, as where a machine lacks the package for it."""

    @property
    def address(self) -> str:
        return "nowhere://bucket/store"


def test_a_store_that_workers_cannot_open_is_said_to_be(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny)[:1], Elsewhere(tmp_path / "store")
    outcomes, _ = execution.fan_out(stages, store, Resources(), cluster, Log(), "abc")
    assert [outcome.status for outcome in outcomes] == ["failed"]
    assert "nowhere" in (outcomes[0].error or "")


class Broken(StageSource):
    """Fails when it hears how a stage has ended."""

    def ended(self, outcome: Outcome) -> None:
        raise ValueError("the cause")


def test_an_error_of_the_driver_is_told_as_it_is(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny)[:2], Store(tmp_path / "store")
    with pytest.raises(ValueError, match="the cause"):
        execution.fan_out(Broken(stages), store, Resources(), cluster, Log(), "abc")
    assert store.has(stages[0])


class Killer(Log):
    """Kills the workers -9 when a victim reports, up to a number of times."""

    def __init__(self, victim: Stage, times: int) -> None:
        super().__init__()
        self.victim, self.left = victim, times
        self.armed = False

    def on_start(self, stage: Stage) -> None:
        super().on_start(stage)
        self.armed = stage == self.victim

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        super().on_epochs(stage, rows)
        if stage == self.victim and self.armed and self.left:
            self.armed, self.left = False, self.left - 1
            for process in workers_of_ray():
                os.kill(process, 9)

    def on_lost(self, stage: Stage, reason: str) -> None:
        self.events.append(("lost", stage.key))


def long(stage: Stage) -> Stage:
    """Long enough to be killed."""
    return replace(stage, recipe=stage.settings.recipe.model_copy(update={"epochs": 200}))


@pytest.mark.system
def test_a_stage_whose_worker_is_killed_runs_again(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages = [stage for stage in stages_of(tiny) if stage.parent is None]
    victim, store = long(stages[0]), Store(tmp_path / "store")
    killer = Killer(victim, 1)
    outcomes, _ = execution.fan_out([victim, stages[1]], store, Resources(cpu=cluster.cpus), cluster, killer, "abc")
    assert sorted(outcome.stage.key for outcome in outcomes) == sorted([victim.key, stages[1].key])
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert [what for what, key in killer.events if key == victim.key] == ["start", "lost", "start", "done"]
    assert store.find(victim) is not None
    assert store.failure(victim) is None


@pytest.mark.system
def test_a_stage_whose_workers_all_die_fails_alone(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """A stage that always needs more memory than there is must not be tried for ever."""
    stages = [stage for stage in stages_of(tiny) if stage.parent is None]
    victim, store = long(stages[0]), Store(tmp_path / "store")
    killer = Killer(victim, 100)
    outcomes, _ = execution.fan_out([victim, stages[1]], store, Resources(cpu=cluster.cpus), cluster, killer, "abc")
    assert {outcome.stage.key: outcome.status for outcome in outcomes} == {victim.key: "failed", stages[1].key: "done"}
    assert killer.left == 100 - execution.ATTEMPTS
    assert "died" in (store.failure(victim) or "")


def workers_of_ray() -> list[int]:
    """Processes that train for this process, whose children Ray's are: other tests may run beside it. Ray names a
    worker by the actor it runs."""
    names = {child.pid: " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)}
    return [number for number, name in names.items() if name.startswith(("ray::ImplicitFunc", "ray::work"))]


def test_a_disk_that_fills_up_stops_the_sweep_with_one_message(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """What was finished before is kept; no stage counts as failed, for none of them has failed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], check=False).returncode:
        pytest.skip("only root may make a small disk")
    try:
        store, log = Store(disk), Log()
        with pytest.raises(StoreError, match=r"cannot be written: No space left on device; .* running again goes on"):
            execution.fan_out(stages_of(tiny), store, Resources(), cluster, log, "abc")
        done = [key for event, key in log.events if event == "done"]
        assert store.keys() >= set(done)
        assert store.list_files("failed") == {}
        assert not list(disk.rglob(".*"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
