"""How many CPUs this process may use."""

import os
from pathlib import Path

PROCESS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


def usable_cpus(process: Path = PROCESS, mount: Path = MOUNT) -> int:
    """CPUs of this process's affinity mask, at most its control group's CPU quota, rounded down; at least 1.

    `process` lists the control groups of this process and `mount` is where the groups are mounted (cgroup v1 or v2,
    see cgroups(7)). Systems without them have no quota.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([available, *_quotas(process, mount)])))


def _quotas(process: Path, mount: Path) -> list[float]:
    """CPU quotas, in CPUs, of this process's control group and of all groups above it."""
    return [quota for group in _groups(process, mount) if (quota := _quota(group)) is not None]


def _groups(process: Path, mount: Path) -> list[Path]:
    try:
        lines = process.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = mount / controllers  # v2 names no controllers; v1 mounts each under its own name
        if controllers and "cpu" not in controllers.split(","):
            continue
        if controllers and not root.is_dir():
            root = mount / "cpu"
        relative = Path(path.lstrip("/"))
        groups += [root / part for part in (relative, *relative.parents)]
    return groups


def _quota(group: Path) -> float | None:
    """`cpu.max` holds "QUOTA PERIOD" (v2); v1 has one file for each. Without a limit QUOTA is `max` or -1."""
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = ((group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period"))
        return int(quota) / int(period) if quota != "max" and int(quota) > 0 else None
    except (OSError, ValueError):
        return None
