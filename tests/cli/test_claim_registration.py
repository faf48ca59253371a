"""Claims are registered by `run` before its first stage; plan and report read the record and write nothing."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]

GRID = """\
study: registered
question: Is the record of the claims true?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 8, ffn_width_last: 8}
  finetune: {dataset: digits, epochs: 1, train_images: 100}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
claims:
  - {claim: exactly as good, kind: equivalent, cells: {kv heads: 1}, margin: 1e-6}
replicates: {min: 2, max: 3, until: claims}
"""
SECOND = "  - {claim: one head is faster, kind: less, cells: {kv heads: 1}, metric: train_seconds, margin: 1 h}\n"


def run(folder: Path) -> str:
    command = [sys.executable, "-m", "study", "run", "grid.yaml"]
    made = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"COLUMNS": "300"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_study_that_grows_has_a_true_record(place: Path, command: Command) -> None:
    """Written before any result; a second claim, changed afterwards, and a larger max are recorded with the results."""
    grid, report = place / "grid.yaml", place / "reports" / "registered"
    grid.write_text(GRID)
    code, planned, _ = command("plan", "grid.yaml")
    assert code == 0
    assert "The claim is not registered yet" in " ".join(planned.split())
    assert not (place / ".study").exists()

    output = run(place)
    assert "kv heads=1 against kv heads=2 (baseline); holds if the difference is between" in output
    assert "The claim was written before any result was stored" in output
    assert [row["results_before"] for row in rows(report / "claims.csv")] == ["0"]
    assert rows(report / "claims.csv")[0]["registered"].endswith("+00:00")
    for name in ("claims.md", "claims.tex", "report.html", "report.ipynb"):
        assert "written before any result was stored" in (report / name).read_text(), name

    grid.write_text(GRID.replace("replicates:", f"{SECOND}replicates:"))
    before = files(place / ".study")
    assert command("report", "grid.yaml")[0] == 0
    assert "claim 2 is not registered: it was written after 6 results" in (report / "claims.md").read_text()
    assert [row["registered"] == "" for row in rows(report / "claims.csv")] == [False, True]
    assert files(place / ".study") == before

    assert "claim 2 was written after 6 results" in run(place)
    assert [row["results_before"] for row in rows(report / "claims.csv")] == ["0", "6"]

    grid.write_text(grid.read_text().replace("margin: 1e-6", "margin: 2e-6").replace("max: 3", "max: 4"))
    output = run(place)
    assert "laim 1 changed after 6 results" in output
    assert "max raised from 3 to 4 after 6 results" in output
    assert "max raised from 3 to 4 after 6 results" in (report / "claims.tex").read_text()
    assert len(files(place / ".study" / "claims")) == 3


def test_the_time_is_unknown_for_results_without_a_record(finished: Path, command: Command) -> None:
    """A store of an earlier version: the report has no time; a later `run` does not make one up."""
    claim = "claims:\n  - {claim: c, kind: greater, cells: {kv heads: 2}}\nreplicates:"
    finished.write_text(finished.read_text().replace("replicates:", claim))
    _, planned, _ = command("plan", finished.name)
    assert "The time of the claims is not recorded." in planned
    code, output, error = command("run", finished.name)
    assert code == 0, output + error
    _, planned, _ = command("plan", finished.name)
    assert "first recorded after 4 results; when it was written is not known" in " ".join(planned.split())
