"""Growing a study: with more levels, factors, replicates or sampled cells only the missing stages are run."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.distinct_stages import unique_stages
from helpers.looks import make_plan

from study.design.stages import stages_of
from study.design.study import Study, expand, load
from study.store.results import Result, Store

BASELINE = {
    "encoder": {"image_size": 8, "patch_size": 2, "channels": 1, "width": 12, "depth": 3, "top_k": 1},
    "pretrain": {"dataset": "digits"},
    "finetune": {"dataset": "digits"},
}
HEADS = {"path": "encoder.num_kv_heads", "levels": [3, 6]}
TRAINING = {"path": "pretrain", "levels": [None], "baseline": "digits"}
BIAS = {"path": "encoder.bias", "levels": [False]}  # the baseline level is an implicit default
SMALL = {"heads": HEADS, "pre-training": TRAINING}


def study_of(folder: Path, factors: dict[str, Any], **keys: Any) -> Study:
    data = {"study": "grows", "question": "What?", "baseline": BASELINE, "replicates": 2, "factors": factors, **keys}
    path = folder / "grid.yaml"
    path.write_text(json.dumps(data))
    return load(path)


def finished(study: Study, store: Store) -> None:
    store.prepare()
    for stage in unique_stages(expand(study)):
        store.save(stage, Result({}, {}, [], []), b"", {})


def to_run(study: Study, store: Store) -> set[tuple[str, int]]:
    """Cells and replicates with missing stages."""
    missing = {stage.key for stage in make_plan(study, store).missing}
    return {
        (trial.cell.name, trial.replicate)
        for trial in expand(study)
        if missing & {stage.key for stage in stages_of(trial)}
    }


def both(*cells: str) -> set[tuple[str, int]]:
    return {(cell, replicate) for cell in cells for replicate in (1, 2)}


DESIGNS: list[dict[str, Any]] = [
    {"design": "one_factor"},
    {"design": "leave_one_out"},
    {"design": "add_one"},
    {"design": ["leave_one_out", "add_one"]},
    {"design": "factorial"},
    {"design": "factorial", "sample": 3},
    {"design": "factorial", "sample": {"cells": 3, "method": "random"}},
]


@pytest.mark.parametrize("keys", DESIGNS, ids=str)
def test_only_added_replicates_are_run(keys: dict[str, Any], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    finished(study_of(tmp_path, SMALL, **keys), store)
    assert to_run(study_of(tmp_path, SMALL, **keys), store) == set()
    grown = study_of(tmp_path, SMALL, replicates=3, **keys)
    assert to_run(grown, store) == {(cell.name, 3) for cell in grown.cells}


@pytest.mark.parametrize(
    ("keys", "cells"),
    [
        ({"design": "one_factor"}, ["heads=1"]),
        ({"design": "factorial"}, ["heads=1", "heads=1, pre-training=none"]),
    ],
)
def test_only_the_new_level_is_run(keys: dict[str, Any], cells: list[str], tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    finished(study_of(tmp_path, SMALL, **keys), store)
    grown = study_of(tmp_path, {**SMALL, "heads": {**HEADS, "levels": [1, 3, 6]}}, **keys)
    assert to_run(grown, store) == both(*cells)


@pytest.mark.parametrize(
    ("keys", "cells"),
    [
        ({"design": "one_factor"}, ["bias=off"]),
        ({"design": "leave_one_out"}, ["bias=off"]),
        ({"design": "add_one"}, ["bias=off"]),
        # the old bare model is now the new one with biases added to it
        ({"design": ["leave_one_out", "add_one"]},
         ["bias=off", "heads=6, pre-training=none, bias=off", "pre-training=none, bias=off", "heads=6, bias=off"]),
        ({"design": "factorial"},
         ["bias=off", "heads=6, bias=off", "pre-training=none, bias=off", "heads=6, pre-training=none, bias=off"]),
    ],
)  # fmt: skip
def test_only_the_new_factor_is_run(keys: dict[str, Any], cells: list[str], tmp_path: Path) -> None:
    """All earlier cells are at its baseline level, so their keys are unchanged."""
    store = Store(tmp_path / "store")
    finished(study_of(tmp_path, SMALL, **keys), store)
    assert to_run(study_of(tmp_path, {**SMALL, "bias": BIAS}, **keys), store) == both(*cells)


@pytest.mark.parametrize("method", ["space_filling", "random"])
def test_only_the_added_cells_of_a_larger_sample_are_run(method: str, tmp_path: Path) -> None:
    store, factors = Store(tmp_path / "store"), {**SMALL, "bias": BIAS}
    few, many = (
        study_of(tmp_path, factors, design="factorial", sample={"cells": cells, "method": method}) for cells in (3, 6)
    )
    finished(few, store)
    assert to_run(many, store) == both(*(cell.name for cell in many.cells[3:]))


def test_designs_share_stored_stages(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    finished(study_of(tmp_path, SMALL), store)
    assert to_run(study_of(tmp_path, SMALL, design="factorial"), store) == both("heads=6, pre-training=none")
