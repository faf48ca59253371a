"""Budgets of cells and of the sides of claims, and where they differ."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.report_samples import BASELINE, KV_HEADS, PRETRAINING, Built, analysed, make_study, unrun

from study.analysis.budgets import MEASURES, difference
from study.report import Analysis, analyse, build, read
from study.report.summary import answers
from study.report.tables import TABLES

CLAIMS = [
    {"claim": "pre-training helps", "kind": "greater", "cells": {"pre-training": "digits"},
     "against": {"pre-training": "none"}},
    {"claim": "good", "kind": "greater", "cells": {"kv heads": 1}, "against": "50 %"},
    {"claim": "both", "kind": "interaction", "cells": {"kv heads": 1, "pre-training": "photos"}},
    {"claim": "one is smaller", "kind": "less", "cells": {"kv heads": 1}, "metric": "params"},
]  # fmt: skip
SMALL = {
    **BASELINE,
    "pretrain": {"dataset": "digits", "epochs": 3, "train_images": 100, "batch_size": 50},
    "finetune": {"dataset": "digits", "epochs": 2, "train_images": 100, "batch_size": 32},  # 4 steps of 25
}


def factorial(folder: Path) -> Analysis:
    study = make_study(folder, {**KV_HEADS, **PRETRAINING}, design="factorial", baseline=SMALL, claims=CLAIMS)
    return analysed(study, folder / "store")


def test_sides_are_means_over_the_cells_of_the_difference(tmp_path: Path) -> None:
    analysis = factorial(tmp_path)
    table = analysis.budgets
    cells = table[table["claim"].isna()].set_index("cell")
    assert len(cells) == 9
    assert cells.loc["baseline", ["pretrain_images", "finetune_images"]].tolist() == [300, 200]
    assert cells.loc["pre-training=none", "pretrain_images"] == 0
    ours, theirs = table[table["claim"] == 1].to_dict(orient="records")
    with_it = ["baseline", "kv heads=1", "kv heads=4"]
    assert (ours["side"], theirs["side"], ours["cell"]) == ("cells", "against", "; ".join(with_it))
    assert ours["training_macs"] == pytest.approx(cells.loc[with_it, "training_macs"].mean())
    assert (ours["pretrain_images"], theirs["pretrain_images"]) == (300, 0)
    compute = 100 * (ours["training_macs"] / theirs["training_macs"] - 1)
    assert ours["note"] == f"training compute +{compute:.0f} %, images in pre-training 300 against 0"
    assert theirs["note"] == ""


def test_a_pretraining_that_cells_share_counts_in_full_for_each(tmp_path: Path) -> None:
    """Fine-tuning of two epochs and of one, on one pre-training: the difference is one epoch of fine-tuning."""
    epochs = {"epochs": {"path": "finetune.epochs", "levels": [2, 1]}}
    table = unrun(make_study(tmp_path, epochs, baseline=SMALL), tmp_path / "store").budgets.set_index("cell")
    two, one = table.loc["baseline"], table.loc["epochs=1"]
    assert two["pretrain_images"] == one["pretrain_images"] == 300
    assert two["training_macs"] - one["training_macs"] == 3 * 100 * two["macs"]


def test_one_sided_and_fourfold_claims_have_no_two_sides_to_compare(tmp_path: Path) -> None:
    table = factorial(tmp_path).budgets
    assert table[table["claim"] == 2]["side"].tolist() == ["cells"]
    assert table[table["claim"] == 3]["side"].tolist() == ["cells", "against"]
    assert table[table["claim"].isin([2, 3])]["note"].tolist() == ["", "", ""]
    sizes = table[table["claim"] == 4]  # a claim on parameters is about one of the measures
    assert sizes["params"].iloc[0] < sizes["params"].iloc[1]
    assert sizes["note"].tolist() == ["", ""]


def test_differences_above_five_percent_are_noted() -> None:
    same = dict.fromkeys(MEASURES, 1_000.0)
    assert difference({**same, "params": 1_050.0, "macs": 950.0}, same) == ""
    assert difference({**same, "params": 1_051.0, "macs": 900.0}, same) == "parameters +5.1 %, multiply-adds −10 %"  # noqa: RUF001
    assert difference(same, {**same, "pretrain_images": 0.0}) == "images in pre-training 1.00 k against 0"
    assert difference({**same, "pretrain_images": 0.0}, same) == "images in pre-training −100 %"  # noqa: RUF001
    assert difference({**same, "training_macs": math.nan}, same) == ""


def test_the_verdict_names_what_its_sides_were_given(tmp_path: Path) -> None:
    analysis = factorial(tmp_path)
    first, second, *_ = [answer.text for answer in answers(analysis) if answer.about.startswith("Claim")]
    assert "The two sides were not given the same: training compute +" in first
    assert "not given the same" not in second
    table = TABLES["claims"].table(analysis)
    assert table.columns[-2].title == "budget, cells against the others"
    assert "images in pre-training 300 against 0" in table.columns[-2].values[0]
    assert "differ by more than 5 %" in table.caption


def test_budgets_are_in_the_folder_of_the_report(built: Built) -> None:
    """Also without the store, from `study.json`."""
    written = pd.read_csv(built.report.folder / "budgets.csv")
    assert written["params"].tolist() == built.analysis.budgets["params"].tolist()
    again = analyse(read(built.report.folder)).budgets
    pd.testing.assert_frame_equal(again, built.analysis.budgets)
    assert (built.report.folder / "tables" / "budgets.tex").is_file()


def test_a_report_of_an_older_version_has_no_budgets(tmp_path: Path) -> None:
    results = factorial(tmp_path).results
    cells = tuple(cell.model_copy(update={"budget": None}) for cell in results.facts.cells)
    old = replace(results, facts=results.facts.model_copy(update={"cells": cells}))
    assert analyse(old).budgets.empty
    assert "given" not in " ".join(column.title for column in TABLES["claims"].table(analyse(old)).columns)
    report = build(old, tmp_path / "report")
    assert not (report.folder / "budgets.csv").exists()
    assert not report.warnings


def test_the_caption_leaves_out_tuning_trials(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"budget": 4, "parameters": {"finetune.learning_rate": {"low": 1e-4, "high": 1e-2}}}
    tuned = unrun(make_study(tmp_path, KV_HEADS, tune=keys), tmp_path / "store")
    assert "The 4 tuning trials of every cell are not included." in TABLES["budgets"].table(tuned).caption
    by_replicate = unrun(make_study(tmp_path, KV_HEADS, tune={**keys, "seeds": 2}, replicates=2), tmp_path / "store")
    assert (
        "The 4 tuning trials of every replicate of every cell are not included; the hyper-parameters are those of the "
        "first replicate."
    ) in TABLES["budgets"].table(by_replicate).caption
