"""Failed replicates in every table and in the summary of a report, by each rule of the grid."""

import json
from pathlib import Path

import pytest
from helpers.looks import collect
from helpers.report_samples import make_study, put

from study.analysis.analysis import Analysis, analyse
from study.analysis.findings import NOT_TESTED
from study.design.stages import stages_of
from study.design.study import expand, load
from study.report import build
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store
from study.utils.errors import StudyError

FACTORS = {
    "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
    "depth": {"path": "encoder.depth", "levels": [6, 4]},
}
CLAIMS = [{"claim": "fewer heads cost accuracy", "kind": "less", "cells": {"kv heads": 1}}]
COMPARE = [{"cells": {"kv heads": 1}}]
CELL = "kv heads=1, depth=4"


def with_failures(folder: Path, **keys: object) -> Analysis:
    """A 2 x 2 design with five replicates: heads cost 2 points, depth 40; three replicates of one cell failed."""
    study = make_study(folder, FACTORS, design="factorial", replicates=5, claims=CLAIMS, compare=COMPARE, **keys)
    store = Store(folder / "store")
    for trial in expand(study):
        labels = trial.cell.labels
        noise = 0.001 * ((3 * trial.replicate + len(trial.cell.changed)) % 5)
        accuracy = 0.9 - 0.02 * (labels["kv heads"] == "1") - 0.4 * (labels["depth"] == "4") + noise
        if trial.cell.name == CELL and trial.replicate > 2:
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, accuracy)
    return analyse(collect(study, store))


def test_by_default_nothing_with_failed_replicates_is_decided(tmp_path: Path) -> None:
    found = with_failures(tmp_path)
    reason = f"3 of 5 replicates of {CELL} failed: no verdict (failures: undecided)"
    assert found.verdicts["verdict"].tolist() == ["undecided"]
    for table in (found.verdicts, found.effects, found.level_contrasts):
        assert table["note"].tolist() == [reason] * len(table)
        assert table["p_value"].isna().all()
    assert found.cells["failed"].tolist() == [0, 0, 0, 3]
    assert found.cells["note"].tolist() == ["", "", "", reason]
    assert found.cells["p_value"].notna().tolist() == [False, True, True, False]
    assert found.anova["p_value"].isna().all()
    said = {answer.about: answer.text for answer in answers(found)}
    assert said["Failed replicates"] == (
        f"3 of 5 replicates of {CELL} failed. Claims, effects and comparisons with these cells are not decided or "
        "tested (failures: undecided)."
    )


def test_a_level_whose_replicates_all_failed_is_not_tested(tmp_path: Path) -> None:
    """It would be `not compared yet` if it had not been run."""
    study = make_study(tmp_path, FACTORS, design="one_factor")
    store = Store(tmp_path / "store")
    for trial in expand(study):
        if trial.cell.name == "kv heads=1":
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        elif trial.cell.name == "baseline":
            put(store, trial, 0.9 + 0.01 * trial.replicate)
    found = analyse(collect(study, store))
    said = {answer.about: answer.text for answer in answers(found)}
    assert said["kv heads"] == "1 instead of 2 is not tested: replicates failed or have no result."
    assert said["depth"] == "4 instead of 6 is not compared yet."
    assert said["Distinguishable changes"] == "no change is tested: replicates failed or have no result."
    assert TABLES["effects"].table(found).columns[-2].values == [NOT_TESTED, "not compared yet"]


def test_failed_replicates_of_one_cell_do_not_shift_the_effect_of_another_factor(tmp_path: Path) -> None:
    """Averaged over what each replicate has, depth's difference of 40 points would count as one of the heads."""
    found = with_failures(tmp_path, failures="exclude")
    heads = found.effects.iloc[0]
    assert (heads["difference"], heads["n"], heads["combinations"]) == (pytest.approx(-0.02, abs=0.002), 2, 2)
    assert heads["note"] == f"3 of 5 replicates of {CELL} failed: excluded"
    assert found.verdicts["estimate"].iloc[0] == pytest.approx(heads["difference"])
    assert found.level_contrasts["estimate"].iloc[0] == pytest.approx(heads["difference"])
    assert found.anova["p_value"].notna().any()


def test_the_worst_value_counts_in_every_table(tmp_path: Path) -> None:
    """The cell's accuracies: two near 0.48, and three of 0."""
    found = with_failures(tmp_path, failures="worst")
    assert (found.cells["n"].iloc[3], found.cells["mean"].iloc[3]) == (5, pytest.approx(0.96 / 5, abs=0.002))
    assert found.effects["n"].tolist() == [5, 5]
    assert found.verdicts["estimate"].iloc[0] == pytest.approx(found.effects["difference"].iloc[0])
    assert "counted as the worst value" in found.verdicts["note"].iloc[0]
    assert len(found.claim_runs) == 20
    assert (found.claim_runs["value"] == 0).sum() == 3
    assert found.results.trials["test_accuracy"].isna().sum() == 3  # the stored table stays as it is


def test_a_report_shows_the_failures_from_its_own_folder(tmp_path: Path) -> None:
    report = build(with_failures(tmp_path, failures="exclude").results, tmp_path / "report")
    assert json.loads((report.folder / "study.json").read_text())["failures"] == "exclude"
    page = report.html.read_text(encoding="utf-8")
    assert "they are excluded, so results are about runs that finish (failures: exclude). All verdicts" in page
    assert f"3 of 5 replicates of {CELL} failed" in page
    assert "| failed |" in (report.folder / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["claims", "compare"])
def test_the_worst_value_is_refused_for_metrics_without_one(key: str, tmp_path: Path) -> None:
    one = {"cells": {"kv heads": 1}, "metric": "train_seconds"}
    claim = {"claim": "faster", "kind": "less"} if key == "claims" else {}
    with pytest.raises(StudyError, match="train_seconds has no worst value, which 'failures: worst' requires"):
        make_study(tmp_path, FACTORS, failures="worst", **{key: [{**one, **claim}]})


def test_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="failures"):
        make_study(tmp_path, FACTORS, failures="ignore")
    assert load(make_study(tmp_path, FACTORS).path).grid.failures == "undecided"


def pretrained(folder: Path, **keys: object) -> Analysis:
    """With and without pre-training, for two numbers of heads; the third replicate of each pre-trained cell failed."""
    scratch = {"pre-training": {"path": "pretrain", "levels": [None], "baseline": "digits"}}
    study = make_study(folder, {"kv heads": FACTORS["kv heads"], **scratch}, design="factorial", **keys)
    store = Store(folder / "store")
    for trial in expand(study):
        pre = trial.cell.labels["pre-training"] == "digits"
        if pre and trial.replicate == 3:
            store.record_failure(stages_of(trial)[-1], "OutOfMemory")
        else:
            put(store, trial, 0.8 + 0.1 * pre + 0.001 * trial.replicate * (1 + pre))
    return analyse(collect(study, store))


def test_comparisons_of_pretraining_treat_failed_replicates_as_the_grid_states(tmp_path: Path) -> None:
    found = pretrained(tmp_path)
    compared = found.pretraining[found.pretraining["note"] != ""]
    assert len(compared) == 2
    assert compared["note"].str.contains("1 of 3 replicates of .* failed: no verdict").all()
    assert compared["p_value"].isna().all()
    said = {answer.about: answer.text for answer in answers(found)}
    assert said["Pre-training on the same data"] == (
        "+10.15 points compared with training from scratch on average; none of these comparisons has a test."
    )
    assert pretrained(tmp_path, failures="exclude").pretraining["p_value"].notna().sum() == 2
