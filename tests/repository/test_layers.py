"""The packages of study/, and which of them work without torch, Ray, MLflow and Optuna.

The order of the layers is written once, in pyproject.toml, and enforced by import-linter (`nox -s lint`), which reads
the source. These tests import the modules in fresh processes where the packages cannot be imported.
"""

import ast
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest
from helpers.paths import ROOT

SWEEPING = ("ray", "mlflow", "optuna")

WITHOUT_TORCH = [
    "study.vit.settings", "study.vit.counts", "study.design", "study.store", "study.planning.plan",
    "study.tracking.ledger", "study.vit.data", "study.analysis", "study.report", "study.cli", "study.launch",
]  # fmt: skip
WITHOUT_SWEEPING = ["study.vit", "study.execution.run_stage"]
ONLY_IN = {"ray": "execution/", "mlflow": "tracking/", "optuna": "tuning/"}


def layers() -> set[str]:
    """The packages that the contract in pyproject.toml orders."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (order,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name.strip() for layer in order for name in layer.split(":")}


def test_every_module_is_in_one_of_the_twelve_packages() -> None:
    inside = [path.relative_to(ROOT / "study") for path in (ROOT / "study").rglob("*.py")]
    assert {path.parts[0] for path in inside} == layers() | {"__init__.py", "__main__.py"}
    assert len(layers()) == 12


def test_every_folder_of_modules_is_a_package_with_a_docstring() -> None:
    folders = {path.parent for path in (ROOT / "study").rglob("*.py")}
    without = [folder for folder in folders if not (folder / "__init__.py").is_file()]
    assert without == []
    undocumented = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "study").rglob("*.py")
        if ast.get_docstring(ast.parse(path.read_text())) in (None, "TODO")
    ]
    assert undocumented == []


def run_without(packages: tuple[str, ...], script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a script in a process where importing any of the packages fails."""
    blocked = f"""
        import sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {packages!r}:
                    raise ModuleNotFoundError(f"{{name}} must not be imported here")
        sys.meta_path.insert(0, Blocked())
    """
    command = [sys.executable, "-c", textwrap.dedent(blocked) + textwrap.dedent(script), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def modules_of(packages: list[str]) -> list[str]:
    """These modules and all inside them, by their files."""
    found = []
    for package in packages:
        place = ROOT / package.replace(".", "/")
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        found += [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in found]


@pytest.mark.parametrize(
    ("packages", "modules"),
    [
        (("torch", *SWEEPING), [name for name in modules_of(WITHOUT_TORCH) if name != "study.vit.data.tensors"]),
        (SWEEPING, modules_of(WITHOUT_SWEEPING)),
    ],
    ids=["without torch", "without ray, mlflow and optuna"],
)
def test_modules_import_without(packages: tuple[str, ...], modules: list[str]) -> None:
    ended = run_without(packages, "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *modules)
    assert ended.returncode == 0, ended.stderr


def test_a_plan_is_made_without_torch(tiny: Path) -> None:
    script = "sys.argv = ['study', 'plan', sys.argv[1]]\nfrom study.cli.app import main\nmain()"
    ended = run_without(("torch", *SWEEPING), script, str(tiny))
    assert "4 cells x 2 replicates = 8 trials" in ended.stdout, ended.stderr


@pytest.mark.parametrize("package", SWEEPING)
def test_each_of_these_packages_is_imported_in_one_place(package: str) -> None:
    """So that it can be exchanged. Imports in templates are text and do not count."""
    importing = [
        str(file.relative_to(ROOT / "study"))
        for file in sorted((ROOT / "study").rglob("*.py"))
        if any(_imports(node, package) for node in ast.walk(ast.parse(file.read_text())))
    ]
    assert [name for name in importing if not name.startswith(ONLY_IN[package])] == []


def _imports(node: ast.AST, package: str) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
    return any(name.partition(".")[0] == package for name in names)
