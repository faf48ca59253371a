"""Looks at adaptive replicates under training that diverges: real sweeps, alone and with two drivers on one store."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from study.design.stages import stages_of
from study.design.study import Study, expand, load
from study.execution.run_stage import run_stage
from study.store.results import Store
from study.vit.training.loop import Diverged

GRID = """\
study: wild
question: What does a learning rate near divergence cost?
baseline:
  encoder: {{image_size: 8, patch_size: 4, channels: 1, width: 16, depth: 1, num_heads: 2, num_kv_heads: 2,
            experts_by_depth: [1], top_k: 1, ffn_width_first: 16, ffn_width_last: 16}}
  finetune: {{dataset: digits, epochs: 3, train_images: 200, batch_size: 20, optimizer: sgd, clip_norm: 0}}
factors:
  rate: {{path: finetune.learning_rate, levels: [{{label: wild, value: {rate}}}], baseline: usual}}
claims:
  - {{claim: a wild rate is exactly as good, kind: equivalent, cells: {{rate: wild}}, margin: 1e-6}}
replicates: {{min: 2, max: 4, until: claims}}
seed: {seed}
"""
ABSURD = GRID.format(rate="1.0e+30", seed=0)


def start(place: Path, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-u", "-m", "study", "run", "grid.yaml", "--reports", name]
    command += ["--tracking-uri", f"sqlite:///{name}.db"]
    with (place / f"{name}.txt").open("wb") as out:
        return subprocess.Popen(command, cwd=place, stdout=out, stderr=subprocess.STDOUT, env=os.environ)


def end(place: Path, name: str, driver: "subprocess.Popen[bytes]") -> str:
    """The output of a driver, some stages of which failed."""
    code = driver.wait(400)
    output = (place / f"{name}.txt").read_text()
    assert code == 1, output
    return output


def looks(place: Path) -> dict[str, bytes]:
    """The record of the looks, by file."""
    return {path.name: path.read_bytes() for path in sorted((place / ".study/claims/wild/looks").iterdir())}


def recorded(place: Path) -> dict[int, list[list[str]]]:
    """By the replicates of a look: the keys in each of its entries."""
    found: dict[int, list[list[str]]] = {}
    for data in looks(place).values():
        entry = json.loads(data)
        found.setdefault(entry["replicates"], []).append(entry["failed"])
    return found


def keys(study: Study, replicates: set[int]) -> list[str]:
    """Of the fine-tunings with the wild rate."""
    trials = [trial for trial in expand(study) if trial.cell.name == "rate=wild" and trial.replicate in replicates]
    return sorted(stages_of(trial)[-1].key for trial in trials)


def verdict(place: Path, reports: str) -> dict[str, str]:
    with (place / reports / "wild" / "claims.csv").open(newline="") as file:
        return next(csv.DictReader(file))


def diverged(study: Study, store: Store) -> Iterator[int]:
    """The replicates of the cell with the wild rate that diverge, of which the first two are trained first."""
    for trial in expand(study):
        if trial.cell.name == "rate=wild":
            try:
                run_stage(stages_of(trial)[-1], store, "cpu", lambda row: None)
            except Diverged:
                yield trial.replicate


def diverging_late(place: Path) -> tuple[str, set[int]]:
    """A grid of which replicates 1 and 2 train and others diverge, and these others.

    It is searched for, because the processor's rounding decides which diverge at a rate between those at which all
    train and those at which none does.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the workers
    try:
        for attempt in range(60):
            text = GRID.format(rate=0.8 + 0.02 * (attempt % 4), seed=attempt)
            (place / "grid.yaml").write_text(text)
            found = set(diverged(load(place / "grid.yaml"), Store(place / f"tried/{attempt}")))
            if found and found <= {3, 4}:
                return text, found
    finally:
        torch.set_num_threads(threads)
    raise AssertionError("no rate found at which only later replicates diverge")


@pytest.mark.system
def test_training_that_diverges_between_two_looks_counts_at_the_second_only(place: Path) -> None:
    """The first look has no failure and leaves the claim undecided. The run after that retries what has diverged, to
    the same end, and adds nothing to the record."""
    text, late = diverging_late(place)
    (place / "grid.yaml").write_text(text)
    study = load(place / "grid.yaml")
    output = end(place, "one", start(place, "one"))
    assert "4 more stages: 2 cells x 2 to 4 replicates, now 8 trials" in output
    assert "diverged in epoch" in output
    assert recorded(place) == {4: [keys(study, late)]}
    first, before = verdict(place, "one"), looks(place)
    assert first["verdict"] == "undecided"
    assert first["note"].startswith(f"{len(late)} of 4 replicates of rate=wild failed")

    again = end(place, "one", start(place, "one"))
    assert f"0 of {len(late)} stage" in again
    assert looks(place) == before
    assert verdict(place, "one") == first


@pytest.mark.nightly
@pytest.mark.system
def test_two_drivers_record_the_same_looks_once(place: Path) -> None:
    """Every replicate with the wild rate diverges, so both drivers have failures to record at each of two looks."""
    (place / "grid.yaml").write_text(ABSURD)
    study = load(place / "grid.yaml")
    drivers = {name: start(place, name) for name in ("one", "two")}
    for name, driver in drivers.items():
        assert "Traceback" not in end(place, name, driver)
    assert recorded(place) == {2: [keys(study, {1, 2})], 4: [keys(study, {1, 2, 3, 4})]}
    assert verdict(place, "one") == verdict(place, "two")
