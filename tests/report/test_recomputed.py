"""Every number in the derived files of a report, recomputed by a script that has no code of `study`."""

import ast
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers import recompute
from helpers.paths import ROOT
from helpers.report_csvs import write_csvs

from study.report import read

EXAMPLES = ROOT / "reports" / "examples"
STUDIES = ("quickstart", "paper", "add-one", "leave-one-out", "both-ends", "factorial", "fractional", "sample")
RAW = {"results.csv", "history.csv", "expert_load.csv", "tuning.csv", "device.csv"}
KEYS = {"number", "group", "replicate", "epoch", "block", "rank", "results_before"}  # which row, or not in the report
NOT_RECOMPUTED = {"bootstrap_low", "bootstrap_high", "x"}  # random resamples, and a position that keeps points apart


@pytest.fixture(scope="module", params=STUDIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a report, derived by the present code from the committed results."""
    return write_csvs(read(EXAMPLES / request.param), tmp_path_factory.mktemp("recomputed") / request.param)


def derived(folder: Path) -> dict[str, pd.DataFrame]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.csv")}
    return {name: pd.read_csv(path) for name, path in files.items() if name not in RAW}


def test_every_number_is_recomputed(folder: Path) -> None:
    differences, compared = recompute.check(folder)
    assert list(map(str, differences)) == []
    for file, table in derived(folder).items():
        numbers = {name for name in table if pd.api.types.is_numeric_dtype(table[name]) and table[name].notna().any()}
        factors = set(recompute.Raw(folder).factors)  # levels such as 2 and 4
        left = numbers - compared.get(file, set()) - KEYS - NOT_RECOMPUTED - factors
        assert left - {"level", "level_a", "level_b"} == set(), file


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    folder = write_csvs(read(EXAMPLES / "quickstart"), tmp_path / "report")
    for file, column, row in (
        ("cells.csv", "high", 2),
        ("claims.csv", "p_adjusted", 1),
        ("figures/effects.csv", "sd", 0),
    ):
        whole = shutil.copytree(folder, tmp_path / column)
        table = pd.read_csv(whole / file, dtype=str, keep_default_na=False)
        table.loc[row, column] = str(float(table.loc[row, column]) * 1.1)
        table.to_csv(whole / file, index=False)
        (difference,) = recompute.check(whole)[0]
        assert (difference.expected.file, difference.expected.column) == (file, column)


def test_the_script_has_no_code_of_the_project() -> None:
    for path in (ROOT / "tests" / "helpers" / "recompute").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in modules if name.split(".")[0] == "study"], path
        assert not [
            name for name in modules if name.startswith("helpers.") and not name.startswith("helpers.recompute")
        ]
