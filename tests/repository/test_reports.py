"""Which reports are committed: examples without the files made for papers; a user's own reports are ignored by git."""

import json
import subprocess

import pandas as pd
import pytest
from helpers.paths import GRIDS, ROOT

from study.report import analyse, read
from study.report.notebook_api import answers
from study.report.sections import Text, outline

EXAMPLES = ROOT / "reports" / "examples"
COMMITTED = {"report.ipynb", "report.html", "study.json", "grid.yaml", "table.md", "predictions.npz", "effects.png"}
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
    assert {name for name in names if not name.endswith(".csv")} == COMMITTED | {"index.html"}


def test_committed_reports_are_small() -> None:
    assert sum((ROOT / path).stat().st_size for path in git("ls-files", "reports").split()) <= LIMIT


EVERY = pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("*/")), ids=lambda path: path.name)


@EVERY
def test_a_committed_example_is_whole(folder) -> None:
    needed = (COMMITTED - {"effects.png"}) | {"results.csv", "cells.csv", "history.csv", "expert_load.csv"}
    assert needed <= {path.name for path in folder.iterdir()}


@EVERY
def test_the_sentences_of_a_committed_example_follow_from_its_numbers(folder) -> None:
    """The present code makes the same text from the numbers beside the notebook."""
    analysis, cells = analyse(read(folder)), json.loads((folder / "report.ipynb").read_text())["cells"]
    written = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    assert written == [cell.written for cell in outline(analysis) if isinstance(cell, Text)]
    (stored,) = (cell for cell in cells if "".join(cell["source"]).startswith("answers("))
    assert "".join(stored["outputs"][0]["data"]["text/plain"]) == answers(analysis).forms["text/plain"]


@EVERY
def test_a_committed_example_is_of_one_commit_and_one_code(folder) -> None:
    results = pd.read_csv(folder / "results.csv")
    done = results[results["status"] == "done"]
    assert done["code"].nunique() == 1
    (commit,) = set(done["commit"])
    assert len(commit) == 40, "a commit without uncommitted changes"
    assert not read(folder).facts.notices
    shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    assert shallow or git("cat-file", "-t", commit).strip() == "commit"


@EVERY
def test_the_grid_of_a_committed_example_is_the_one_in_grids(folder) -> None:
    lines = (GRIDS / f"{folder.name.replace('-', '_')}.yaml").read_text().splitlines(keepends=True)
    assert (folder / "grid.yaml").read_text() == "".join(line for line in lines if not line.startswith("# yaml-"))


@EVERY
def test_the_claims_of_a_committed_example_were_registered_before_its_results(folder) -> None:
    if not (folder / "claims.csv").exists():
        pytest.skip("no claims")
    claims = pd.read_csv(folder / "claims.csv")
    assert (claims["results_before"] == 0).all()
    last = max(origin.last for origin in read(folder).facts.origins)  # the first may be a pre-training of another study
    assert (claims["registered"] < last).all()
