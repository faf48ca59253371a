"""Provenance of a result: code, versions, machine. Stored beside every result, never part of its key."""

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]  # `study`
PACKAGES = ("torch", "ray", "mlflow", "optuna", "numpy", "pandas", "datasets", "scikit-learn")


@cache
def commit() -> str:
    """The git commit of this code, with `-dirty` if tracked files were changed; `unknown` outside a checkout.

    `STUDY_COMMIT` overrides it where the code was copied without its history, for example into an image.
    """
    if given := os.environ.get("STUDY_COMMIT"):
        return given
    try:
        found = _git("rev-parse", "HEAD")
        # reports are outputs: a change in them is no change of the code
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{found}-dirty" if changed else found


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


@cache
def source_digest(*packages: str) -> str:
    """SHA-256 over the names and contents of all files of these packages, sub-packages included.

    `packages` are dotted names such as `study.report`. Raises ValueError for a package that does not exist.
    """
    digest = hashlib.sha256()
    for package in sorted(set(packages)):
        folder = PACKAGE.parent.joinpath(*package.split("."))
        if not folder.is_dir():
            raise ValueError(f"package {package!r} not found in {PACKAGE.parent}")
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(PACKAGE.parent).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # a machine that only trains may lack some
    return found


@cache
def processor() -> str:
    """The CPU model name, or the architecture if the system does not provide it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # only Linux has this file
    return platform.processor() or platform.machine()


def provenance(commit: str, device: str, threads: int, started: str) -> dict[str, Any]:
    """The record stored beside a result. `device` is a model name such as `AMD EPYC` or `NVIDIA H100`."""
    return {
        "commit": commit,
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "versions": versions(),
        "started": started,
        "finished": now(),
    }
