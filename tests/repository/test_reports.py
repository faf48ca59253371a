"""Which reports are committed: examples without the files made for papers; a user's own reports are ignored by git."""

import subprocess

import pytest
from helpers.paths import ROOT

EXAMPLES = ROOT / "reports" / "examples"
COMMITTED = {"report.ipynb", "report.html", "study.json", "grid.yaml", "table.md", "effects.png"}
LIMIT = 6_000_000  # bytes of all committed reports


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout


pytestmark = pytest.mark.skipif(not git("ls-files", "reports"), reason="not a git checkout")


@pytest.mark.parametrize(
    "path",
    [
        "reports/mine/report.html",
        "reports/mine/results.csv",
        "reports/quickstart/figures/effects.png",
        "reports/examples/quickstart/table.tex",
        "reports/examples/quickstart/tables/effects.tex",
        "reports/examples/quickstart/figures/effects.svg",
        "reports/examples/quickstart/.building-1/results.csv",
    ],
)
def test_the_files_of_a_run_leave_the_checkout_clean(path: str) -> None:
    assert git("check-ignore", "--no-index", path).strip() == path


def test_committed_examples_hold_no_files_made_for_papers() -> None:
    names = {path.rpartition("/")[2] for path in git("ls-files", "reports/examples").split()}
    assert {name for name in names if not name.endswith(".csv")} == COMMITTED


def test_committed_reports_are_small() -> None:
    assert sum((ROOT / path).stat().st_size for path in git("ls-files", "reports").split()) <= LIMIT


@pytest.mark.parametrize("folder", sorted(path for path in EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_committed_example_is_whole(folder) -> None:
    needed = (COMMITTED - {"effects.png"}) | {"results.csv", "cells.csv", "history.csv", "expert_load.csv"}
    assert needed <= {path.name for path in folder.iterdir()}
