"""The findings in sentences."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.predicted_samples import with_predictions
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, analysed, collected, make_study, unrun

from study.design.study import Trial
from study.report import Analysis
from study.report.summary import answers


def texts(analysis: Analysis) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(analysis)}


def test_the_baseline_comes_first_with_interval_and_size(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    first = answers(analysis)[0]
    assert str(first) == (
        "Baseline: 90.20\u00a0% (95\u00a0% interval 89.70 to 90.70, n = 3) test accuracy with 51.8 k parameters and "
        "881 k multiply-adds."
    )


def test_the_baseline_has_an_interval_for_other_test_images_where_predictions_are_stored(tmp_path: Path) -> None:
    made = with_predictions(collected(make_study(tmp_path, KV_HEADS), tmp_path / "store"), images=451)
    row = (analysis := Analysis(made)).cells.iloc[0]
    low, high, other_low, other_high = (f"{100 * row[name]:.2f}" for name in ("low", "high", "item_low", "item_high"))
    other = f"{other_low} to {other_high} over replicates and test images"
    assert f"interval {low} to {high} over replicates, {other}, n = 3)" in texts(analysis)["Baseline"]
    assert row["item_low"] < row["low"]
    wider = (analysis := Analysis(made)).cells.assign(item_low=row["low"] - 1e-9, item_high=row["high"])
    vars(analysis)["cells"] = wider
    unchanged = f"interval {low} to {high}, not wider over replicates and test images, n = 3)"
    assert unchanged in texts(analysis)["Baseline"]
    same = made.trials.assign(test_accuracy=made.trials["test_accuracy"].iloc[0])
    same_text = texts(Analysis(replace(made, trials=same)))["Baseline"]
    assert "(in each of 3 replicates; 95\u00a0% interval " in same_text
    assert "over replicates and test images)" in same_text


def test_a_claim_against_a_number_near_100_percent_is_answered(tmp_path: Path) -> None:
    """Accuracies of 97 to 100 % are too close to 100 % for a t-test over replicates."""
    claim = {"claim": "good", "kind": "greater", "cells": {"kv heads": 1}, "against": 0.8}
    study = make_study(tmp_path, KV_HEADS, claims=[claim])
    made = collected(study, tmp_path / "store", lambda trial: (0.97, 1.0, 0.99)[trial.replicate - 1])
    about = "Claim \N{LEFT DOUBLE QUOTATION MARK}good\N{RIGHT DOUBLE QUOTATION MARK}"
    assert "The mean is too close to the end of the scale" in texts(Analysis(made))[about]
    found = texts(Analysis(with_predictions(made, images=451)))[about]
    assert found.startswith("supported; the difference is ")
    assert "too close" not in found


@pytest.mark.parametrize(
    ("condition", "verdict", "marked"),
    [
        ("skewed, unequal spreads", "supported", True),
        ("skewed, unequal spreads", "undecided", False),
        ("skewed", "supported", False),
        ("no sign of skew", "refuted", False),
    ],
)
def test_verdicts_on_skewed_results_of_unequal_spread_are_marked(
    condition: str, verdict: str, marked: bool, tmp_path: Path
) -> None:
    claim = {"claim": "good", "kind": "greater", "cells": {"kv heads": 1}}
    analysis = analysed(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store")
    vars(analysis)["verdicts"] = analysis.verdicts.assign(condition=condition, verdict=verdict)
    about = "Claim \N{LEFT DOUBLE QUOTATION MARK}good\N{RIGHT DOUBLE QUOTATION MARK}"
    assert ("Results are skewed and equal spread is not accepted" in texts(analysis)[about]) == marked


def test_distinguishable_and_other_factors_are_named(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        heads = {"2": 0.0, "1": -0.05, "4": 0.0}[trial.cell.labels["kv heads"]]
        return 0.9 + heads + 0.001 * ((7 * trial.replicate + len(trial.cell.name)) % 3)

    analysis = analysed(make_study(tmp_path, {**KV_HEADS, **PRETRAINING}), tmp_path / "store", accuracy)
    found = texts(analysis)
    assert found["Distinguishable changes"] == (
        "1 of 4 changes is distinguishable from the baseline after the correction for all comparisons: kv heads. "
        "Compared with 0.5 points (the default, as no claim on test accuracy has a margin): 1 larger. Not "
        "distinguishable at any level: pre-training."
    )
    assert found["kv heads"].startswith("1 instead of 2 changes accuracy by −5.")  # noqa: RUF001
    assert "80 % power" in found["Precision"]


def test_one_replicate_has_no_verdicts(tmp_path: Path) -> None:
    found = texts(analysed(make_study(tmp_path, KV_HEADS, replicates=1), tmp_path / "store"))
    assert "no change can be distinguished from chance" in found["Distinguishable changes"]
    assert "(n = 1, so no interval)" in found["Baseline"]
    assert all("distinguishable" not in text for text in found.values())


def test_identical_differences_are_not_distinguishable(tmp_path: Path) -> None:
    found = texts(analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store"))
    assert "in each of 3 replicates, so no test" in found["kv heads"]
    assert found["Distinguishable changes"] == (
        "none of the 2 changes is distinguishable from the baseline after the correction for all comparisons."
    )


def test_nothing_finished(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS)
    assert texts(unrun(study, tmp_path / "store")) == {"No result yet": "none of the 9 trials has finished."}


def test_unfinished_trials_are_counted(built: Built) -> None:
    found = texts(built.analysis)
    assert found["Not finished"].startswith("2 failed and 2 missing of 12 trials")
    assert found["Excluded by design"] == "1 cell, with reasons below."


def test_many_levels_are_cut(tmp_path: Path) -> None:
    factor = {"width": {"path": "encoder.ffn_width_first", "levels": [48, *range(50, 66, 2)]}}
    found = texts(analysed(make_study(tmp_path, factor), tmp_path / "store", lambda trial: 0.9 + trial.seed % 7 / 100))
    assert "; 2 more in the table of effects." in found["width"]


def test_a_factorial_names_the_number_of_combinations(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial")
    found = texts(analysed(study, tmp_path / "store"))
    assert "averaged over 3 combinations of the other factors" in found["kv heads"]
    assert found["Transfer"].startswith("0.00 points compared with training from scratch on average")
