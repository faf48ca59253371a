"""Leases: of several drivers one has a stage; the dead are found out, the living are not robbed."""

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.store_samples import STAGE

from study.store import leases as module
from study.store.leases import DRIVERS, STAGES, Leases, machine
from study.store.results import Result, Store
from study.utils.process import current_process

OTHER = replace(STAGE, seed=2)
RESULT = Result({"test_accuracy": 0.5}, {}, [], [])


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "LOOK", {True: 0.0, False: 0.0})
    if request.param == "folder":
        return Store(tmp_path / "store")
    return Store(f"{request.getfixturevalue('bucket')}/store")


def test_one_driver_at_a_time_has_a_stage(store: Store) -> None:
    with Leases(store) as one, Leases(store) as two:
        assert one.take(STAGE)
        assert one.take(STAGE)
        assert not two.take(STAGE)
        assert two.take(OTHER)
        assert two.keys() == {STAGE.key, OTHER.key}
        one.release(STAGE)
        assert two.take(STAGE)
        assert not one.take(STAGE)
        one.release(STAGE)  # not its own: nothing happens
        assert not one.take(STAGE)


def test_whoever_leaves_gives_everything_back(store: Store) -> None:
    with Leases(store) as two:
        with Leases(store) as one:
            assert one.take(STAGE)
        assert two.take(STAGE)
    assert store.listed(STAGES) == store.listed(DRIVERS) == {}


def test_what_is_held_is_looked_at_now_and_then_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", {True: 60.0, False: 60.0})
    with Leases(store) as one, Leases(store) as two:
        one.take(STAGE)
        assert not two.take(STAGE)
        monkeypatch.setattr(Store, "create", None)  # a second look would fail
        assert not two.take(STAGE)


def foreign(store: Store, name: str, **said: object) -> None:
    """A driver as another machine, or this one, would have told of itself."""
    store.note(f"{DRIVERS}/{name}", json.dumps({"machine": "elsewhere", "owner": "host:1:1"} | said).encode())
    store.note(f"{STAGES}/{STAGE.key}.1", name.encode())


def test_silence_is_death_and_is_measured_by_the_stores_clock(store: Store) -> None:
    """The other heartbeat grows old against one's own, whatever this machine's clock says."""
    foreign(store, "silent")
    with Leases(store, heartbeat=0.2, expiry=2.5) as mine:
        assert not mine.take(STAGE)
        deadline = time.monotonic() + 20.0
        while not mine.take(STAGE):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert store.noted(f"{STAGES}/{STAGE.key}.2") is not None
    assert store.listed(STAGES) == {}


def test_a_heartbeat_keeps_what_is_held(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with Leases(store, heartbeat=0.1, expiry=1.0) as one, Leases(store, heartbeat=0.1, expiry=1.0) as two:
        one.take(STAGE)
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            two._held.clear()
            assert not two.take(STAGE)
            time.sleep(0.1)


def test_the_dead_of_this_machine_are_known_at_once(store: Store) -> None:
    """An ended process, and one whose number another process has by now; a living one keeps its stage."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = current_process().partition(":")[0]
    for owner, taken in [(f"{host}:{gone.pid}:1", True), (f"{host}:{os.getpid()}:1", True), (current_process(), False)]:
        foreign(store, "other", machine=machine(), owner=owner)
        with Leases(store) as mine:
            assert mine.take(STAGE) is taken
    foreign(store, "other", machine="a namesake", owner=f"{host}:{gone.pid}:1")
    with Leases(store) as mine:
        assert not mine.take(STAGE)


def test_of_two_who_take_from_the_dead_one_succeeds(store: Store) -> None:
    store.note(f"{STAGES}/{STAGE.key}.1", b"no such driver")
    with Leases(store) as one, Leases(store) as two:
        assert sorted([one.take(STAGE), two.take(STAGE)]) == [False, True]


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"../../etc", b"{}"])
def test_damaged_leases_are_nobodys(store: Store, data: bytes) -> None:
    store.note(f"{STAGES}/{STAGE.key}.1", data)
    store.note(f"{STAGES}/{STAGE.key}.x", data)
    store.note(f"{STAGES}/surprise", data)
    with Leases(store) as mine:
        assert mine.take(STAGE)


def test_a_failure_counts_if_it_came_while_this_driver_was_at_work(store: Store) -> None:
    store.fail(STAGE, "long ago")
    time.sleep(1.1)  # services tell whole seconds
    with Leases(store) as mine:
        assert mine.failure(STAGE) is None
        time.sleep(1.1)
        store.fail(STAGE, "just now, by another")
        assert mine.failure(STAGE) == "just now, by another"


def test_leftovers_of_the_dead_are_cleared_away(store: Store) -> None:
    foreign(store, "dead", machine=machine(), owner=f"{current_process().partition(':')[0]}:{2**22 + 1}:1")
    store.save(STAGE, RESULT, b"", {})
    store.note(f"{STAGES}/{OTHER.key}.1", b"dead")
    with Leases(store) as mine:
        assert list(store.listed(STAGES)) == [f"{OTHER.key}.1"]
        assert len(store.listed(DRIVERS)) == 1
        assert mine.keys() == set()


def test_a_driver_killed_leaves_no_lock(tmp_path: Path) -> None:
    """kill -9: the next driver of this machine goes on at once."""
    script = f"""
        import os, signal
        from study.store.leases import Leases
        from study.store.results import Store
        from tests.helpers.store_samples import STAGE
        with Leases(Store({str(tmp_path)!r})) as leases:
            assert leases.take(STAGE)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    root = ROOT
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=root, check=False)
    assert ended.returncode == -9
    began = time.monotonic()
    with Leases(Store(tmp_path)) as mine:
        assert mine.take(STAGE)
    assert time.monotonic() - began < 10
