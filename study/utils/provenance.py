"""Provenance of a result: code, versions, machine. Stored beside every result, never part of its key."""

import hashlib
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from study.utils.version import __version__

NO_COMMIT = "unknown"
GIT_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set in hooks: they may name another repository
PACKAGE = Path(__file__).resolve().parents[1]  # `study`
PACKAGES = ("torch", "ray", "mlflow", "optuna", "numpy", "pandas", "datasets", "scikit-learn")


def commit() -> str:
    """The git commit of this code, with `-dirty` if tracked files were changed; `unknown` outside a checkout.

    A repository counts only if its top level is the folder of this package: one that surrounds an installed or unpacked
    package has other commits. `STUDY_COMMIT` overrides it where the code was copied without its history, for example
    into an image.
    """
    return os.environ.get("STUDY_COMMIT") or _checkout().commit


@dataclass(frozen=True)
class GitProblem:
    """Why the commit of a checkout cannot be read, and how to fix it."""

    reason: str
    fix: str


def git_problem() -> GitProblem | None:
    """Why the commit is unknown although this is a checkout; None if it is known, or there is none."""
    return None if os.environ.get("STUDY_COMMIT") else _checkout().problem


@dataclass(frozen=True)
class _Checkout:
    commit: str = NO_COMMIT
    problem: GitProblem | None = None


@cache
def _checkout() -> _Checkout:
    root = PACKAGE.parent
    if not (root / ".git").exists():  # a folder, or a file in worktrees
        return _Checkout()
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != root:
            return _Checkout()
        found = _git("rev-parse", "HEAD")
        # reports are outputs: a change in them is no change of the code
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)reports")
    except FileNotFoundError:
        return _Checkout(problem=GitProblem("git is not installed", "install git"))
    except subprocess.CalledProcessError as error:
        return _Checkout(problem=_explained(error.stderr.strip(), root))
    except (OSError, subprocess.SubprocessError) as error:
        return _Checkout(problem=GitProblem(f"git failed: {error}", f"run git status in {root}"))
    return _Checkout(f"{found}-dirty" if changed else found)


def _explained(message: str, root: Path) -> GitProblem:
    if "dubious ownership" in message:
        fix = f"git config --global --add safe.directory {shlex.quote(str(root))}"
        return GitProblem(f"{root} belongs to another user, so git does not read it", fix)
    return GitProblem(
        f"git failed: {message.splitlines()[0] if message else 'no message'}", f"run git status in {root}"
    )


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE.parent), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in GIT_PLACES} | {"LC_ALL": "C"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
    return ended.stdout.strip()


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


def provenance(commit: str, machine: Mapping[str, Any], started: str) -> dict[str, Any]:
    """The record stored beside a result. `machine`: see `study.execution.machine`."""
    return {
        "commit": commit,
        "study": __version__,
        **machine,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "started": started,
        "finished": now(),
    }
