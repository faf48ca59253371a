"""Every number in the derived files of a report, recomputed by a script that has no code of `study`."""

import ast
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers import recompute
from helpers.looks import collect
from helpers.paths import ROOT
from helpers.predicted_samples import with_predictions
from helpers.report_csvs import write_csvs
from helpers.report_samples import KV_HEADS, PRETRAINING, make_study, put

from study.design.stages import stages_of
from study.design.study import expand
from study.report import Results, read
from study.store.results import Store

EXAMPLES = ROOT / "reports" / "examples"
STUDIES = ("quickstart", "paper", "add-one", "leave-one-out", "both-ends", "factorial", "fractional", "sample")
RAW = {"results.csv", "history.csv", "expert_load.csv", "tuning.csv", "device.csv"}
KEYS = {
    "number",
    "claim",
    "group",
    "replicate",
    "epoch",
    "block",
    "rank",
    "index",
    "label",
    "results_before",
}  # which row, or not in the report
LEVELS = {"level", "level_a", "level_b", "baseline", "true", "predicted"}  # labels that may look like numbers
NOT_RECOMPUTED = {
    *("bootstrap_low", "bootstrap_high"),  # random resamples
    "x",  # a position that keeps points apart
    *("training_macs", "pretrain_images", "finetune_images"),  # from all settings of a cell, which no raw file has
}


@pytest.fixture(scope="module", params=STUDIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a report, derived by the present code from the committed results."""
    return write_csvs(read(EXAMPLES / request.param), tmp_path_factory.mktemp("recomputed") / request.param)


def made_up(results: Results, folder: Path) -> Path:
    """The same for made-up results, whose sizes are not those of the settings that budgets are computed from."""
    (write_csvs(results, folder) / "budgets.csv").unlink()
    return folder


def derived(folder: Path) -> dict[str, pd.DataFrame]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.csv")}
    return {name: pd.read_csv(path) for name, path in files.items() if name not in RAW}


def test_every_number_is_recomputed(folder: Path) -> None:
    assert_recomputed(folder, {"cells.csv", "figures/effects.csv"})


def assert_recomputed(folder: Path, files: set[str]) -> None:
    """No difference, and no column of numbers that was not compared; these files are among them."""
    differences, compared = recompute.check(folder)
    assert list(map(str, differences)) == []
    assert files <= compared.keys()
    for file, table in derived(folder).items():
        numbers = {name for name in table if pd.api.types.is_numeric_dtype(table[name]) and table[name].notna().any()}
        factors = set(recompute.Raw(folder).factors)  # levels such as 2 and 4
        left = numbers - compared.get(file, set()) - KEYS - NOT_RECOMPUTED - factors
        assert left - LEVELS == set(), file


@pytest.mark.parametrize("failures", ["undecided", "exclude"])
def test_numbers_with_failed_trials_are_recomputed(failures: str, tmp_path: Path) -> None:
    """Three replicates of one cell of a 2 x 2 design failed: fixed weights, and no tests unless they are excluded."""
    study = make_study(
        tmp_path,
        {
            "heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
            "depth": {"path": "encoder.depth", "levels": [6, 4]},
        },
        design="factorial",
        replicates=5,
        failures=failures,
        claims=[{"claim": "fewer heads cost accuracy", "kind": "less", "cells": {"heads": 1}}],
    )
    store = Store(tmp_path / "store")
    for trial in expand(study):
        noise = 0.001 * ((3 * trial.replicate * trial.replicate + len(trial.cell.name)) % 7)
        if len(trial.cell.changed) == 2 and trial.replicate > 2:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, 0.9 - 0.02 * len(trial.cell.changed) + noise)
    folder = made_up(collect(study, store), tmp_path / "report")
    assert_recomputed(folder, {"claims.csv", "cells.csv", "figures/effects.csv", "figures/variance.csv"})


def test_numbers_from_predictions_are_recomputed(tmp_path: Path) -> None:
    """60 test images of four classes; one trial failed, so that its cell has fewer replicates."""
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, failures="exclude")
    store = Store(tmp_path / "store")
    for i, trial in enumerate(expand(study)):
        if i == 4:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, 0.9 - 0.1 * len(trial.cell.changed) + 0.02 * (i % 3))
    folder = made_up(with_predictions(collect(study, store)), tmp_path / "report")
    assert_recomputed(
        folder, {"cells.csv", "image_comparisons.csv", "classes.csv", "confusions.csv", "hard_images.csv"}
    )


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
