"""Process identity: PID and start time."""

import os
import subprocess
import sys

import psutil
import pytest

from study.utils.process import children, current_process, has_ended


def test_a_running_process_has_not_ended() -> None:
    assert not has_ended(current_process())


def test_a_reused_pid_is_another_process() -> None:
    host, pid, start = current_process().split(":")
    assert int(pid) == os.getpid()
    assert has_ended(f"{host}:{pid}:{int(start) - 1}")
    assert not has_ended(f"{host}:{pid}")  # without a start time: as earlier versions wrote it


@pytest.mark.parametrize("owner", ["", "host", "another-host:1:1", "{host}:x:1", "{host}"])
def test_processes_of_other_machines_and_damaged_owners_have_not_ended(owner: str) -> None:
    assert not has_ended(owner.replace("{host}", current_process().split(":")[0]))


def test_a_pid_that_is_too_large_has_ended() -> None:
    assert has_ended(f"{current_process().split(':')[0]}:{2**70}:1")


def test_an_ended_child_has_ended_before_and_after_wait() -> None:
    host = current_process().split(":")[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # now a zombie
        assert has_ended(f"{host}:{child.pid}:")
        assert child.pid not in children()
    assert has_ended(f"{host}:{child.pid}:")


def test_a_process_that_may_not_be_inspected_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process, where the system hides those (hidepid): it is not listed, yet signals are refused."""

    def not_listed(pid: int) -> psutil.Process:
        raise psutil.NoSuchProcess(pid)

    def refused(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "Process", not_listed)
    monkeypatch.setattr(os, "kill", refused)
    host = current_process().split(":")[0]
    assert not has_ended(f"{host}:1:1")


def test_children_are_direct_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in children()
        assert os.getpid() not in children()
        child.communicate(b"\n")
    assert child.pid not in children()
