"""Parameter importances of a search, and what happens when one cannot be computed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.looks import collect, make_plan
from helpers.tuning_samples import SEARCH, SEARCH_FACTORS, Writer, run_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

from study import execution
from study.design.resources import Resources
from study.design.study import Study, load
from study.execution import Cluster
from study.planning import tuning_state
from study.planning.events import Listener
from study.planning.tuning_state import Importances, Tuning, TuningTrial
from study.report import analyse, build, read
from study.report.sections import Text, outline
from study.report.tables import TABLES
from study.store.results import Store
from study.tuning.importance import importances
from study.tuning.stage_source import TuningStageSource
from study.utils.formats import NONE

ZERO_VARIANCE = RuntimeError("Encountered zero total variance in all trees.")
RATES = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2)


@pytest.fixture
def study(grid: Writer) -> Study:
    return load(grid(text=SEARCH))


def searched(study: Study, accuracies: Sequence[float], failed: int = 0) -> Tuning:
    """A search whose finished trials have these accuracies, followed by failed trials."""
    assert study.space is not None
    values = [
        {"encoder.width": (4, 8, 12)[i % 3], "encoder.depth": 1 + i % 2, "finetune.learning_rate": RATES[i % 6]}
        for i in range(len(accuracies) + failed)
    ]
    done = [
        TuningTrial(i + 1, values[i], "done", accuracy, {"params": 100 * values[i]["encoder.width"]})
        for i, accuracy in enumerate(accuracies)
    ]
    lost = [TuningTrial(i + 1, values[i], "failed", error="diverged") for i in range(len(accuracies), len(values))]
    return Tuning(study.baseline, study.space, 0, None, (*done, *lost))


def test_they_find_the_parameter_that_matters(study: Study) -> None:
    """Accuracy depends on the learning rate alone, the number of parameters on the width alone."""
    assert study.space is not None
    trial = tuple(
        TuningTrial(
            i + 1,
            {"encoder.width": width, "encoder.depth": depth, "finetune.learning_rate": rate},
            "done",
            val_accuracy=10 * rate,
            costs={"params": 100 * width},
        )
        for i, (width, depth, rate) in enumerate(
            (width, depth, rate) for width in (4, 8, 12) for depth in (1, 2) for rate in (1e-3, 1e-2, 5e-2, 9e-2)
        )
    )
    found = importances(Tuning(study.baseline, study.space, 0, None, trial))
    assert found.unavailable == {}
    for method in ("fanova", "ped_anova"):
        shares = found.shares["val_accuracy"][method]
        assert max(shares, key=lambda name: shares[name]) == "finetune.learning_rate"
        assert sum(shares.values()) == pytest.approx(1)
        shares = found.shares["params"][method]
        assert max(shares, key=lambda name: shares[name]) == "encoder.width"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZERO_VARIANCE, "Encountered zero total variance in all trees"),
        (ValueError("first line.\nsecond line"), "first line"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize(
    ("evaluator", "failing", "working"),
    [(FanovaImportanceEvaluator, "fanova", "ped_anova"), (PedAnovaImportanceEvaluator, "ped_anova", "fanova")],
)
def test_an_evaluator_that_raises_is_left_out_with_the_reason(
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    evaluator: type,
    failing: str,
    working: str,
    error: Exception,
    reason: str,
) -> None:
    tuning = searched(study, [0.1, 0.2, 0.4, 0.8, 0.6, 0.5])
    whole = importances(tuning)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(evaluator, "evaluate", fail)
    found = importances(tuning)
    for objective in ("params", "val_accuracy"):
        assert found.shares[objective] == {working: whole.shares[objective][working]}
        assert found.unavailable[objective] == {failing: reason}


def test_shares_that_are_not_finite_are_left_out(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    nan = {"encoder.width": float("nan"), "encoder.depth": 1.0}
    monkeypatch.setattr(FanovaImportanceEvaluator, "evaluate", lambda *_, **__: nan)
    found = importances(searched(study, [0.1, 0.2, 0.4]))
    assert found.unavailable["val_accuracy"]["fanova"] == "the result is NaN or inf"
    assert "fanova" not in found.shares["val_accuracy"]


def test_accuracies_that_differ_by_less_than_a_tree_can_split(study: Study) -> None:
    """Distinct values, but their variance is below the smallest impurity that scikit-learn splits (2e-16)."""
    found = importances(searched(study, [0.5 + 1e-9 * i for i in range(6)]))
    assert found.unavailable["val_accuracy"]["fanova"] == "Encountered zero total variance in all trees"
    assert set(found.shares["params"]) == {"fanova", "ped_anova"}


@pytest.mark.parametrize(
    ("accuracies", "failed", "reason"),
    [
        ([], 2, "at least 2 finished trials are needed, found 0"),
        ([0.5], 1, "at least 2 finished trials are needed, found 1"),
        ([0.5, 0.5, 0.5], 0, "all 3 finished trials have the same value"),
        ([0.1 + 0.2, 0.3], 1, "all 2 finished trials have the same value"),
    ],
)
def test_an_objective_without_variation_has_none(
    study: Study, accuracies: list[float], failed: int, reason: str
) -> None:
    found = importances(searched(study, accuracies, failed))
    assert found.unavailable["val_accuracy"] == {"fanova": reason, "ped_anova": reason}
    assert "val_accuracy" not in found.shares


@given(st.lists(st.sampled_from([0.0, 0.1, 0.1 + 1e-12, 0.1 + 1e-8, 0.5, 1.0]), max_size=6), st.integers(0, 2))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_importance_is_there_or_has_a_reason(study: Study, accuracies: list[float], failed: int) -> None:
    found = importances(searched(study, accuracies, failed))
    for objective in ("params", "val_accuracy"):
        computed, unavailable = found.shares.get(objective, {}), found.unavailable.get(objective, {})
        assert {*computed, *unavailable} == {"fanova", "ped_anova"}
        assert computed.keys().isdisjoint(unavailable)
        assert all(unavailable.values())


def test_records_keep_the_reasons_and_older_records_are_read(study: Study, tmp_path: Path) -> None:
    store, tuning = Store(tmp_path / "store"), searched(study, [0.5] * 12)
    shares, reasons = {"params": {"fanova": {"encoder.width": 1.0}}}, {"params": {"ped_anova": "no rest"}}
    tuning_state.save(replace(tuning, importances=Importances(shares, reasons)), store)
    (loaded,) = tuning_state.load(study, store)
    assert loaded.importances == Importances(shares, reasons)
    (path,) = (store.root / "tuning").glob("*.json")
    record = json.loads(path.read_text())
    del record["importances_unavailable"]
    path.write_text(json.dumps(record))
    (loaded,) = tuning_state.load(study, store)
    assert loaded.importances == Importances(shares)
    del record["importances"]
    path.write_text(json.dumps(record))
    (loaded,) = tuning_state.load(study, store)
    assert loaded.importances == Importances()


def test_a_sweep_ends_well_and_its_report_has_the_reason(
    grid: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    """A whole search on Ray, whose last trial makes fANOVA raise."""

    def fail(*_: object, **__: object) -> None:
        raise ZERO_VARIANCE

    monkeypatch.setattr(FanovaImportanceEvaluator, "evaluate", fail)
    monkeypatch.setattr(PedAnovaImportanceEvaluator, "evaluate", lambda *_, **__: {"size": 3.0, "kv heads": 1.0})
    path = grid(("[val_accuracy]", "[params, val_accuracy]"), text=SEARCH_FACTORS)
    study, store = load(path), Store(tmp_path / "store")
    work = TuningStageSource(study, store)
    outcomes, interrupted = execution.fan_out(work, store, Resources(), cluster, Listener(), "abc")
    assert not interrupted
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert make_plan(study, store).finished
    results = collect(study, store)
    text = " ".join(cell.source for cell in outline(analyse(results)) if isinstance(cell, Text))
    reason = "fANOVA of params (Encountered zero total variance in all trees)"
    assert f"Importances that could not be computed: {reason}" in text
    rows = [row for row in TABLES["importances"].table(analyse(results)).rows if row[0] == "params"]
    assert rows == [("params", "size", NONE, "75.00"), ("params", "kv heads", NONE, "25.00")]
    built = build(results, tmp_path / "report")
    assert read(built.folder).facts.tuning == results.facts.tuning
    assert "Importances that could not be computed" in built.html.read_text()
    assert run_here(TuningStageSource(study, store), store) == []
