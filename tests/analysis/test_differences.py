"""Tables of differences: the error and the adjustment of claims, and the same numbers wherever a comparison appears."""

import random
from pathlib import Path
from typing import Any

import pytest
from helpers.looks import collect
from helpers.report_samples import KV_HEADS, PRETRAINING, analysed, make_study, put

from study.design.stages import stages_of
from study.design.study import Trial, expand
from study.report import Analysis, analyse
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store

LEVELS = ("1", "4")
CLAIMS = [{"claim": f"{label} heads differ", "kind": "greater", "cells": {"kv heads": int(label)}} for label in LEVELS]
COMPARE = [{"cells": {"kv heads": int(label)}} for label in LEVELS]
NUMBERS = ["difference", "low", "high", "p_value", "p_adjusted", "df", "n"]
NAMES = {"estimate": "difference", "pairs": "n"} | {f"difference_{name}": name for name in ("low", "high", "df")}


def noisy(trial: Trial) -> float:
    """Each cell has the same values in another order, so spreads are equal; one head costs two points."""
    noise = [0.0, 0.01, -0.01, 0.02, -0.02, 0.005]
    random.Random(trial.cell.name).shuffle(noise)
    return 0.9 + noise[trial.replicate - 1] - 0.02 * (trial.cell.labels.get("kv heads") == "1")


def study_of(folder: Path, replicates: int, factors: Any = KV_HEADS, **keys: Any) -> Analysis:
    return analysed(make_study(folder, factors, replicates=replicates, **keys), folder / "store", noisy)


@pytest.mark.parametrize(("replicates", "error", "df"), [(3, "paired", 2), (6, "pooled", 10)])
def test_effects_cells_contrasts_and_claims_have_the_same_numbers(
    replicates: int, error: str, df: int, tmp_path: Path
) -> None:
    """Three cells of n replicates: (n - 1) * 2 degrees of freedom if the error is pooled."""
    found = study_of(tmp_path, replicates, claims=CLAIMS, compare=COMPARE)
    effects = found.effects.set_index("level").loc[list(LEVELS)]
    cells = found.cells.set_index("cell").loc[[f"kv heads={label}" for label in LEVELS]]
    for table in (cells.drop(columns=["n", "low", "high"]), found.verdicts, found.level_contrasts):
        same = table.rename(columns=NAMES)[NUMBERS].to_numpy(dtype=float)
        assert same == pytest.approx(effects[NUMBERS].to_numpy(dtype=float), rel=1e-6)
    for table in (effects, cells, found.verdicts, found.level_contrasts):
        assert set(table["error"]) == {error}
        assert set(table["adjustment"]) == {"Dunnett" if error == "pooled" else "Holm"}
    assert set(effects["df"]) == {df}


def test_the_pooled_error_finds_what_paired_tests_do_not(tmp_path: Path) -> None:
    """The adjusted p-values are at most Holm's, and the smaller one is below twice its p-value."""
    effects = study_of(tmp_path, 6).effects
    smallest = effects["p_value"].idxmin()
    assert effects.loc[smallest, "p_value"] < effects.loc[smallest, "p_adjusted"] < 2 * effects.loc[smallest, "p_value"]


@pytest.mark.parametrize("replicates", [1, 3, 6])
def test_captions_and_the_summary_state_the_error_of_the_rows(replicates: int, tmp_path: Path) -> None:
    found = study_of(tmp_path, replicates)
    caption = TABLES["effects"].table(found).caption
    pooled = replicates == 6
    assert ("95 % intervals, with the error of all cells" in caption) == pooled
    assert ("Dunnett's adjustment" in caption) == pooled
    assert ("have the error of the paired differences: a pooled error needs 4 replicates" in caption) == (
        replicates == 3
    )
    summary = {answer.about: answer.text for answer in answers(found)}.get("Precision", "")
    assert ("have the error of all cells: no sign that the spread" in summary) == pooled
    assert ("paired by replicate, each for its comparison" in summary) == (replicates == 3)


def failing(folder: Path, rule: str) -> Analysis:
    """The third replicate of the cell without pre-training failed."""
    study = make_study(folder, {**KV_HEADS, **PRETRAINING}, replicates=4, failures=rule)
    store = Store(folder / "store")
    for trial in expand(study):
        if trial.cell.labels["pre-training"] == "none" and trial.replicate == 3:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, noisy(trial))
    return analyse(collect(study, store))


@pytest.mark.parametrize(("rule", "tested"), [("undecided", False), ("exclude", True)])
def test_comparisons_of_pretraining_name_failed_replicates_and_block_their_tests(
    rule: str, tested: bool, tmp_path: Path
) -> None:
    """All are compared with the cell without pre-training, one of whose replicates failed."""
    found = failing(tmp_path, rule)
    rows = found.pretraining[found.pretraining["cell"] != found.pretraining["reference"]]
    assert len(rows) == 2
    assert rows["note"].str.startswith("1 of 4 replicates of pre-training=none failed").all()
    assert rows["p_value"].notna().all() == tested
    assert rows["p_adjusted"].notna().all() == tested
    assert rows["pairs"].tolist() == [3, 3]
    assert rows["difference_low"].notna().all()
    (table,) = [row for row in TABLES["pretraining"].table(found).rows if row[4] == "baseline"]
    assert "1 of 4 replicates" in table[-1]


def test_rows_of_cells_with_and_without_all_replicates_have_a_column_for_the_error(tmp_path: Path) -> None:
    """Four cells, of which one lacks a replicate: the others are pooled, and its difference is paired."""
    table = TABLES["effects"].table(failing(tmp_path, "exclude"))
    columns = {column.title: column.values for column in table.columns}
    errors = dict(zip(columns["level"], columns["error"], strict=True))
    assert errors["none"].startswith("paired, 2")
    assert {errors[label] for label in LEVELS} == {"pooled, 6 df"}
