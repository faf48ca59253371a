"""Running stages with Ray on this machine."""

import contextlib
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from helpers.distinct_stages import unique_stages

from study import execution
from study.design.resources import Resources
from study.design.stages import Stage
from study.design.study import expand, load
from study.execution import Cluster
from study.execution.run_stage import run_stage
from study.planning.events import Listener, Outcome
from study.planning.stage_source import StageSource
from study.store.results import Store, StoreError


class Log(Listener):
    """Records all events, in order."""

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
    return unique_stages(expand(load(grid)))


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


def test_stored_stages_are_not_run_again(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store, log = stages_of(tiny)[:2], Store(tmp_path / "store"), Log()
    alone = run_stage(stages[0], store, "cpu", lambda row: None)
    outcomes, _ = execution.fan_out(stages, store, Resources(), cluster, log, "abc")
    assert [outcome.stage for outcome in outcomes] == [stages[1]]
    assert store.find(stages[0]) == alone


def test_a_worker_computes_the_same_as_this_process(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """Bit for bit: same seed and thread count, different process."""
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


def test_a_failure_stops_only_its_children(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny), Store(tmp_path / "store")
    pretraining = next(stage for stage in stages if stage.kind == "pretrain")
    broken = with_changes(pretraining, learning_rate=1e30, clip_norm=0.0)
    child = next(stage for stage in stages if stage.parent is not None and stage.parent.key == pretraining.key)
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
    diverged, waiting = store.last_failure(broken), store.last_failure(orphan)
    assert diverged is not None
    assert waiting is not None
    result = store.find(free)
    assert result is not None
    same = ("commit", "code", "data", "host", "device", "gpu", "instruction_set", "blas", "threads", "versions")
    assert {name: diverged.provenance[name] for name in same} == {name: result.provenance[name] for name in same}
    assert diverged.provenance["started"] <= diverged.provenance["finished"]
    assert (diverged.certain, waiting.certain) == (True, False)
    assert list(waiting.provenance) == ["finished"]  # it never ran


class Elsewhere(Store):
    """A store that workers cannot open, for example because a package is missing on their machine."""

    @property
    def address(self) -> str:
        return "nowhere://bucket/store"


def test_a_store_that_workers_cannot_open_fails_the_stage(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny)[:1], Elsewhere(tmp_path / "store")
    outcomes, _ = execution.fan_out(stages, store, Resources(), cluster, Log(), "abc")
    assert [outcome.status for outcome in outcomes] == ["failed"]
    assert "nowhere" in (outcomes[0].error or "")


class Broken(StageSource):
    """Fails when a stage ends."""

    def ended(self, outcome: Outcome) -> None:
        raise ValueError("the cause")


def test_an_exception_in_the_driver_is_raised_unchanged(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = stages_of(tiny)[:2], Store(tmp_path / "store")
    with pytest.raises(ValueError, match="the cause"):
        execution.fan_out(Broken(stages), store, Resources(), cluster, Log(), "abc")
    assert store.has(stages[0])


class Killer(Log):
    """Kills the workers (SIGKILL) as soon as the victim has written its next checkpoint, `times` times."""

    def __init__(self, victim: Stage, store: Store, times: int) -> None:
        super().__init__()
        self.victim, self.times = victim, times
        self._checkpoint = store.root / "unfinished" / victim.key

    def on_start(self, stage: Stage) -> None:
        super().on_start(stage)
        if stage == self.victim and self.times:
            self.times -= 1
            threading.Thread(target=self._kill, args=(self._written(),), daemon=True).start()

    def _kill(self, before: int) -> None:
        while self._written() in (0, before):
            time.sleep(0.001)
        for process in workers_of_ray():
            process.kill()

    def on_lost(self, stage: Stage, reason: str) -> None:
        self.events.append(("lost", stage.key))

    def _written(self) -> int:
        return self._checkpoint.stat().st_mtime_ns if self._checkpoint.exists() else 0


def with_changes(stage: Stage, **changes: float) -> Stage:
    recipe = stage.settings.recipe.model_copy(update=changes)
    return replace(stage, settings=replace(stage.settings, recipe=recipe))


@pytest.mark.system
def test_a_stage_whose_worker_is_killed_is_resumed(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    stages, store = [stage for stage in stages_of(tiny) if stage.parent is None], Store(tmp_path / "store")
    victim, other = with_changes(stages[0], epochs=100), stages[1]
    killer, resources = Killer(victim, store, 1), Resources(cpu=cluster.cpus, checkpoint_seconds=0)
    outcomes, _ = execution.fan_out([victim, other], store, resources, cluster, killer, "abc")
    assert sorted(outcome.stage.key for outcome in outcomes) == sorted([victim.key, other.key])
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert [what for what, key in killer.events if key == victim.key] == ["start", "lost", "start", "done"]
    result = store.find(victim)
    assert result is not None
    assert len(result.provenance["parts"]) == 1
    assert store.failure(victim) is None


@pytest.mark.system
def test_a_stage_whose_workers_all_die_fails(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """A stage that always runs out of memory must not be retried forever."""
    stages, store = [stage for stage in stages_of(tiny) if stage.parent is None], Store(tmp_path / "store")
    victim, other = with_changes(stages[0], epochs=100_000), stages[1]
    killer, resources = Killer(victim, store, 100), Resources(cpu=cluster.cpus, checkpoint_seconds=0)
    outcomes, _ = execution.fan_out([victim, other], store, resources, cluster, killer, "abc")
    assert {outcome.stage.key: outcome.status for outcome in outcomes} == {victim.key: "failed", other.key: "done"}
    assert killer.times == 100 - execution.ATTEMPTS
    assert "died" in (store.failure(victim) or "")


def workers_of_ray() -> list[psutil.Process]:
    """Training processes below this process: other tests may use Ray at the same time.

    Ray names a worker process after its actor.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
            if " ".join(process.cmdline()).startswith("ray::ImplicitFunc"):
                found.append(process)
    return found


def test_a_full_disk_stops_the_sweep_with_one_message(tiny: Path, tmp_path: Path, cluster: Cluster) -> None:
    """Finished stages are kept, and no stage counts as failed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        store, log = Store(disk), Log()
        with pytest.raises(StoreError, match=r"cannot be written: No space left on device; .* again to resume"):
            execution.fan_out(stages_of(tiny), store, Resources(), cluster, log, "abc")
        done = [key for event, key in log.events if event == "done"]
        assert store.keys() >= set(done)
        assert store.list_files("failed") == {}
        assert not list(disk.rglob(".*"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
