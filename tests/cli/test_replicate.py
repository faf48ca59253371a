"""`study replicate`: a new grid, what it refuses, and a replication from the first run to its answer."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]

GRID = """\
study: heads
question: Does the claim hold again?
baseline:
  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 8, ffn_width_last: 8}
  finetune: {dataset: digits, epochs: 1, train_images: 100}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1]}
claims:
  - {claim: one head is as good, kind: equivalent, cells: {kv heads: 1}, margin: 100 points}
replicates: 2
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path


def test_the_new_grid_and_the_next_commands(place: Path, command: Command) -> None:
    code, output, _ = command("replicate", "grid.yaml", "--replicates", "4", "--store", "results")
    assert code == 0
    assert output.splitlines() == [
        "heads-replication.yaml: heads-replication tests 1 claim of heads again, with 4 replicates and new seeds",
        "to check it: python -m study plan heads-replication.yaml --store results",
        "to run it: python -m study run heads-replication.yaml --store results",
    ]
    code, output, _ = command("plan", "heads-replication.yaml")
    assert code == 0
    assert "replication of heads with new seeds: no stage is shared with it, pre-training included" in output
    assert "2 cells x 4 replicates = 8 trials" in output
    assert {path.name for path in place.iterdir()} == {"grid.yaml", "heads-replication.yaml"}


def test_another_name_and_file(place: Path, command: Command) -> None:
    (place / "grids").mkdir()
    (place / "grid.yaml").write_text(f"# yaml-language-server: $schema=grid.schema.json\n{GRID}")
    code, output, _ = command("replicate", "grid.yaml", "--name", "second", "--out", "grids/new.yaml")
    assert code == 0, output
    text = (place / "grids" / "new.yaml").read_text()
    assert "study: second\n" in text
    assert "schema" not in text  # its relative path would be wrong in the other folder


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        (("", ""), ["--replicates", "1"], "invalid value --replicates 1: must be 2"),
        ((GRID[GRID.index("claims:") : GRID.index("replicates:")], ""),
         [], "grid.yaml: claims: the grid has no claims"),
        (("margin: 100 points", "margin: 100 k, metric: params"),
         [], "only claims on metrics that do not differ by replicate"),
        (("replicates: 2", "replicates: {min: 2, max: 4, until: claims}"), [], "are adaptive; give the fixed number"),
        (("", ""), ["--out", "grid.yaml"], "grid.yaml exists; remove it"),
        (("", ""), ["--name", "heads"], "is the name of the original"),
        (("", ""), ["--name", "a b"], "invalid name 'a b' of the new study"),
        (("", ""), ["--out", "missing/new.yaml"], "cannot write missing/new.yaml: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_replicated_is_refused(
    changed: tuple[str, str], options: list[str], message: str, place: Path, command: Command
) -> None:
    (place / "grid.yaml").write_text(GRID.replace(*changed))
    before = (place / "grid.yaml").read_bytes()
    code, output, error = command("replicate", "grid.yaml", *options)
    assert (code, output) == (2, "")
    assert message in error
    assert error.count("error:") == 1
    assert [path.name for path in place.iterdir()] == ["grid.yaml"]
    assert (place / "grid.yaml").read_bytes() == before


def test_adaptive_replicates_with_a_fixed_number(place: Path, command: Command) -> None:
    (place / "grid.yaml").write_text(GRID.replace("replicates: 2", "replicates: {min: 2, max: 4, until: claims}"))
    assert command("replicate", "grid.yaml", "--replicates", "3")[0] == 0
    assert "replicates: 3\n" in (place / "heads-replication.yaml").read_text()


@pytest.mark.slow
def test_from_the_first_run_to_the_answer(place: Path, command: Command) -> None:
    """Accuracies differ by at most 100 points, so with SD above 0 the verdict is supported or undecided in both."""
    run(place, "grid.yaml")
    assert command("replicate", "grid.yaml", "--replicates", "2")[0] == 0
    output = run(place, "heads-replication.yaml")
    assert "4 stages" in output  # none is shared
    assert "Replication: " in output
    assert "of the study heads held" in output
    assert "not in this store" in run(place, "heads-replication.yaml", "--store", "other", "--reports", "others")


def run(folder: Path, *arguments: str) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "study", "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | {"COLUMNS": "300"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout
