"""Every task of the project, each in the same locked environment.

    nox -s ablate                        run grids/quickstart.yaml and write its report
    nox -s ablate -- grids/other.yaml    run another study; arguments go to `python -m study run`
    nox -s ui                            open the MLflow pages on localhost
    nox -s tests | system | lint | nightly | bench | load | soak | chaos | calibrate | examples | schema | lock

The environment is built in .nox/ on first use, and again when the dependencies in pyproject.toml or requirements.lock
change. `ablate` installs what a study needs; the first session for developers builds one that has their tools, too.

A complete environment is never changed. Each is built in a folder of its own, and the link .nox/study-pyXYZ names the
latest. Every Python of an environment holds a lock on it, and only what nobody holds is removed: a sweep keeps its
environment until it ends.
"""

import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nox

nox.options.sessions = ["lint", "tests", "system"]
nox.options.default_venv_backend = "none"  # one environment for all sessions: it holds torch, Ray and MLflow

ROOT = Path(__file__).parent
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
QUICKSTART = "grids/quickstart.yaml"
EXAMPLES = ROOT / "reports" / "examples"
SCHEMA = ROOT / "grids" / "grid.schema.json"

TWO_PROCESSES = ["-n", "2", "--dist", "worksteal"]  # each may start a Ray of its own: more would need more memory

RUN, DEV = "run", "dev"  # levels of the environment: what a study needs; also the developers' tools
PLACE = ROOT / ".nox"
NAME = f"study-py{sys.version_info.major}{sys.version_info.minor}"
IN_USE = "in-use"  # the file of an environment that its processes lock
HELD: list[int] = []  # descriptors of the environments that this nox uses
# What outside settings of pip and uv may decide: where packages come from. Others could install elsewhere, or less.
SOURCES = {
    *("index", "default-index", "index-url", "extra-index-url", "no-index", "find-links", "index-strategy"),
    *("keyring-provider", "cert", "client-cert", "trusted-host", "insecure-host", "allow-insecure-host"),
    *("native-tls", "system-certs", "use-feature", "use-deprecated", "proxy", "http-proxy", "https-proxy", "no-proxy"),
    *("timeout", "default-timeout", "http-timeout", "retries", "http-retries", "cache-dir", "no-cache-dir", "no-cache"),
}
START = """
# Run by every Python of this environment when it starts: see noxfile.py.
import fcntl
import os
import sys

link, folder = sys.prefix, os.path.realpath(sys.prefix)
if link != folder:  # started through .nox/study-pyXYZ, which may name another environment before this process ends
    sys.executable = sys.executable.replace(link, folder, 1)
    sys.path[:] = [folder + path[len(link) :] if path.startswith(link + os.sep) else path for path in sys.path]
    sys.prefix = sys.exec_prefix = folder
try:
    held = os.open(os.path.join(folder, "in-use"), os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
except OSError:
    pass  # a file system without locks, or the environment is being removed
"""
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
    _python(session, DEV, "-m", "pytest", *TWO_PROCESSES, "-m", "slow and not nightly", *session.posargs)
    _python(session, DEV, "-m", "pytest", "-m", "system and not nightly", *session.posargs)


@nox.session(default=False)
def nightly(session: nox.Session) -> None:
    """Run further cases of what `system` shows once, such as every kind of damage of a database."""
    _python(session, DEV, "-m", "pytest", *TWO_PROCESSES, "-m", "nightly", *session.posargs)


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
    """The interpreter of a complete environment, which is built if there is none. It stays until this nox ends."""
    with _only_one(session):
        folder = _complete(level) or _build(session, level)
        HELD.append(_hold(folder))
        _link(session, folder)
        _remove_unused(folder)
    return str(folder / "bin" / "python")


