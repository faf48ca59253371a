"""Validation accuracies that a selection has used: claims on them are refused, and estimates are marked."""

from pathlib import Path
from typing import Any

import pytest
from helpers.report_samples import BASELINE, KV_HEADS, analysed, make_study

from study.analysis.analysis import analyse
from study.analysis.validation_bias import bias
from study.design.yaml_file import GridError
from study.report import Analysis
from study.report.tables import TABLES

FINETUNE = BASELINE["finetune"]
BEST = {**BASELINE, "finetune": {**FINETUNE, "keep": "best"}}
KEEP = {"keep": {"path": "finetune.keep", "levels": ["last", "best"]}}
SECTION = {
    "end": {"levels": [{"label": "best", "set": {"finetune": {**FINETUNE, "keep": "best"}}}], "baseline": "last"}
}
TUNE = {"budget": 2, "parameters": {"finetune.learning_rate": {"low": 1e-4, "high": 1e-2}}}
CLAIM = {"claim": "x", "kind": "greater", "cells": {"kv heads": 1}, "metric": "val_accuracy"}
COMPARE = [{"cells": {"kv heads": 1}, "metric": "val_accuracy"}, {"cells": {"kv heads": 1}}]
SELECTED: list[tuple[dict[str, Any], str, str]] = [
    ({"baseline": BEST}, "highest of all epochs (keep: best)", "use test_accuracy, or keep: last"),
    ({"factors": KEEP}, "highest of all epochs (keep: best)", "use test_accuracy, or keep: last"),
    ({"factors": SECTION}, "highest of all epochs (keep: best)", "use test_accuracy, or keep: last"),
    ({"tune": TUNE}, "it selected the tuned values", "use test_accuracy"),
    ({"tune": TUNE, "baseline": BEST}, "highest of all epochs (keep: best)", "use test_accuracy"),
]


@pytest.mark.parametrize(("keys", "reason", "fix"), SELECTED)
def test_a_claim_on_a_selected_accuracy_is_refused(keys: dict[str, Any], reason: str, fix: str, tmp_path: Path) -> None:
    rest = {name: value for name, value in keys.items() if name != "factors"}
    with pytest.raises(GridError) as caught:
        make_study(
            tmp_path,
            {**KV_HEADS, **keys.get("factors", {})},
            claims=[{**CLAIM, "metric": "params"}, {**CLAIM, "claim": "y"}],
            **rest,
        )
    message = str(caught.value)
    assert "claims[1].metric: invalid value 'val_accuracy'" in message
    assert reason in message
    assert message.endswith(fix)


def test_other_claims_are_accepted(tmp_path: Path) -> None:
    assert make_study(tmp_path, KV_HEADS, claims=[CLAIM])
    assert make_study(tmp_path, KV_HEADS, baseline=BEST, tune=TUNE, claims=[{**CLAIM, "metric": "test_accuracy"}])


def contrasts(folder: Path, **keys: Any) -> Analysis:
    factors = {**KV_HEADS, **keys.pop("factors", {})}
    return analysed(make_study(folder, factors, compare=COMPARE, **keys), folder / "store")


@pytest.mark.parametrize("keys", [{"baseline": BEST}, {"factors": KEEP}, {"factors": SECTION}])
def test_estimates_from_it_are_marked(keys: dict[str, Any], tmp_path: Path) -> None:
    analysis = contrasts(tmp_path, **keys)
    validation, test = analysis.level_contrasts["note"]
    assert validation == "val_accuracy: it is the highest of all epochs (keep: best), so it is too high by chance"
    assert test == ""
    assert "Of validation accuracy: it is the highest of all epochs" in TABLES["trials"].table(analysis).caption


def test_without_a_selection_nothing_is_marked(tmp_path: Path) -> None:
    analysis = contrasts(tmp_path)
    assert analysis.level_contrasts["note"].tolist() == ["", ""]
    assert "by chance" not in TABLES["trials"].table(analysis).caption
    assert bias(analysis.facts) == ""


def test_a_verdict_of_an_older_report_is_marked(tmp_path: Path) -> None:
    """Written when such claims were accepted: `study.json` has the claim and keep: best."""
    results = analysed(make_study(tmp_path, KV_HEADS, claims=[CLAIM]), tmp_path / "store").results
    old = results.facts.model_copy(update={"baseline": {"finetune": {"keep": "best"}}})
    object.__setattr__(results, "facts", old)
    note = analyse(results).verdicts["note"].iloc[0]
    assert note.endswith("val_accuracy: it is the highest of all epochs (keep: best), so it is too high by chance")


def test_tuned_accuracies_are_marked_in_their_tables(tmp_path: Path) -> None:
    analysis = contrasts(tmp_path, tune=TUNE)
    assert (
        "highest of these trials, their validation accuracies are too high" in TABLES["tuning"].table(analysis).caption
    )
    assert "selected the tuned values" in bias(analysis.facts)
