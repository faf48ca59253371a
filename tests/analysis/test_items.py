"""Results image by image: which cells have them, comparisons, classes and hard images, worked by hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.predicted_samples import with_predictions
from helpers.report_samples import KV_HEADS, collected, make_study

from study.analysis.confusion import by_class, confusions, shown_cells
from study.analysis.hard_images import hard_images
from study.analysis.items import by_cell, comparisons, unavailable
from study.analysis.predictions import Predicted
from study.analysis.stats.items import item_interval
from study.report import Results, analyse

LABELS = np.array([0, 0, 1, 1, 2])
BASELINE = [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
ONE_HEAD = [[0, 0, 1, 2, 2], [0, 0, 1, 1, 2], [0, 0, 1, 2, 2]]
FOUR_HEADS = [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0, 1, 1, 1]]  # as the baseline


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three cells in three replicates on five images of three classes."""
    made = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    predicted_TN = np.array([*BASELINE, *ONE_HEAD, *FOUR_HEADS])
    predicted = Predicted("ab", LABELS, ("cat", "dog", "owl"), tuple(made.trials["key"]), predicted_TN)
    trials = made.trials.assign(test_accuracy=(predicted_TN == LABELS).mean(axis=1))
    return replace(made, trials=trials, predictions=(predicted,))


def test_a_cell_has_the_predictions_of_its_replicates(results: Results) -> None:
    found = by_cell(results)
    assert list(found) == ["baseline", "kv heads=1", "kv heads=4"]
    assert found["kv heads=1"].replicates == (1, 2, 3)
    assert found["kv heads=1"].predicted_RN.tolist() == ONE_HEAD
    assert unavailable(results, found) == ""
    assert found["kv heads=1"].correct().mean() == pytest.approx(analyse(results).cells["mean"].iloc[1])


def test_a_cell_lacks_them_if_a_trial_was_stored_without_or_on_other_images(results: Results) -> None:
    (one,) = results.predictions
    without = replace(one, keys=one.keys[1:], predicted_TN=one.predicted_TN[1:])
    found = by_cell(partial := replace(results, predictions=(without,)))
    assert list(found) == ["kv heads=1", "kv heads=4"]
    assert unavailable(partial, found) == (
        "Not available for baseline: 1 of 9 finished trials stored without predictions for each test image."
    )
    other = replace(one, images="cd", keys=one.keys[:1], predicted_TN=one.predicted_TN[:1])
    found = by_cell(mixed := replace(results, predictions=(without, other)))
    assert "baseline" not in found
    assert "tested on different images" in unavailable(mixed, found)
    old = replace(results, predictions=())
    assert by_cell(old) == {}
    assert unavailable(old, {}).startswith("Not available for all cells: 9 of 9 finished trials")


def test_cells_have_the_interval_over_replicates_and_images(results: Results) -> None:
    rows = analyse(results).cells
    assert (rows["item_low"][1], rows["item_high"][1]) == item_interval(by_cell(results)["kv heads=1"].correct())
    assert (rows["item_low"] <= rows["low"]).all()
    assert analyse(replace(results, predictions=())).cells["item_low"].isna().all()


def test_comparisons_by_hand(results: Results) -> None:
    """kv heads=1 gains owl in all replicates and the second cat in one; it loses the second dog in two."""
    one, same = comparisons(results, by_cell(results)).to_dict("records")
    assert (one["cell"], one["reference"], one["n"], one["images"]) == ("kv heads=1", "baseline", 3, 5)
    assert one["by_replicate"] == "1/1 2/0 1/1"
    assert (one["gained"], one["lost"]) == pytest.approx((4 / 3, 2 / 3))
    assert one["difference"] == pytest.approx(2 / 15)
    assert one["low"] < 0 < one["high"]
    assert (same["difference"], same["p_value"], same["by_replicate"]) == (0, 1, "0/0 0/0 0/0")
    assert one["p_adjusted"] == pytest.approx(min(1, 2 * one["p_value"]))


def test_cells_on_other_images_are_not_compared(results: Results) -> None:
    (one,) = results.predictions
    parts = (
        replace(one, keys=one.keys[:6], predicted_TN=one.predicted_TN[:6]),
        replace(one, images="cd", keys=one.keys[6:], predicted_TN=one.predicted_TN[6:]),
    )
    split = replace(results, predictions=parts)
    assert comparisons(split, by_cell(split))["cell"].tolist() == ["kv heads=1"]
    assert hard_images(split, by_cell(split))["trials"].tolist() == [6] * 5


def test_comparisons_use_common_replicates(results: Results) -> None:
    trials = results.trials.copy()
    trials.loc[3, ["status", "test_accuracy"]] = ["missing", math.nan]
    row = comparisons(partial := replace(results, trials=trials), by_cell(partial)).iloc[0]
    assert (row["n"], row["by_replicate"]) == (2, "2/0 1/1")


def test_accuracy_by_class_and_confusions_by_hand(results: Results) -> None:
    trials = results.trials.assign(val_accuracy=[0.5] * 3 + [0.9] * 3 + [0.6] * 3)
    shown = shown_cells(chosen := replace(results, trials=trials), by_cell(results))
    assert list(shown) == ["baseline", "kv heads=1"]
    rows = by_class(shown)
    assert rows["class"].tolist() == ["cat", "dog", "owl"]
    assert rows["images"].tolist() == [2, 2, 1]
    assert rows["baseline"].tolist() == pytest.approx([5 / 6, 1, 0])
    assert rows["best"].tolist() == pytest.approx([1, 4 / 6, 1])
    found = confusions(shown).set_index(["cell", "true", "predicted"])
    assert found.loc[("kv heads=1", "dog", "owl")].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found.loc[("baseline", "owl", "dog")].tolist() == [1, 1]
    assert found["images"].groupby("cell").sum().tolist() == pytest.approx([5, 5])
    best_is_baseline = replace(chosen, trials=trials.assign(val_accuracy=[0.9] * 3 + [0.5] * 6))
    assert list(shown_cells(best_is_baseline, by_cell(results))) == ["baseline"]


