"""The method of the verdicts as a report states it, against the verdicts that it has."""

import random
from pathlib import Path

import pytest
from helpers.report_samples import KV_HEADS, analysed, make_study, unrun

from study.design.study import Trial
from study.report import Analysis
from study.report.claim_method import PROMISE, sentences
from study.report.sections import outline
from study.report.tables import TABLES

CLAIMS = [{"claim": f"{n} heads are better", "kind": "greater", "cells": {"kv heads": n}} for n in (1, 4)]


def noisy(trial: Trial) -> float:
    """Replicates have a common effect, and each cell its own noise of equal spread."""
    shared, own = random.Random(trial.replicate), random.Random(f"{trial.cell.name} {trial.replicate}")
    return 0.9 + shared.gauss(0, 0.01) + own.gauss(0, 0.01)


def study_of(folder: Path, replicates: object) -> Analysis:
    return analysed(make_study(folder, KV_HEADS, claims=CLAIMS, replicates=replicates), folder / "store", noisy)


@pytest.mark.parametrize("replicates", [1, 2, 3, 6])
def test_the_error_and_the_adjustment_are_those_of_the_verdicts(replicates: int, tmp_path: Path) -> None:
    analysis = study_of(tmp_path, replicates)
    text = " ".join(sentences(analysis))
    assert ("have the error of all cells: no sign" in text) == (set(analysis.verdicts["error"]) == {"pooled"})
    assert ("have the error of the paired differences: a pooled error needs 4 replicates" in text) == (replicates < 4)
    assert ("Dunnett's method" in text) == (set(analysis.verdicts["adjustment"]) == {"Dunnett"})
    assert ("Holm's method" in text) == (set(analysis.verdicts["adjustment"]) == {"Holm"})
    assert ("Pairing by replicate" in text) == (replicates > 1)


def test_the_promise_has_its_conditions() -> None:
    assert "at most 5 %, if claims and replicates were written before any result" in PROMISE
    assert "roughly normally" in PROMISE
    assert "not about other test images" in PROMISE


def test_looks_and_missing_results(tmp_path: Path) -> None:
    adaptive = study_of(tmp_path, {"min": 3, "max": 6, "until": "claims"})
    assert "At each look, differences have the error" in " ".join(sentences(adaptive))
    nothing = unrun(make_study(tmp_path, KV_HEADS, claims=CLAIMS), tmp_path / "empty")
    assert "have the error" not in " ".join(sentences(nothing))


@pytest.mark.parametrize(("rule", "text"), [("worst", "count as an accuracy of 0"), ("exclude", "These are not part")])
def test_failures_that_count_are_not_said_to_be_left_out(rule: str, text: str, tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, KV_HEADS, failures=rule), tmp_path / "store")
    analysis.results.trials.loc[0, ["status", "test_accuracy"]] = ["failed", None]
    assert any(text in cell.written for cell in outline(analysis))


@pytest.mark.parametrize(("replicates", "kind"), [(3, "paired by replicate"), (6, "with the error of all cells")])
def test_the_table_of_claims_has_the_error_and_its_degrees_of_freedom(
    replicates: int, kind: str, tmp_path: Path
) -> None:
    """Three cells of n replicates: (n - 1) * 2 degrees of freedom if pooled, n - 1 if paired."""
    analysis = study_of(tmp_path, replicates)
    table = TABLES["claims"].write(analysis, analysis.verdicts)
    error = next(column for column in table.columns if column.title == "error")
    assert set(error.values) == {"pooled, 10 df" if replicates == 6 else "paired, 2 df"}
    assert kind in table.caption


def test_a_claim_against_a_number_has_no_paired_error(tmp_path: Path) -> None:
    """Three replicates of one cell: two degrees of freedom, and nothing to pair."""
    claim = {"claim": "good", "kind": "greater", "cells": {"kv heads": 1}, "against": 0.5}
    analysis = analysed(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store")
    table = TABLES["claims"].write(analysis, analysis.verdicts)
    assert [column.values for column in table.columns if column.title == "error"] == [["replicates, 2 df"]]
