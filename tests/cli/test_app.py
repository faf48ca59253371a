"""The command line as a user meets it: a process, its output, its exit code, and what it leaves on disk."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def study(*arguments: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=os.environ | environment
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_from_grid_to_report_and_again(tiny: Path, place: Path) -> None:
    """The whole way: plan, run, report. A replicate more runs only what it adds, a second run runs nothing, and the
    report is rebuilt from the store alone."""
    text = tiny.read_text()
    tiny.write_text(text.replace("replicates: 2", "replicates: 1"))
    planned = study("plan", tiny.name, "--json", folder=place)
    assert json.loads(planned.stdout)["trials"] == 4
    assert not (place / ".study").exists()

    first = study("run", tiny.name, folder=place)
    assert first.returncode == 0, first.stderr
    assert "6 of 6 stages run" in first.stdout
    tiny.write_text(text)
    grown = study("run", tiny.name, folder=place)
    assert grown.returncode == 0, grown.stderr
    assert "6 done, 6 to run" in grown.stdout
    assert "6 of 6 stages run" in grown.stdout
    report = place / "reports" / "tiny"
    trials = rows(report / "results.csv")
    assert [row["status"] for row in trials] == ["done"] * 8
    assert len({row["run_id"] for row in trials}) == 8
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in trials)

    again = study("run", tiny.name, folder=place)
    assert again.returncode == 0, again.stderr
    assert "0 to run" in again.stdout
    assert "report up to date" in again.stdout

    for file in report.rglob("*"):
        if file.is_file():
            file.unlink()
    rebuilt = study("report", tiny.name, folder=place)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rows(report / "results.csv") == trials


def test_one_failure_is_told_and_stops_nothing_else(tiny: Path, place: Path) -> None:
    """A learning rate that makes one cell diverge: its trials fail, all others finish, the exit code is 1."""
    text = tiny.read_text().replace("replicates: 2", "replicates: 1")
    text = text.replace(
        "levels: [finetune, probe]",
        "levels: [{label: wild, set: {finetune.learning_rate: 1.0e+30, finetune.clip_norm: 0}}]",
    )
    tiny.write_text(text)
    ran = study("run", tiny.name, folder=place)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 stage failed" in ran.stdout
    trials = {row["cell"]: row for row in rows(place / "reports" / "tiny" / "results.csv")}
    assert trials["mode=wild"]["status"] == "failed"
    assert "epoch" in trials["mode=wild"]["reason"]
    assert {row["status"] for cell, row in trials.items() if cell != "mode=wild"} == {"done"}
    again = study("run", tiny.name, folder=place)
    assert again.returncode == 1
    assert "0 of 1 stages run" in again.stdout
    rebuilt = study("report", tiny.name, folder=place)
    assert rebuilt.returncode == 1
    assert "Not finished: 1 failed of 4 trials" in rebuilt.stdout


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("num_kv_heads: 1", "num_kv_head: 1"), 11, ["unknown key 'num_kv_head'", "did you mean 'num_kv_heads'"]),
        (("width: 16\n    depth: 2", "width: wide\n    depth: 2"), 8, ["encoder.width", '"wide"', "whole number"]),
        (("num_heads: 2\n    num_kv", "num_heads: 3\n    num_kv"), 10, ["num_heads", "width 16", "1, 2, 4, 8, 16"]),
        (("patch_size: 2", "patch_size: 3"), 6, ["patch_size", "image_size 8", "1, 2, 4, 8"]),
        (("[2, 3]", "[1, 3]"), 4, ["top_k: 2", "[1, 3]"]),
        (("dataset: digits, epochs: 2", "dataset: digit, epochs: 2"), 20, ["'digit'", "digits"]),
        (("levels: [1, 2]", "levels: []"), 22, ["kv heads", "levels"]),
        (("levels: [1, 2]", "levels: [2, 2]"), 22, ["duplicate level"]),
        (("levels: [1, 2]", "levels: [1]"), 22, ["changes nothing"]),
        (("levels: [1, 2]", "levels: [1, 2"), 22, ["not valid YAML"]),
        (("path: encoder.num_kv_heads", "path: encoder.kv"), 22, ["kv"]),
    ],
)  # fmt: skip
def test_bad_grids_are_one_clear_message(
    tiny: Path, place: Path, change: tuple[str, str], line: int, words: list[str]
) -> None:
    """File, line, key, value and what was possible; exit code 2; nothing written."""
    text = tiny.read_text()
    assert change[0] in text
    tiny.write_text(text.replace(change[0], change[1], 1))
    for verb in ("plan", "run"):
        ended = study(verb, tiny.name, folder=place, COLUMNS="400")
        assert ended.returncode == 2
        assert f"{tiny.name}:{line}:" in ended.stderr
        assert len(ended.stderr.strip().splitlines()) == 1
        assert "Traceback" not in ended.stderr
        for word in words:
            assert word in ended.stderr
    assert [file.name for file in place.iterdir()] == [tiny.name]


def test_a_missing_grid_names_those_there_are(place: Path) -> None:
    ended = study("run", "nowhere.yaml", folder=place)
    assert ended.returncode == 2
    assert "no such grid file" in ended.stderr


def test_a_store_that_cannot_be_written_is_said_before_anything_runs(tiny: Path, place: Path) -> None:
    (place / "taken").write_text("a file where a folder should be")
    ended = study("run", tiny.name, "--store", "taken", folder=place)
    assert ended.returncode == 2
    assert "taken" in ended.stderr
    assert "cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_offline_without_a_copy_says_both_ways_out(tiny: Path, place: Path) -> None:
    tiny.write_text(
        tiny.read_text().replace("dataset: digits", "dataset: cifar10").replace("channels: 1", "channels: 3")
    )
    ended = study("run", tiny.name, folder=place, HF_HUB_OFFLINE="1", HF_HOME=str(place / "hub"), COLUMNS="400")
    assert ended.returncode == 2, ended.stdout
    assert "cifar10" in ended.stderr
    assert "parquet:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_report_made_elsewhere_is_not_overwritten_by_an_empty_one(tiny: Path, place: Path) -> None:
    report = place / "reports" / "tiny" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("made elsewhere")
    ended = study("report", tiny.name, folder=place, COLUMNS="400")
    assert ended.returncode == 2
    assert "run it first" in ended.stderr
    assert report.read_text() == "made elsewhere"


def test_replicates_are_added_in_the_same_run_until_claims_are_decided(place: Path) -> None:
    """Two rounds in one sweep; MLflow hears of the trials of both, and the report gives the verdict."""
    (place / "grid.yaml").write_text(
        "study: rounds\n"
        "question: Are more replicates asked for?\n"
        "baseline:\n"
        "  encoder: {image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,\n"
        "            experts_by_depth: [1], top_k: 1, ffn_width_first: 8, ffn_width_last: 8}\n"
        "  finetune: {dataset: digits, epochs: 1, train_images: 100}\n"
        "factors:\n"
        "  kv heads: {path: encoder.num_kv_heads, levels: [1]}\n"
        "claims:\n"
        "  - {claim: exactly as good, kind: equivalent, cells: {kv heads: 1}, margin: 1e-6}\n"
        "replicates: {min: 2, max: 3, until: claims}\n"
    )
    planned = study("plan", "grid.yaml", folder=place)
    assert "2 cells x 2 to 3 replicates, now 4 trials" in planned.stdout, planned.stderr
    ran = study("run", "grid.yaml", folder=place)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 more stages: 2 cells x 2 to 3 replicates, now 6 trials" in ran.stdout
    assert "6 of 6 stages run" in ran.stdout
    assert "Claim “exactly as good”: undecided" in ran.stdout
    report = place / "reports" / "rounds"
    assert [row["verdict"] for row in rows(report / "claims.csv")] == ["undecided"]
    assert len({row["run_id"] for row in rows(report / "results.csv")}) == 6
    again = study("run", "grid.yaml", folder=place)
    assert "6 done, 0 to run" in again.stdout
