"""Leases: one driver holds a stage, live drivers keep their leases, and leases of dead drivers are taken over."""

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.paths import ROOT, TESTS
from helpers.storage_clock import tick
from helpers.store_samples import RESULT, STAGE

from study.store import leases as module
from study.store.heartbeats import DRIVERS, Heartbeat, machine, mirrors
from study.store.leases import STAGES, Leases
from study.store.results import Store
from study.utils.process import current_process

OTHER = replace(STAGE, seed=2)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "POLL", {True: 0.0, False: 0.0})
    if request.param == "folder":
        return Store(tmp_path / "store")
    return Store(f"{request.getfixturevalue('bucket')}/store")


def test_one_driver_at_a_time_holds_a_stage(store: Store) -> None:
    with Leases(store) as one, Leases(store) as two:
        assert one.take(STAGE)
        assert one.take(STAGE)
        assert not two.take(STAGE)
        assert two.take(OTHER)
        assert two.keys() == {STAGE.key, OTHER.key}
        one.release(STAGE)
        assert two.take(STAGE)
        assert not one.take(STAGE)
        one.release(STAGE)  # held by the other driver: no effect
        assert not one.take(STAGE)


def test_leaving_releases_all_leases(store: Store) -> None:
    with Leases(store) as two:
        with Leases(store) as one:
            assert one.take(STAGE)
        assert two.take(STAGE)
    assert store.list_files(STAGES) == store.list_files(DRIVERS) == {}


