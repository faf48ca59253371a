"""The environment that nox builds, tried offline with a copy of noxfile.py and a tiny project."""

import os
import shutil
import subprocess
import sys
import zipfile
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
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "PYTHON", "NOX"))}
    environment = clean | {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project)} | settings
    command = [sys.executable, "-m", "nox", "--non-interactive", *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def environment_of(project: Path) -> Path:
    (folder,) = (project / ".nox").iterdir()
    return folder


def test_install_only_builds_an_environment_that_the_next_run_uses(project: Path) -> None:
    built = nox(project, "--install-only", "-s", "ablate")
    assert built.returncode == 0, built.stderr
    assert "study called" not in built.stdout
    folder = environment_of(project)
    assert (folder / STAMPS["run"]).is_file()
    assert not (folder / STAMPS["dev"]).exists()

    ran = nox(project, "-s", "ablate", "--", "grids/other.yaml")
    assert "study called with ['run', 'grids/other.yaml']" in ran.stdout, ran.stderr
    assert "installing" not in ran.stderr


def test_an_environment_without_a_working_package_is_not_stamped(project: Path) -> None:
    (project / "study" / "__init__.py").write_text("import not_installed")
    failed = nox(project, "--install-only", "-s", "ablate")
    assert failed.returncode == 1
    assert "No module named 'not_installed'" in failed.stdout + failed.stderr
    assert not (environment_of(project) / STAMPS["run"]).exists()

    (project / "study" / "__init__.py").write_text("")
    assert "study called with ['ui']" in nox(project, "-s", "ui").stdout


def test_developer_tools_are_added_to_the_environment_and_only_a_new_dependency_rebuilds_it(project: Path) -> None:
    (project / "pytest.py").write_text("print('pytest ran')")  # beside `study`, so that it is importable
    assert nox(project, "--install-only", "-s", "ablate").returncode == 0
    mark = environment_of(project) / "mark"
    mark.touch()
    added = nox(project, "-s", "tests")
    assert "pytest ran" in added.stdout, added.stderr
    assert (environment_of(project) / STAMPS["dev"]).is_file()
    assert mark.exists()

    with (project / "pyproject.toml").open("a") as file:
        file.write("\n[tool.ruff]\nline-length = 100\n")
    assert "installing" not in nox(project, "-s", "tests").stderr
    (project / "requirements.lock").write_text("# another version\n")
    assert "installing" in nox(project, "-s", "ablate").stderr
    assert not mark.exists()


def test_settings_from_outside_do_not_misdirect_the_install(project: Path) -> None:
    elsewhere = project / "elsewhere"
    misdirecting = {name: str(elsewhere) for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONPATH")}
    misdirecting |= {"PIP_USER": "1", "PIP_NO_DEPS": "1"}
    ran = nox(project, "-s", "ablate", **misdirecting)
    assert "study called with ['run', 'grids/quickstart.yaml']" in ran.stdout, ran.stderr
    assert len(list(environment_of(project).glob("lib/python*/site-packages/tiny.pth"))) == 1
    assert len(list(environment_of(project).glob("lib/python*/site-packages/leaf.py"))) == 1
    assert not elsewhere.exists()