def test_hard_images_by_hand(results: Results) -> None:
    """Owl is wrong in six of nine trials, as dog; the second dog and the second cat in two each."""
    rows = hard_images(results, by_cell(results))
    assert rows["index"].tolist() == [4, 1, 3, 0, 2]
    assert rows["wrong"].tolist() == [6, 2, 2, 0, 0]
    assert rows["wrong_class"].tolist() == ["dog", "dog", "owl", "", ""]
    assert set(rows["trials"]) == {9}


def test_many_classes_in_small_integers_do_not_overflow(tmp_path: Path) -> None:
    made = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    results = with_predictions(made, images=200, names=tuple(map(str, range(100))))
    small = replace(results.predictions[0], labels_N=results.predictions[0].labels_N.astype(np.uint8))
    found = by_cell(replace(results, predictions=(small,)))
    confusion = found["baseline"].confusion()
    assert confusion.shape == (100, 100)
    assert confusion.sum(axis=1) == pytest.approx(np.full(100, 2.0))


def test_without_predictions_all_tables_are_empty(results: Results) -> None:
    old = replace(results, predictions=())
    for rows in (comparisons(old, {}), by_class({}), confusions({}), hard_images(old, {})):
        assert isinstance(rows, pd.DataFrame)
        assert rows.empty


@pytest.mark.parametrize(("number", "expected"), [(0.2, "supported"), (0.8, "undecided"), (0.999, "refuted")])
def test_a_claim_against_a_number_is_judged_over_replicates_and_images(
    number: float, expected: str, tmp_path: Path
) -> None:
    """12 of 60 images are wrong in every replicate: without spread over replicates, but with one over images."""
    claims = [
        {"claim": "good", "kind": "greater", "metric": "test_accuracy", "cells": {"kv heads": 1}, "against": number},
        {"claim": "better", "kind": "greater", "cells": {"kv heads": 1}},
        {"claim": "quick", "kind": "less", "metric": "train_seconds", "cells": {"kv heads": 1}, "against": 60.0},
    ]
    made = collected(make_study(tmp_path, KV_HEADS, claims=claims), tmp_path / "store")
    labels_N, right_TN = np.zeros(60, int), np.zeros((9, 60), int)
    right_TN[:, :12] = 1
    predicted = Predicted("ab", labels_N, (), tuple(made.trials["key"]), right_TN)
    analysis = analyse(replace(made, predictions=(predicted,)))
    assert analysis.verdicts["error"].tolist() == ["replicates and images", "paired", "replicates"]
    row = analysis.verdicts.iloc[0]
    ends = [end - number for end in item_interval(1.0 - right_TN[:3])]
    assert (row["n"], row["estimate"], [row["low"], row["high"]]) == (3, pytest.approx(0.8 - number), ends)
    assert row["low"] < 0.8 - number < row["high"]
    assert row["verdict"] == expected
    assert analyse(made).verdicts["error"].tolist() == ["replicates", "paired", "replicates"]


def with_a_failed_replicate(results: Results, rule: str) -> Results:
    """The third replicate of one kv head has failed."""
    trials = results.trials.copy()
    failed = (trials["cell"] == "kv heads=1") & (trials["replicate"] == 3)
    trials.loc[failed, ["status", "test_accuracy"]] = ["failed", math.nan]
    return replace(results, trials=trials, facts=results.facts.model_copy(update={"failures": rule}))


def test_comparisons_image_by_image_treat_failed_replicates_as_the_grid_states(results: Results) -> None:
    """By default a row with failed replicates has no test; if they count as 0, they have no predictions to compare."""
    reason = "1 of 3 replicates of kv heads=1 failed"
    found = {
        rule: analyse(with_a_failed_replicate(results, rule)).image_comparisons.set_index("cell")
        for rule in ("undecided", "exclude", "worst")
    }
    assert found["undecided"].loc["kv heads=1", "note"] == f"{reason}: no verdict (failures: undecided)"
    assert math.isnan(found["undecided"].loc["kv heads=1", "p_value"])
    assert found["exclude"].loc["kv heads=1", "note"] == f"{reason}: excluded"
    assert found["exclude"].loc["kv heads=1", "p_value"] <= 1
    assert list(found["worst"].index) == ["kv heads=4"]
    worst = analyse(with_a_failed_replicate(results, "worst"))
    assert worst.cells["item_low"].isna().tolist() == [False, True, False]
    assert unavailable(worst.results, worst.predicted) == (
        "Not available for kv heads=1: failed replicates, which count as an accuracy of 0, have no predictions."
    )


def test_a_claim_against_a_number_has_failed_replicates_as_the_grid_states(tmp_path: Path) -> None:
    claim = {"claim": "good", "kind": "greater", "cells": {"kv heads": 1}, "against": 0.2}
    made = with_predictions(collected(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store"))
    found = {
        rule: analyse(with_a_failed_replicate(made, rule)).verdicts.iloc[0]
        for rule in ("undecided", "exclude", "worst")
    }
    assert [found[rule]["verdict"] for rule in found] == ["undecided", "supported", "undecided"]
    assert found["exclude"]["n"] == 2
    assert found["worst"]["error"] == "replicates"