def test_leases_of_others_are_polled_at_intervals(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", {True: 60.0, False: 60.0})
    with Leases(store) as one, Leases(store) as two:
        one.take(STAGE)
        assert not two.take(STAGE)
        monkeypatch.setattr(Store, "create", None)  # a second check would fail
        assert not two.take(STAGE)


def other_driver(store: Store, name: str, **record: object) -> None:
    """Write the heartbeat of another driver, by default on another machine, and its lease on STAGE."""
    store.write(f"{DRIVERS}/{name}", json.dumps({"machine": "elsewhere", "owner": "host:1:1"} | record).encode())
    store.write(f"{STAGES}/{STAGE.key}.1", name.encode())


def test_an_expired_heartbeat_releases_the_stage(store: Store) -> None:
    """Age is measured against one's own heartbeat, by the store's clock."""
    other_driver(store, "silent")
    with Leases(store, heartbeat=0.2, expiry=2.5) as mine:
        assert not mine.take(STAGE)
        deadline = time.monotonic() + 20.0
        while not mine.take(STAGE):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert store.read(f"{STAGES}/{STAGE.key}.2") is not None
    assert store.list_files(STAGES) == {}


def test_a_heartbeat_from_the_future_counts_as_dead(tmp_path: Path) -> None:
    """As after a copy of the store from a machine with a wrong clock: its modification time never expires."""
    store = Store(tmp_path / "store")
    other_driver(store, "early")
    in_a_year = time.time() + 365 * 86_400
    os.utime(store.root / DRIVERS / "early", (in_a_year, in_a_year))
    with Leases(store) as mine:
        assert mine.take(STAGE)
    assert store.list_files(DRIVERS) == {}


def test_heartbeats_keep_the_lease(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Leases(store, heartbeat=0.1, expiry=1.0) as one, Leases(store, heartbeat=0.1, expiry=1.0) as two:
        one.take(STAGE)
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            two._next_poll.clear()
            assert not two.take(STAGE)
            time.sleep(0.1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process start times are read from /proc")
def test_exited_drivers_of_this_machine_are_detected_at_once(store: Store) -> None:
    """A process that has exited, one whose PID was reused, and a live one."""
    exited = subprocess.Popen([sys.executable, "-c", ""])
    exited.wait()
    host = current_process().partition(":")[0]
    for owner, taken in [
        (f"{host}:{exited.pid}:1", True),
        (f"{host}:{os.getpid()}:1", True),
        (current_process(), False),
    ]:
        other_driver(store, "other", machine=machine(), owner=owner)
        with Leases(store) as mine:
            assert mine.take(STAGE) is taken
    other_driver(store, "other", machine="another machine", owner=f"{host}:{exited.pid}:1")
    with Leases(store) as mine:
        assert not mine.take(STAGE)


def test_only_one_driver_takes_over_a_lease(store: Store) -> None:
    store.write(f"{STAGES}/{STAGE.key}.1", b"no such driver")
    with Leases(store) as one, Leases(store) as two:
        assert sorted([one.take(STAGE), two.take(STAGE)]) == [False, True]


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"../../etc", b"{}"])
def test_damaged_leases_are_free(store: Store, data: bytes) -> None:
    store.write(f"{STAGES}/{STAGE.key}.1", data)
    store.write(f"{STAGES}/{STAGE.key}.x", data)
    store.write(f"{STAGES}/surprise", data)
    with Leases(store) as mine:
        assert mine.take(STAGE)


def test_only_failures_since_the_start_of_the_driver_count(store: Store) -> None:
    store.record_failure(STAGE, "long ago")
    tick(store.storage)
    with Leases(store) as mine:
        assert mine.failure(STAGE) is None
        tick(store.storage)
        store.record_failure(STAGE, "just now")
        assert mine.failure(STAGE) == "just now"


def test_files_of_dead_drivers_are_removed(store: Store) -> None:
    other_driver(store, "dead", machine=machine(), owner=f"{current_process().partition(':')[0]}:{2**22 + 1}:1")
    store.save(STAGE, RESULT, b"", {})
    store.write(f"{STAGES}/{OTHER.key}.1", b"dead")
    with Leases(store) as mine:
        assert list(store.list_files(STAGES)) == [f"{OTHER.key}.1"]
        assert len(store.list_files(DRIVERS)) == 1
        assert mine.keys() == set()


def test_kill_9_leaves_no_lock(tmp_path: Path) -> None:
    """The next driver on this machine continues at once."""
    script = f"""
        import os, signal
        from study.store.leases import Leases
        from study.store.results import Store
        from helpers.store_samples import STAGE
        with Leases(Store({str(tmp_path)!r})) as leases:
            assert leases.take(STAGE)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{TESTS}"}
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert ended.returncode == -9
    began = time.monotonic()
    with Leases(Store(tmp_path)) as mine:
        assert mine.take(STAGE)
    assert time.monotonic() - began < 10


def test_the_dead_are_kept_until_their_mirror_is_in_order(store: Store) -> None:
    """A driver that mirrored something leaves work to the next one; others leave nothing."""
    dead = {"machine": machine(), "owner": f"{current_process().partition(':')[0]}:{2**22 + 1}:1"}
    for name, mirror in [("a", "study at server"), ("b", "study at another"), ("c", "")]:
        store.write(f"{DRIVERS}/{name}", json.dumps(dead | {"mirror": mirror}).encode())
    with Heartbeat(store, mirror="study at server") as mine:
        assert store.list_files(DRIVERS).keys() == {"a", "b", mine.driver}
        assert not mine.is_alive("a")
        assert set(mirrors(store, "study at server")) == {"a", mine.driver}
        mine.forget("a")
    assert list(store.list_files(DRIVERS)) == ["b"]
    assert mirrors(store, "study at server") == []


def test_a_sign_of_life_is_awaited_and_so_is_a_death(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Heartbeat(store, 0.2, 2.0) as mine, Heartbeat(store, 0.5, 2.0) as other:
        mine.wait_for_signs([other.driver])
        assert mine.is_alive(other.driver)
        other_driver(store, "silent")
        began = time.monotonic()
        mine.wait_for_signs(["silent", other.driver, "unknown"])
        assert 1.0 < time.monotonic() - began < 10.0
        assert not mine.is_alive("silent")
