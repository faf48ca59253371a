"""Where a result comes from: code, versions, machine. Recorded beside every result, never part of its key."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "ray", "mlflow", "optuna", "numpy", "pandas", "datasets", "scikit-learn")


@cache
def commit() -> str:
    """The git commit of this code, with `-dirty` where tracked files differ from it; `unknown` outside a checkout.

    `STUDY_COMMIT` says it where the code was copied without its history, as into an image.
    """
    if told := os.environ.get("STUDY_COMMIT"):
        return told
    try:
        found = _git("rev-parse", "HEAD")
        # what a run writes (reports) does not make the code that ran another
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{found}-dirty" if changed else found


def _git(*arguments: str) -> str:
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results can depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # GPU machines may have torch alone
    return found


@cache
def processor() -> str:
    """The processor's own name, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # no such file outside Linux
    return platform.processor() or platform.machine()


def provenance(commit: str, device: str, threads: int, started: str) -> dict[str, Any]:
    """What is recorded beside a result. `device` is a name, as in `AMD EPYC` or `NVIDIA H100`."""
    return {
        "commit": commit,
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "versions": versions(),
        "started": started,
        "finished": now(),
    }
