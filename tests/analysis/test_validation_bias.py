"""Validation accuracies that a selection has used: claims on them are refused, and estimates are marked."""

import io
from pathlib import Path
from typing import Any

import pytest
from helpers.looks import make_plan
from helpers.report_samples import BASELINE, KV_HEADS, analysed, make_study
from rich.console import Console

from study.analysis.analysis import analyse
from study.analysis.validation_bias import bias
from study.cli.plan import as_json, show
from study.design.yaml_file import GridError
from study.report import Analysis
from study.report.build import _cells_with_levels
from study.report.plots import PLOTS
from study.report.tables import TABLES
from study.store.results import Store

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
    folder.mkdir(exist_ok=True)
    factors = {**KV_HEADS, **keys.pop("factors", {})}
    return analysed(make_study(folder, factors, compare=COMPARE, **keys), folder / "store")


@pytest.mark.parametrize("keys", [{"baseline": BEST}, {"factors": KEEP}, {"factors": SECTION}])
def test_estimates_from_it_are_marked(keys: dict[str, Any], tmp_path: Path) -> None:
    analysis = contrasts(tmp_path, **keys)
    validation, test = analysis.level_contrasts["note"]
    assert validation == "val_accuracy: it is the highest of all epochs (keep: best), so it is too high by chance"
    assert test == ""
    assert "Of validation accuracy: it is the highest of all epochs" in TABLES["trials"].table(analysis).caption


def notes_of_cells(analysis: Analysis) -> list[str]:
    return list(_cells_with_levels(analysis)["val_accuracy_note"])


def test_cells_and_curves_are_marked_where_a_selection_has_used_them(tmp_path: Path) -> None:
    by_level = contrasts(tmp_path, factors=KEEP)
    assert [note[:31] for note in notes_of_cells(by_level)] == ["", "", "", "it is the highest of all epochs"]
    every = contrasts(tmp_path / "every", baseline=BEST)
    assert all(note.startswith("it is the highest of all epochs") for note in notes_of_cells(every))
    for analysis in (by_level, every):
        caption = PLOTS["finetune_curves"].caption_for(analysis)
        assert caption.endswith("the epoch with the highest accuracy is kept, which is too high by chance.")
    tuned = contrasts(tmp_path / "tuned", tune=TUNE)
    assert all("it selected the tuned values" in note for note in notes_of_cells(tuned))
    caption = PLOTS["finetune_curves"].caption_for(tuned)
    assert caption.endswith("it selected the tuned values, so it is too high by chance.")
    section = contrasts(tmp_path / "section", factors=SECTION)
    assert {note[:7] for note in notes_of_cells(section)} == {"", "it is t"}


@pytest.mark.parametrize("keys", [keys for keys, _, _ in SELECTED])
def test_plan_marks_estimates_from_it_before_training(keys: dict[str, Any], tmp_path: Path) -> None:
    rest = {name: value for name, value in keys.items() if name != "factors"}
    study = make_study(tmp_path, {**KV_HEADS, **keys.get("factors", {})}, compare=COMPARE, **rest)
    plan = make_plan(study, Store(tmp_path / "store"))
    (note,), other = as_json(plan)["compare_notes"]
    assert note in contrasts(tmp_path / "after", **keys).level_contrasts["note"].iloc[0]
    assert note.endswith("so it is too high by chance")
    assert other == []
    console = Console(file=io.StringIO(), width=300)
    show(plan, console)
    assert f"  {note}\n" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_a_selection_nothing_is_marked(tmp_path: Path) -> None:
    analysis = contrasts(tmp_path)
    assert analysis.level_contrasts["note"].tolist() == ["", ""]
    assert "by chance" not in TABLES["trials"].table(analysis).caption
    assert bias(analysis.facts) == ""
    assert set(notes_of_cells(analysis)) == {""}
    assert "by chance" not in PLOTS["finetune_curves"].caption_for(analysis)
    study = make_study(tmp_path, KV_HEADS, compare=COMPARE)
    assert as_json(make_plan(study, Store(tmp_path / "store")))["compare_notes"] == [[], []]


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
