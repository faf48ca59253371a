"""The command line: output, exit codes and files. Commands that start Ray run as processes."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.tiny_grid import ONE_REPLICATE, TINY

from study.design.study import expand, load
from study.store.results import Store

Command = Callable[..., tuple[int, str, str]]


def study(*arguments: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "study", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=os.environ | environment
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_study_grows_by_a_replicate_and_its_report_is_rebuilt(finished: Path, place: Path, command: Command) -> None:
    """Another replicate runs only its own stages, a second run does nothing, and the report needs only the store."""
    finished.write_text(TINY)
    code, planned, _ = command("plan", finished.name, "--json")
    assert code == 0
    assert json.loads(planned)["trials"] == 8
    assert sum(stage["done"] for stage in json.loads(planned)["stages"]) == 6
    assert not (place / "reports").exists()

    grown = study("run", finished.name, folder=place)
    assert grown.returncode == 0, grown.stderr
    assert "6 done, 6 to run" in grown.stdout
    assert "6 of 6 stages run" in grown.stdout
    report = place / "reports" / "tiny"
    trials = rows(report / "results.csv")
    assert [row["status"] for row in trials] == ["done"] * 8
    assert len({row["run_id"] for row in trials}) == 8  # also those that were stored before
    assert all(0 <= float(row["test_accuracy"]) <= 1 for row in trials)

    again = study("run", finished.name, folder=place)
    assert again.returncode == 0, again.stderr
    assert "0 to run" in again.stdout
    assert "report up to date" in again.stdout

    for file in report.rglob("*"):
        if file.is_file():
            file.unlink()
    rebuilt = study("report", finished.name, folder=place)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rows(report / "results.csv") == trials


@pytest.mark.slow
def test_a_failed_trial_stops_no_other_and_is_retried(tiny: Path, place: Path) -> None:
    """A learning rate with which one cell diverges: its trial fails, all others finish, and the exit code is 1."""
    text = ONE_REPLICATE.replace(
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
    assert "0 of 1 stage run" in again.stdout
    assert "Not finished: 1 failed of 4 trials" in again.stdout


def test_a_report_of_failed_trials_ends_with_exit_code_1(finished: Path, command: Command) -> None:
    store = Store(".study")
    stage = unique_stages(expand(load(finished)))[-1]
    store.discard(stage)
    store.record_failure(stage, "loss became NaN")
    code, shown, _ = command("report", finished.name)
    assert code == 1
    assert "Not finished: 1 failed of 4 trials" in shown
    assert "reports/tiny/report.html" in shown


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("num_kv_heads: 1", "num_kv_head: 1"), 11, ["unknown key 'num_kv_head'", "did you mean 'num_kv_heads'"]),
        (("width: 16\n    depth: 2", "width: wide\n    depth: 2"), 8, ["encoder.width", '"wide"', "an integer"]),
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
def test_invalid_grids_are_one_clear_message(
    tiny: Path, place: Path, command: Command, change: tuple[str, str], line: int, words: list[str]
) -> None:
    """File, line, key, value and valid values; exit code 2; nothing written."""
    text = tiny.read_text()
    assert change[0] in text
    tiny.write_text(text.replace(change[0], change[1], 1))
    for verb in ("plan", "run"):
        code, _, message = command(verb, tiny.name)
        assert code == 2
        assert f"{tiny.name}:{line}:" in message
        assert len(message.strip().splitlines()) == 1
        for word in words:
            assert word in message
    assert [file.name for file in place.iterdir()] == [tiny.name]


def test_a_missing_grid(place: Path) -> None:
    ended = study("run", "nowhere.yaml", folder=place)
    assert ended.returncode == 2
    assert "grid file not found" in ended.stderr


def test_secrets_in_an_error_are_masked(place: Path, command: Command) -> None:
    """Whatever raised it: a path, an address or an option that was given."""
    code, _, message = command("plan", "grid.yaml?api_key=abc123def")
    assert code == 2
    assert "api_key=***" in message
    assert "abc123" not in message


def test_an_unusable_store_is_reported_before_anything_runs(tiny: Path, place: Path) -> None:
    (place / "taken").write_text("a file in place of the folder")
    ended = study("run", tiny.name, "--store", "taken", folder=place)
    assert ended.returncode == 2
    assert "taken" in ended.stderr
    assert "the store taken cannot be read: Not a directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_set_that_is_neither_cached_nor_online(tiny: Path, place: Path) -> None:
    tiny.write_text(
        tiny.read_text().replace("dataset: digits", "dataset: cifar10").replace("channels: 1", "channels: 3")
    )
    ended = study("run", tiny.name, folder=place, HF_HUB_OFFLINE="1", HF_HOME=str(place / "hub"), COLUMNS="400")
    assert ended.returncode == 2, ended.stdout
    assert "cifar10" in ended.stderr
    assert "parquet:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_report_is_not_overwritten_by_an_empty_one(tiny: Path, place: Path, command: Command) -> None:
    report = place / "reports" / "tiny" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("of another machine")
    Store(place / ".study").write("studies/other.json", b"{}")  # a store without results of this study
    code, _, message = command("report", tiny.name)
    assert code == 2
    assert "no results of 'tiny' in" in message
    assert report.read_text() == "of another machine"


@pytest.mark.slow
def test_replicates_are_added_in_the_same_run_until_claims_are_decided(place: Path, command: Command) -> None:
    """Two rounds in one sweep: MLflow has the trials of both, and the report has the verdict."""
    (place / "grid.yaml").write_text(
        "study: rounds\n"
        "question: Are more replicates required?\n"
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
    _, planned, _ = command("plan", "grid.yaml")
    assert "2 cells x 2 to 3 replicates, now 4 trials" in " ".join(planned.split())
    ran = study("run", "grid.yaml", folder=place)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 more stages: 2 cells x 2 to 3 replicates, now 6 trials" in ran.stdout
    assert "6 of 6 stages run" in ran.stdout
    assert "Claim “exactly as good”: undecided" in ran.stdout
    report = place / "reports" / "rounds"
    assert [row["verdict"] for row in rows(report / "claims.csv")] == ["undecided"]
    assert len({row["run_id"] for row in rows(report / "results.csv")}) == 6
    _, planned, _ = command("plan", "grid.yaml")
    assert "6 done, 0 to run" in " ".join(planned.split())
