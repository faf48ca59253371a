"""The environment that nox builds, tried offline with a copy of noxfile.py and a tiny project."""

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.paths import ROOT

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1.0"
dependencies = []

[dependency-groups]
dev = []
"""

# a build backend without dependencies, because pip would download setuptools: the wheel is one .pth file
BACKEND = """
import pathlib, zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info/"
    files = {
        "tiny.pth": str(pathlib.Path.cwd()),
        info + "METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\nRequires-Dist: leaf\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "RECORD": "",
    }
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
MAIN = "import sys; print('study called with', sys.argv[1:])"
STAMPS = {"run": "installed-run", "dev": "installed-dev"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return checkout(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the environment of `ablate`, for tests that do not change it."""
    project = checkout(tmp_path_factory.mktemp("built"))
    ran = nox(project, "--install-only", "-s", "ablate")
    assert ran.returncode == 0, ran.stderr
    assert "study called" not in ran.stdout
    return project


def checkout(tmp_path: Path) -> Path:
    """A checkout with this noxfile and a package `study` that prints its arguments."""
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "requirements.lock").write_text("")
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "grids").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "__init__.py").write_text("")
    (tmp_path / "study" / "__main__.py").write_text(MAIN)
    with zipfile.ZipFile(tmp_path / "leaf-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("leaf.py", "")
        wheel.writestr("leaf-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: leaf\nVersion: 1.0\n")
        wheel.writestr("leaf-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("leaf-1.0.dist-info/RECORD", "")
    return tmp_path


def nox(project: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run nox with pip, even where uv is installed; the network is out of reach."""
    return subprocess.run(
        command(*arguments), cwd=project, env=variables(project) | settings, capture_output=True, text=True, check=False
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nox", "--non-interactive", *arguments]


def variables(project: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON", "NOX"))}
    return clean | {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project)}


def environments(project: Path) -> list[Path]:
    return sorted(path for path in (project / ".nox").glob("study-py*-*"))


def environment_of(project: Path) -> Path:
    """The only environment, which the link names."""
    (folder,) = environments(project)
    link = link_of(project)
    assert link.name == folder.name.rsplit("-", 1)[0]
    assert link.resolve() == folder.resolve()
    return folder


def link_of(project: Path) -> Path:
    return next(path for path in (project / ".nox").iterdir() if path.is_symlink())


def sleeper(python: Path) -> "subprocess.Popen[str]":
    """A process of an environment that runs until it is killed; returned once it runs."""
    code = "import sys, time; print(sys.executable, flush=True); time.sleep(600)"
    process = subprocess.Popen([python, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def end(process: "subprocess.Popen[str]") -> None:
    """Kill the process, which may have been killed before."""
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def change_lock(project: Path) -> None:
    with (project / "requirements.lock").open("a") as file:
        file.write("# another version\n")


def test_install_only_builds_an_environment_that_the_next_run_uses(built: Path) -> None:
    folder = environment_of(built)
    assert (folder / STAMPS["run"]).is_file()
    assert not (folder / STAMPS["dev"]).exists()

    ran = nox(built, "-s", "ablate", "--", "grids/other.yaml")
    assert "study called with ['run', 'grids/other.yaml']" in ran.stdout, ran.stderr
    assert "installing" not in ran.stderr


@pytest.mark.nightly
@pytest.mark.slow
def test_an_environment_without_a_working_package_is_not_kept(project: Path) -> None:
    (project / "study" / "__init__.py").write_text("import not_installed")
    failed = nox(project, "--install-only", "-s", "ablate")
    assert failed.returncode == 1
    assert "No module named 'not_installed'" in failed.stdout + failed.stderr
    assert not environments(project)

    (project / "study" / "__init__.py").write_text("")
    assert "study called with ['ui']" in nox(project, "-s", "ui").stdout


@pytest.mark.nightly
@pytest.mark.slow
def test_developers_have_an_environment_with_their_tools_and_only_a_new_dependency_rebuilds_it(project: Path) -> None:
    (project / "pytest.py").write_text("print('pytest ran')")  # beside `study`, so that it is importable
    assert nox(project, "--install-only", "-s", "ablate").returncode == 0
    first = environment_of(project)
    added = nox(project, "-s", "tests")
    assert "pytest ran" in added.stdout, added.stderr
    second = environment_of(project)
    assert second != first
    assert (second / STAMPS["dev"]).is_file()
    assert "installing" not in nox(project, "-s", "ablate").stderr  # the tools do not disturb it

    with (project / "pyproject.toml").open("a") as file:
        file.write("\n[tool.ruff]\nline-length = 100\n")
    assert "installing" not in nox(project, "-s", "tests").stderr


@pytest.mark.slow
def test_an_environment_in_use_is_kept_until_its_last_process_ends(project: Path) -> None:
    """Whoever started the process: here nobody holds the environment but the processes themselves."""
    assert nox(project, "--install-only", "-s", "ablate").returncode == 0
    old, link = environment_of(project), link_of(project)
    by_link, direct = sleeper(link / "bin" / "python"), sleeper(old / "bin" / "python")
    try:
        change_lock(project)
        assert "installing" in nox(project, "-s", "ablate").stderr
        assert link.resolve() != old.resolve()
        end(direct)
        assert "installing" not in nox(project, "-s", "ablate").stderr
        assert (old / "bin" / "python").exists()
        assert len(environments(project)) == 2
    finally:
        end(by_link)
        end(direct)
    assert "installing" not in nox(project, "-s", "ablate").stderr
    assert not old.exists()
    environment_of(project)


def test_a_process_started_by_the_link_stays_in_its_environment(built: Path) -> None:
    """Modules that it imports later, and processes that it starts, are of the environment in which it began."""
    folder, link = environment_of(built).resolve(), link_of(built)
    code = "import sys, leaf; print(sys.prefix, sys.executable, leaf.__file__, *sys.path, sep='\\n')"
    shown = subprocess.run([link / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    assert str(folder) in shown.stdout
    assert f"{link}/" not in shown.stdout


@pytest.mark.slow
def test_two_at_once_install_once(project: Path) -> None:
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: nox(project, "-s", "ablate"), range(2)))
    assert [ran.returncode for ran in both] == [0, 0], both
    assert sum("installing" in ran.stderr for ran in both) == 1
    assert all("study called with ['run', 'grids/quickstart.yaml']" in ran.stdout for ran in both)
    environment_of(project)


@pytest.mark.slow
def test_a_killed_install_is_built_again_and_likewise_one_whose_python_was_removed(project: Path) -> None:
    """Killed after the package is installed and before it has been imported."""
    source = "import pathlib, time; pathlib.Path('here').touch(); time.sleep(600)"
    (project / "study" / "__init__.py").write_text(source)
    process = subprocess.Popen(
        command("--install-only", "-s", "ablate"), cwd=project, env=variables(project), stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    while not (project / "here").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (project / "study" / "__init__.py").write_text("")
    ran = nox(project, "-s", "ablate")
    assert "installing" in ran.stderr
    assert "study called" in ran.stdout

    python = environment_of(project) / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    ran = nox(project, "-s", "ablate")
    assert "study called" in ran.stdout, ran.stderr
    environment_of(project)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_lock_that_changes_during_the_install_is_not_taken_for_installed(project: Path) -> None:
    source = "import pathlib; pathlib.Path(__file__).parents[1].joinpath('requirements.lock').write_text('# new')"
    (project / "study" / "__init__.py").write_text(source)
    failed = nox(project, "-s", "ablate")
    assert failed.returncode == 1
    assert "changed during the install: run the same command again" in failed.stderr
    assert not environments(project)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_copied_checkout_has_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(built, copy, symlinks=True)
    ran = nox(copy, "-s", "ablate")
    assert "study called" in ran.stdout, ran.stderr
    assert str(copy) in (environment_of(copy) / "bin" / "activate").read_text()


def test_an_environment_of_an_earlier_version_is_left_alone(built: Path) -> None:
    """It was a folder at the place of the link, and its processes hold nothing."""
    link = link_of(built)
    link.unlink()
    (link / "bin").mkdir(parents=True)
    ran = nox(built, "-s", "ablate")
    assert "study called" in ran.stdout
    assert "remove it" in ran.stderr
    assert (link / "bin").is_dir()
    shutil.rmtree(link)
    assert "study called" in nox(built, "-s", "ablate").stdout
    environment_of(built)


MISDIRECTING = """
[global]
no-deps = true
[install]
target = ELSEWHERE
prefix = ELSEWHERE
user = true
"""


@pytest.mark.parametrize("by_variables", [True, pytest.param(False, marks=[pytest.mark.slow, pytest.mark.nightly])])
def test_settings_from_outside_do_not_misdirect_the_install(project: Path, by_variables: bool) -> None:
    """Where packages come from is still taken from the same place: a variable, or a configuration file."""
    elsewhere = project / "elsewhere"
    settings = {"HOME": str(project / "home"), "PYTHONUSERBASE": str(elsewhere)}
    file = project / ("named.conf" if by_variables else "home/.config/pip/pip.conf")
    file.parent.mkdir(parents=True, exist_ok=True)
    sources = "" if by_variables else f"no-index = true\nfind-links = {project}\n"
    file.write_text(MISDIRECTING.replace("ELSEWHERE", str(elsewhere)).replace("[install]", sources + "[install]"))
    if by_variables:
        settings |= {name: str(elsewhere) for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH")}
        settings |= {"PIP_USER": "1", "PIP_NO_DEPS": "1", "PIP_DRY_RUN": "1", "PIP_REQUIREMENT": "/nowhere"}
        settings |= {"PIP_CONFIG_FILE": str(file)}
    else:
        settings |= {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": ""}
    ran = nox(project, "-s", "ablate", **settings)
    assert "study called with ['run', 'grids/quickstart.yaml']" in ran.stdout, ran.stderr
    assert len(list(environment_of(project).glob("lib/python*/site-packages/tiny.pth"))) == 1
    assert len(list(environment_of(project).glob("lib/python*/site-packages/leaf.py"))) == 1
    assert not elsewhere.exists()
