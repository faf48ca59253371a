"""A model file is edited between two sweeps, in a copy of the package: the earlier results are marked as outdated."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

GRID = """\
study: edited
question: Which code computed this?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 8, ffn_width_last: 8}
  finetune: {dataset: digits, epochs: 1, train_images: 100}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
replicates: 1
"""
ATTENTION = Path("study/vit/models/attention.py")


class Copy:
    """A copy of the package, and a folder in which it is used."""

    def __init__(self, folder: Path) -> None:
        self.root, self.place = folder / "copy", folder / "place"
        shutil.copytree(ROOT / "study", self.root / "study", ignore=shutil.ignore_patterns("__pycache__"))
        self.place.mkdir()
        (self.place / "grid.yaml").write_text(GRID)

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "study", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("STUDY_", "MLFLOW_"))}
        environment["PYTHONPATH"] = str(self.root)
        ended = subprocess.run(
            command, cwd=self.place, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def edit(self, path: Path, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert text.count(old) == 1, path
        (self.root / path).write_text(text.replace(old, new))

    @property
    def results(self) -> list[dict[str, str]]:
        return self.table("results.csv")

    @property
    def losses(self) -> list[str]:
        return [row["train_loss"] for row in self.table("history.csv")]

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.place / "reports" / "edited" / name).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.mark.system
def test_results_of_an_edited_model_are_reported_and_computed_again_on_request(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    assert "notice" not in copy.run("run", "grid.yaml")
    before, losses = copy.results, copy.losses

    copy.edit(ATTENTION, "self.out(attend(", "0.0 * self.out(attend(")
    notice = f"2 of 2 results were computed by other code (files: {ATTENTION});"
    assert copy.run("plan", "grid.yaml").startswith(f"notice: {notice}")
    assert json.loads(copy.run("plan", "grid.yaml", "--json"))["notices"][0].startswith(notice)
    again = copy.run("run", "grid.yaml")  # the results are used, and marked
    assert again.startswith(f"notice: {notice}")
    assert "2 done, 0 to run" in again
    report = copy.place / "reports" / "edited"
    assert (report / "table.md").read_text().startswith(notice.split("(")[0])
    assert json.loads((report / "report.ipynb").read_text())["metadata"]["study"]["sections"][0] == "Notices"
    assert copy.results == before

    recomputed = copy.run("run", "grid.yaml", "--recompute-outdated")
    assert "2 results of other code" in recomputed
    assert "0 done, 2 to run" in recomputed
    assert "notice" not in recomputed
    after = copy.results
    assert [row["key"] for row in after] == [row["key"] for row in before]
    assert {row["code"] for row in after}.isdisjoint(row["code"] for row in before)
    assert len(copy.losses) == 2
    assert set(copy.losses).isdisjoint(losses)

    copy.edit(Path("study/report/sections.py"), "These concern all numbers that follow.", "Read these first.")
    copy.edit(ATTENTION, "import torch\n", "import torch  # a comment\n")
    assert "notice" not in copy.run("plan", "grid.yaml")
