"""Every task of the project, each in the same locked environment.

    nox -s ablate                        run grids/quickstart.yaml and write its report
    nox -s ablate -- grids/other.yaml    run another study; arguments go to `python -m study run`
    nox -s ui                            open the MLflow pages on localhost
    nox -s tests | system | lint | bench | load | soak | chaos | calibrate | examples | schema | lock

The environment is built in .nox/ on first use, and again when the dependencies in pyproject.toml or requirements.lock
change. `ablate` installs what a study needs; the first session for developers adds their tools.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import venv
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests", "system"]
nox.options.default_venv_backend = "none"  # one environment for all sessions: it holds torch, Ray and MLflow

ROOT = Path(__file__).parent
LOCK = ROOT / "requirements.lock"
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
QUICKSTART = "grids/quickstart.yaml"
EXAMPLES = ROOT / "reports" / "examples"
SCHEMA = ROOT / "grids" / "grid.schema.json"

TWO_PROCESSES = ["-n", "2", "--dist", "worksteal"]  # each may start a Ray of its own: more would need more memory

RUN, DEV = "run", "dev"  # levels of the environment; DEV is installed on top of RUN
REQUIREMENTS = {
    RUN: PYPROJECT["project"]["dependencies"],
    DEV: nox.project.dependency_groups(PYPROJECT, "dev"),
}
# settings from outside that would install to another place, install less, or import from another place
MISDIRECTING = ["PYTHONPATH", "PYTHONHOME", "UV_SYSTEM_PYTHON", "UV_PYTHON"] + [
    f"PIP_{option}" for option in ("NO_DEPS", "PREFIX", "TARGET", "USER", "ROOT", "PYTHON", "DRY_RUN")
]
IMPORT_ALL = """
import importlib, importlib.metadata, re, sys
importlib.import_module("study")
for module, owners in importlib.metadata.packages_distributions().items():
    owners = {re.sub("[-_.]+", "-", owner).lower() for owner in owners}
    if module.isidentifier() and owners.intersection(sys.argv[1:]):  # no identifier: stubs of types
        importlib.import_module(module)
for name in sys.argv[1:]:
    importlib.metadata.version(name)
"""


@nox.session
def ablate(session: nox.Session) -> None:
    """Run a study (default: the quickstart) and write its report."""
    arguments = session.posargs
    if not arguments or arguments[0].startswith("-"):
        arguments = [QUICKSTART, *arguments]
    _python(session, RUN, "-m", "study", "run", *arguments)


@nox.session(default=False)
def ui(session: nox.Session) -> None:
    """Open the MLflow pages on localhost."""
    _python(session, RUN, "-m", "study", "ui", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, except those of `system`."""
    _python(session, DEV, "-m", "pytest", *(session.posargs or [*TWO_PROCESSES, "-m", "not system and not slow"]))


