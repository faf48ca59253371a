"""CPU affinity and control group quotas."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from study.utils import cpus
from study.utils.cpus import usable_cpus

ONE_CPU = "from study.utils.cpus import usable_cpus; print(usable_cpus())"


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with eight CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 8)]
)
def test_version_2_quota(tmp_path: Path, quota: str, expected: int) -> None:
    write(tmp_path / "cgroup", "0::/user/job\n")
    write(tmp_path / "mount" / "user" / "job" / "cpu.max", f"{quota}\n")
    assert usable_cpus(tmp_path / "cgroup", tmp_path / "mount") == expected


@pytest.mark.usefixtures("eight")
def test_the_quota_of_a_parent_group_applies(tmp_path: Path) -> None:
    write(tmp_path / "cgroup", "0::/user/job\n")
    write(tmp_path / "mount" / "user" / "job" / "cpu.max", "max 100000\n")
    write(tmp_path / "mount" / "user" / "cpu.max", "300000 100000\n")
    assert usable_cpus(tmp_path / "cgroup", tmp_path / "mount") == 3


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("400000", 4)])
@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_version_1_quota(tmp_path: Path, quota: str, expected: int, folder: str) -> None:
    """In a container the group's own path is not mounted, but its files are at the root."""
    write(tmp_path / "cgroup", "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n")
    write(tmp_path / "mount" / folder / "cpu.cfs_quota_us", f"{quota}\n")
    write(tmp_path / "mount" / folder / "cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path / "cgroup", tmp_path / "mount") == expected


@pytest.mark.usefixtures("eight")
def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none", tmp_path) == 8
    write(tmp_path / "cgroup", "0::/\n")
    write(tmp_path / "cpu.max", "damaged\n")
    assert usable_cpus(tmp_path / "cgroup", tmp_path) == 8


def test_systems_without_affinity_count_their_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cpus.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cpus.os, "cpu_count", lambda: 6)
    assert usable_cpus(tmp_path / "none", tmp_path) == 6


@pytest.mark.skipif(shutil.which("taskset") is None, reason="taskset is not installed")
def test_taskset_limits_the_cpus() -> None:
    cpu = min(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(cpu), sys.executable, "-c", ONE_CPU]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"
