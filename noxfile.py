"""Every task of the project, each in the same locked environment.

    nox -s ablate                        run grids/quickstart.yaml and write its report
    nox -s ablate -- grids/other.yaml    run another study; arguments go to `python -m study run`
    nox -s ui                            MLflow's pages on localhost
    nox -s tests | system | lint | bench | load | chaos | calibrate | lock

The environment is built once, in .nox/, and built anew only when pyproject.toml or requirements.lock change.
"""

import hashlib
import os
import shutil
import sys
import venv
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests", "system"]
nox.options.default_venv_backend = "none"  # one environment for all sessions: it holds torch, Ray and MLflow

ROOT = Path(__file__).parent
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
QUICKSTART = "grids/quickstart.yaml"


@nox.session
def ablate(session: nox.Session) -> None:
    """Run a study (default: the quickstart) and write its report."""
    arguments = session.posargs
    if not arguments or arguments[0].startswith("-"):
        arguments = [QUICKSTART, *arguments]
    _python(session, "-m", "study", "run", *arguments)


@nox.session(default=False)
def ui(session: nox.Session) -> None:
    """Open MLflow's pages on localhost."""
    _python(session, "-m", "study", "ui", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, without those that start several drivers, nodes or servers."""
    _python(session, "-m", "pytest", *(session.posargs or ["-m", "not system"]))


@nox.session
def system(session: nox.Session) -> None:
    """Run the tests that start several drivers, nodes or servers, and kill some of them."""
    _python(session, "-m", "pytest", "-m", "system", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure the models against textbook forms, dense models and the machine's own GEMM rate, side by side."""
    files = [f"tests/benchmarks/bench_{name}.py" for name in ("models", "gpu")]
    _python(session, "-m", "pytest", *files, "-s", *session.posargs)


@nox.session(default=False)
def load(session: nox.Session) -> None:
    """Measure what the harness itself costs: 10,000 trials without training, and a plan of 100,000 cells."""
    _python(session, "tests/benchmarks/bench_load.py", *session.posargs)


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Kill what a sweep consists of, dozens of times, and compare the end with that of an undisturbed one."""
    _python(session, "-m", "pytest", "tests/chaos/chaos_sweep.py", "-s", *session.posargs)


@nox.session(default=False)
def calibrate(session: nox.Session) -> None:
    """Check intervals and verdicts on simulated studies of known truth; writes reports/calibration/."""
    _python(session, "-m", "study.analysis.stats.calibrate", "--out", "reports/calibration", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, and that imports point down."""
    _python(session, "-m", "ruff", "check", ".")
    _python(session, "-m", "ruff", "format", "--check", ".")
    _python(session, "-m", "mypy")
    _python(session, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Pin every package anew, for all supported Pythons and systems (needs uv: python -m pip install uv)."""
    options = [
        "--group",
        "dev",
        "--all-extras",
        "--universal",
        "--python-version",
        "3.11",
        "--no-header",
        "--no-annotate",
        "--upgrade",
    ]
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "pyproject.toml",
        *options,
        "-o",
        LOCK.name,
        *session.posargs,
    ]
    session.run(*command, external=True)


def _python(session: nox.Session, *arguments: str) -> None:
    """Run Python of the shared environment. On Ctrl-C it is given the time it needs to stop cleanly."""
    python = _environment(session)
    session.run(python, *arguments, external=True, interrupt_timeout=60, terminate_timeout=10)


def _environment(session: nox.Session) -> str:
    """The interpreter of the locked environment, built if it is missing or out of date."""
    folder = ROOT / ".nox" / f"study-py{sys.version_info.major}{sys.version_info.minor}"
    python = folder / "bin" / "python"
    stamp = folder / "locked"
    wanted = hashlib.sha256(LOCK.read_bytes() + PYPROJECT.read_bytes() + os.fsencode(ROOT.resolve())).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return str(python)
    session.log("building the locked environment in %s (about 2 GB; once)", folder)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True, symlinks=True)
    groups = nox.project.dependency_groups(nox.project.load_toml(PYPROJECT), "dev")
    options = ["--quiet", "--disable-pip-version-check", "--constraint", str(LOCK)]
    session.run(str(python), "-m", "pip", "install", *options, "--editable", str(ROOT), *groups, external=True)
    stamp.write_text(wanted)
    return str(python)