@nox.session
def system(session: nox.Session) -> None:
    """Run the tests that need several sweeps, or start several drivers, nodes or servers and kill some of them."""
    _python(session, DEV, "-m", "pytest", *TWO_PROCESSES, "-m", "slow", *session.posargs)
    _python(session, DEV, "-m", "pytest", "-m", "system", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure the models against textbook implementations, dense models and the GEMM rate of the machine."""
    files = [f"tests/benchmarks/bench_{name}.py" for name in ("models", "gpu")]
    _python(session, DEV, "-m", "pytest", *files, "-s", *session.posargs)


@nox.session(default=False)
def load(session: nox.Session) -> None:
    """Measure the overhead of the harness: 10,000 trials without training, and a plan of 100,000 cells."""
    _script(session, "tests/benchmarks/bench_load.py")


@nox.session(default=False)
def soak(session: nox.Session) -> None:
    """Run 20,000 trials without training through two drivers and an MLflow server on PostgreSQL, with restarts."""
    _script(session, "tests/benchmarks/bench_soak.py")


@nox.session(default=False)
def chaos(session: nox.Session) -> None:
    """Kill the processes of sweeps 100 times, and compare their results with those of an undisturbed one."""
    _script(session, "tests/system/chaos_sweep.py")


@nox.session(default=False)
def calibrate(session: nox.Session) -> None:
    """Check intervals and verdicts on simulated studies of known truth; writes reports/calibration/."""
    _python(session, RUN, "-m", "study.analysis.stats.calibrate", "--out", "reports/calibration", *session.posargs)


@nox.session(default=False)
def examples(session: nox.Session) -> None:
    """Run the given grids, or all that have a committed report, and write their reports to reports/examples/."""
    for grid in session.posargs or _example_grids():
        _python(session, RUN, "-m", "study", "run", grid, "--reports", str(EXAMPLES.relative_to(ROOT)))


@nox.session(default=False)
def schema(session: nox.Session) -> None:
    """Write the JSON Schema of grid files, which editors use, to grids/grid.schema.json."""
    text = session.run(_environment(session, RUN), "-m", "study", "schema", external=True, silent=True, stderr=None)
    if text:  # None under --install-only
        SCHEMA.write_text(str(text), encoding="utf-8")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the direction of imports."""
    _python(session, DEV, "-m", "ruff", "check", ".")
    _python(session, DEV, "-m", "ruff", "format", "--check", ".")
    _python(session, DEV, "-m", "mypy")
    _python(session, DEV, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Pin every package anew, for all supported Pythons and systems (needs uv: python -m pip install uv)."""
    platforms = ["--group", "dev", "--all-extras", "--universal", "--python-version", "3.11"]
    options = [*platforms, "--no-header", "--no-annotate", "--upgrade", "--output-file", LOCK.name]
    session.run(*(_uv() or ["uv"]), "pip", "compile", "pyproject.toml", *options, *session.posargs, external=True)


def _python(session: nox.Session, level: str, *arguments: str, **environment: str) -> None:
    """Run Python of the shared environment. After Ctrl-C it has 60 s to stop cleanly."""
    python = _environment(session, level)
    session.run(python, *arguments, env=environment, external=True, interrupt_timeout=60, terminate_timeout=10)


def _script(session: nox.Session, path: str) -> None:
    """Run a script of tests/ with the arguments of the session."""
    _python(session, DEV, path, *session.posargs, PYTHONPATH=str(ROOT / "tests"))


def _environment(session: nox.Session, level: str) -> str:
    """The interpreter of the locked environment; a level that is missing or out of date is installed first."""
    folder = ROOT / ".nox" / f"study-py{sys.version_info.major}{sys.version_info.minor}"
    python = folder / "bin" / "python"
    for step in (RUN,) if level == RUN else (RUN, DEV):
        stamp = folder / f"installed-{step}"
        if python.exists() and stamp.is_file() and stamp.read_text() == _digest():
            continue
        if step == RUN:
            session.log(f"creating {folder} (about 2 GB)")
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True, symlinks=True)
        _install(session, str(python), step)
        stamp.write_text(_digest())
    return str(python)


def _install(session: nox.Session, python: str, step: str) -> None:
    """Install one level with uv, or with pip where uv is not found; raises if a package cannot be imported afterwards.

    Uses run_install, because nox skips `run` under --install-only.
    """
    environment = dict.fromkeys(MISDIRECTING)  # None unsets a variable
    uv = _uv()
    command = (
        [*uv, "pip", "install", "--python", python]
        if uv
        else [python, "-m", "pip", "install", "--disable-pip-version-check"]
    )
    packages = ["--editable", str(ROOT), *REQUIREMENTS[step]]
    session.log(f"installing {len(REQUIREMENTS[step])} packages and their dependencies with {'uv' if uv else 'pip'}")
    session.run_install(*command, "--constraint", str(LOCK), *packages, env=environment, external=True)
    names = [re.sub("[-_.]+", "-", re.split(r"[\[<>=!~; ]", each)[0]).lower() for each in REQUIREMENTS[step]]
    session.run_install(python, "-I", "-c", IMPORT_ALL, *names, env=environment, external=True, log=False)


def _uv() -> list[str]:
    """The command that starts uv, or an empty list."""
    if found := shutil.which("uv"):
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _digest() -> str:
    """Of all that the environment is built from."""
    parts = {name: PYPROJECT[name] for name in ("build-system", "project", "dependency-groups")}
    text = json.dumps([parts, LOCK.read_text(encoding="utf-8"), os.fspath(ROOT.resolve())])
    return hashlib.sha256(text.encode()).hexdigest()


def _example_grids() -> list[str]:
    """The grids that have a committed report: not those that download data."""
    grids = sorted((ROOT / "grids").glob("*.yaml"))
    return [f"grids/{grid.name}" for grid in grids if (EXAMPLES / grid.stem.replace("_", "-")).is_dir()]