@contextlib.contextmanager
def _only_one(session: nox.Session) -> Iterator[None]:
    """Wait until no other nox of this checkout installs. The lock ends with its process."""
    PLACE.mkdir(exist_ok=True)
    with (PLACE / f"{NAME}.lock").open("w") as file:
        if _lock(file.fileno(), fcntl.LOCK_EX) is False:
            session.log("waiting for another nox that installs the environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock(descriptor: int, kind: int) -> bool | None:
    """Try to lock a file. Returns whether it succeeded; None on a file system without locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _hold(folder: Path) -> int:
    descriptor = os.open(folder / IN_USE, os.O_RDONLY)
    _lock(descriptor, fcntl.LOCK_SH)
    return descriptor


def _complete(level: str) -> Path | None:
    """An environment of the present requirements that has this level, and whose Python was not removed."""
    wanted = _digest()
    for each in dict.fromkeys((DEV, level)):  # that of developers has both levels
        for folder in _folders():
            with contextlib.suppress(OSError):
                if _stamp(folder, each).read_text() == wanted and _runs(folder / "bin" / "python"):
                    return folder
    return None


def _runs(python: Path) -> bool:
    return subprocess.run([str(python), "-I", "-c", ""], check=False).returncode == 0


def _folders() -> list[Path]:
    return sorted(PLACE.glob(f"{NAME}-*"))


def _stamp(folder: Path, level: str) -> Path:
    """Of a complete environment: the digest of what it was built from."""
    return folder / f"installed-{level}"


def _build(session: nox.Session, level: str) -> Path:
    """Install an environment in a new folder. It is removed if that fails."""
    wanted = _digest()
    folder = next(path for number in itertools.count(1) if not (path := PLACE / f"{NAME}-{number}").exists())
    session.log(f"creating {folder} (about 2 GB)")
    try:
        venv.create(folder, with_pip=True, symlinks=True)
        (folder / IN_USE).touch()
        packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        (packages / "study_environment.py").write_text(START)
        (packages / "study_environment.pth").write_text("import study_environment\n")
        _install(session, str(folder / "bin" / "python"), level)
        if _digest() != wanted:
            session.error("pyproject.toml or requirements.lock changed during the install: run the same command again")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for each in (RUN,) if level == RUN else (RUN, DEV):
        _stamp(folder, each).write_text(wanted)
    return folder


def _link(session: nox.Session, folder: Path) -> None:
    """Let .nox/study-pyXYZ name this environment."""
    link = PLACE / NAME
    if link.exists() and not link.is_symlink():
        session.log(f"{link} is an environment of an earlier version and no longer used: remove it when no process is")
        return
    if not link.is_symlink() or os.readlink(link) != folder.name:
        fresh = PLACE / f"{NAME}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(folder.name)
        fresh.replace(link)


def _remove_unused(current: Path) -> None:
    """Remove the other environments, incomplete ones included, except those that a process holds."""
    for folder in _folders():
        with contextlib.suppress(OSError):
            (folder / IN_USE).touch()
            with (folder / IN_USE).open() as file:
                if folder != current and _lock(file.fileno(), fcntl.LOCK_EX):
                    shutil.rmtree(folder)


def _install(session: nox.Session, python: str, level: str) -> None:
    """Install with uv, or with pip where uv is not found; raises if a package is missing or not importable afterwards.

    Uses run_install, because nox skips `run` under --install-only.
    """
    installer, settings = _installer(python)
    requirements = _requirements(level)
    packages = ["--constraint", str(LOCK), "--editable", str(ROOT), *requirements]
    session.log(f"installing {len(requirements)} packages and their dependencies: {' '.join(installer)}")
    session.run_install(*installer, *packages, env=settings, external=True)
    session.run_install(python, "-I", "-m", "pip", "check", env=settings, external=True, silent=True)
    names = [re.sub("[-_.]+", "-", re.split(r"[\[<>=!~; ]", each)[0]).lower() for each in requirements]
    session.run_install(python, "-I", "-c", IMPORT_ALL, *names, env=settings, external=True, log=False)


def _installer(python: str) -> tuple[list[str], dict[str, str | None]]:
    """The command that installs, and the variables of its environment (None: unset).

    It is pip where uv is not found, or where only pip has settings, because uv might not reach an index.
    """
    settings: dict[str, str | None] = {name: None for name in os.environ if name.startswith(("PIP_", "UV_", "PYTHON"))}
    pip, uv, variables = _pip_settings(python), _uv_settings(), _uv_variables()
    found = _uv()
    if not found or (pip and not uv and not variables):
        command = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check"]
        return command, settings | pip | {"PIP_CONFIG_FILE": os.devnull}
    file = Path(python).parents[1] / "uv.toml"
    file.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in uv.items()), encoding="utf-8")
    return [*found, "pip", "install", "--config-file", str(file), "--python", python], settings | variables


def _requirements(level: str) -> list[str]:
    project = nox.project.load_toml(PYPROJECT)
    tools = nox.project.dependency_groups(project, "dev") if level == DEV else ()
    return [*project["project"]["dependencies"], *tools]


def _uv() -> list[str]:
    """The command that starts uv, or an empty list."""
    if found := shutil.which("uv"):
        return [found]
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else []


def _uv_variables() -> dict[str, str]:
    """The variables that name uv's sources of packages, and their passwords."""
    names = {f"UV_{name.upper().replace('-', '_')}" for name in SOURCES}
    return {
        name: text
        for name, text in os.environ.items()
        if name in names or re.fullmatch(r"UV_INDEX_\w+_(USERNAME|PASSWORD)", name)
    }


def _pip_settings(python: str) -> dict[str, str]:
    """The sources of packages in pip's configuration files and variables, as variables."""
    listed = subprocess.run([python, "-I", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found = {}
    for section in ("global", "install", ":env:"):  # in the order of their priority
        for line in listed.stdout.splitlines():
            name, _, text = line.partition("=")
            place, _, option = name.rpartition(".")
            if place == section and option in SOURCES and text != "''":  # pip ignores what is empty
                found[f"PIP_{option.upper().replace('-', '_')}"] = str(ast.literal_eval(text))
    return found


def _uv_settings() -> dict[str, Any]:
    """The sources of packages in uv's configuration files."""
    folders = [Path("/etc"), Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()]
    files = [folder / "uv" / "uv.toml" for folder in folders] + [ROOT / "uv.toml"]
    if named := os.environ.get("UV_CONFIG_FILE"):
        files = [Path(named)]
    found: dict[str, Any] = {}
    for file in filter(Path.is_file, files):
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
        pip = found.get("pip", {}) | _sources(settings.get("pip", {}))
        found |= _sources(settings) | ({"pip": pip} if pip else {})
    return found


def _sources(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in SOURCES}


def _toml(value: Any) -> str:
    """A value of a TOML file on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _digest() -> str:
    """Of all that the environment is built from."""
    project = nox.project.load_toml(PYPROJECT)
    parts = {name: project[name] for name in ("build-system", "project", "dependency-groups")}
    text = json.dumps([parts, LOCK.read_text(encoding="utf-8"), os.fspath(ROOT.resolve())])
    return hashlib.sha256(text.encode()).hexdigest()


def _example_grids() -> list[str]:
    """The grids that have a committed report: not those that download data."""
    grids = sorted((ROOT / "grids").glob("*.yaml"))
    return [f"grids/{grid.name}" for grid in grids if (EXAMPLES / grid.stem.replace("_", "-")).is_dir()]
