"""One row per cell: means, intervals and differences checked by hand; the Pareto front."""

import math
import statistics
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from helpers.report_samples import KV_HEADS, Built, analysed, make_study, unrun
from hypothesis import given
from hypothesis import strategies as st

from study.analysis.accuracy_intervals import SMALLEST, smallest_of_interest
from study.analysis.cells import RESAMPLES, on_front, skewed
from study.analysis.findings import findings
from study.analysis.stats.bootstrap import bootstrap_interval
from study.design.study import Trial
from study.report import Analysis, analyse
from study.report.plots import PLOTS
from study.report.summary import answers
from study.report.tables import TABLES

VALUES = {"2": (0.90, 0.92, 0.94), "1": (0.91, 0.92, 0.96), "4": (0.80, 0.80, 0.80)}
T_2 = 4.302652729911275  # 97.5 % quantile of Student's t with 2 degrees of freedom


def by_level(trial: Trial) -> float:
    return VALUES[trial.cell.labels["kv heads"]][trial.replicate - 1]


def test_means_intervals_and_paired_differences_by_hand(tmp_path: Path) -> None:
    cells = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store", by_level).cells.set_index("cell")
    baseline = cells.loc["baseline"]
    half = T_2 * 0.02 / math.sqrt(3)
    assert (baseline["n"], baseline["mean"]) == (3, pytest.approx(0.92))
    assert (baseline["low"], baseline["high"]) == (pytest.approx(0.92 - half), pytest.approx(0.92 + half))
    assert math.isnan(baseline["difference"])
    one = cells.loc["kv heads=1"]  # differences 0.01, 0, 0.02: mean 0.01, standard deviation 0.01
    half = T_2 * 0.01 / math.sqrt(3)
    assert (one["pairs"], one["difference"]) == (3, pytest.approx(0.01))
    assert one["difference_low"] == pytest.approx(0.01 - half)
    assert one["difference_high"] == pytest.approx(0.01 + half)


def test_sizes_and_times_are_those_of_the_trials(tmp_path: Path) -> None:
    cells = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store").cells
    assert cells["number"].tolist() == [1, 2, 3]
    assert cells["params"].tolist() == [51_840, 43_200, 69_120]
    assert cells["macs"].tolist() == [17 * 51_840, 17 * 43_200, 17 * 69_120]
    assert cells["train_seconds"].tolist() == [12.5] * 3


def test_a_single_replicate_has_a_mean_but_no_interval(tmp_path: Path) -> None:
    cells = analysed(make_study(tmp_path, KV_HEADS, replicates=1), tmp_path / "store").cells
    assert cells["n"].tolist() == [1, 1, 1]
    assert cells["mean"].notna().all()
    assert cells[["low", "high", "difference_low", "p_value"]].isna().all(axis=None)


def test_unfinished_trials_are_counted_and_not_averaged(built: Built) -> None:
    cells = built.analysis.cells
    assert cells["n"].sum() == (built.results.trials["status"] == "done").sum()
    assert (cells["failed"].sum(), cells["missing"].sum()) == (2, 2)


def test_an_unrun_study_has_cells_without_numbers(tmp_path: Path) -> None:
    cells = unrun(make_study(tmp_path, KV_HEADS), tmp_path / "store").cells
    assert cells["n"].tolist() == [0, 0, 0]
    assert cells[["mean", "params", "difference"]].isna().all(axis=None)
    assert not cells["front"].any()


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5) | st.none()), max_size=12))
def test_the_front_equals_the_plain_definition(
    points: list[tuple[int, int | None]],
) -> None:
    params = pd.Series([p for p, _ in points], dtype="Int64")
    means = pd.Series([math.nan if m is None else m / 10 for _, m in points], dtype="float64")
    known = [(p, m) for p, m in points if m is not None]
    plain = [m is not None and all((q, n) == (p, m) or not (q <= p and n >= m) for q, n in known) for p, m in points]
    assert on_front(params, means) == plain


def with_validation(analysis: Analysis, validation: dict[str, float]) -> Analysis:
    """The same results with these validation accuracies, by cell."""
    trials = analysis.results.trials
    return analyse(replace(analysis.results, trials=trials.assign(val_accuracy=trials["cell"].map(validation))))


def test_the_front_is_selected_on_validation_and_reported_on_test(tmp_path: Path) -> None:
    """Test means 0.92 (51,840 parameters), 0.93 (43,200) and 0.80 (69,120); on validation the order is reversed."""
    tested = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store", by_level)
    names = ["baseline", "kv heads=1", "kv heads=4"]
    analysis = with_validation(tested, dict(zip(names, (0.91, 0.90, 0.95), strict=True)))
    assert analysis.cells["front"].tolist() == [True, True, True]
    one = with_validation(tested, dict(zip(names, (0.91, 0.95, 0.90), strict=True)))
    assert one.cells["front"].tolist() == [False, True, False]
    (answer,) = [found for found in answers(analysis) if found.about.startswith("Pareto front")]
    assert answer.text == (
        "kv heads=1 (43.2 k, 93.00\u00a0%); baseline (51.8 k, 92.00\u00a0%); kv heads=4 (69.1 k, 80.00\u00a0%). The "
        "Pareto front was selected on validation accuracy; test accuracies are only reported. Selected by means "
        "only, without intervals."
    )
    assert "selected on validation accuracy" in TABLES["cells"].table(analysis).caption
    assert "has a higher validation accuracy" in PLOTS["parameters"].caption_for(analysis)


def test_without_validation_accuracies_the_front_is_marked(tmp_path: Path) -> None:
    tested = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store", by_level)
    analysis = with_validation(tested, {})
    assert analysis.cells["front"].tolist() == [False, True, False]
    (answer,) = [found for found in answers(analysis) if found.about.startswith("Pareto front")]
    assert "selected on test accuracy, since no validation accuracy is stored" in answer.text
    assert "Pareto front (test)" in [column.title for column in TABLES["cells"].table(analysis).columns]


def test_bootstrap_effect_size_and_holm_equal_the_plain_computation(tmp_path: Path) -> None:
    values = {"2": (0.90, 0.92, 0.94), "1": (0.91, 0.92, 0.96), "4": (0.85, 0.88, 0.86)}
    study = make_study(tmp_path, KV_HEADS)
    analysis = analysed(
        study, tmp_path / "store", lambda trial: values[trial.cell.labels["kv heads"]][trial.replicate - 1]
    )
    cells = analysis.cells.set_index("cell")
    for name, label in (("baseline", "2"), ("kv heads=1", "1"), ("kv heads=4", "4")):
        found = bootstrap_interval(values[label], resamples=RESAMPLES)
        assert tuple(cells.loc[name, ["bootstrap_low", "bootstrap_high"]]) == pytest.approx(found)
        assert cells.loc[name, "sd"] == pytest.approx(statistics.stdev(values[label]))
    one, four = cells.loc["kv heads=1"], cells.loc["kv heads=4"]
    # differences of the first: .01 0 .02, of the second: -.05 -.04 -.08
    assert one["difference_sd"] == pytest.approx(statistics.stdev([0.01, 0, 0.02]))
    spread = (statistics.stdev(values["1"]) + statistics.stdev(values["2"])) / 2
    j_4 = math.gamma(2) / (math.sqrt(2) * math.gamma(1.5))  # Hedges' correction for 2 (3 - 1) degrees of freedom
    assert one["effect_size"] == pytest.approx(0.01 / spread * j_4)
    larger, smaller = max(one["p_value"], four["p_value"]), min(one["p_value"], four["p_value"])
    assert sorted(cells["p_adjusted"].dropna()) == pytest.approx([2 * smaller, max(2 * smaller, larger)])
    assert math.isnan(cells.loc["baseline", "p_adjusted"])


def test_intervals_are_cut_at_0_and_1(tmp_path: Path) -> None:
    analysis = analysed(
        make_study(tmp_path, KV_HEADS, replicates=2), tmp_path / "store", lambda trial: 0.93 + 0.02 * trial.replicate
    )
    cells = analysis.cells
    half = 12.706204736174698 * 0.02 / 2  # t with 1 degree of freedom; the standard deviation is 0.02 / sqrt(2)
    assert cells["high"].tolist() == [1.0] * 3  # and not 0.96 + 0.127
    assert cells["low"].tolist() == [pytest.approx(0.96 - half)] * 3
    assert "Intervals are cut at 0 and 100 %" in TABLES["cells"].table(analysis).caption
    assert "96.00 (83.29 to 100.00)" in TABLES["cells_paper"].table(analysis).rows[0]
    assert skewed(cells).empty


def test_an_interval_of_width_0_is_not_cut(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store", lambda trial: 1.0)
    assert analysis.cells[["low", "high"]].to_numpy().tolist() == [[1.0, 1.0]] * 3
    assert "cut" not in TABLES["cells"].table(analysis).caption


def test_an_outlier_is_noted_with_its_bootstrap_interval(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        odd = trial.cell.changed and trial.cell.labels["kv heads"] == "1"
        return (0.9, 0.91, 0.92, 0.9, 0.8 if odd else 0.91)[trial.replicate - 1]

    analysis = analysed(make_study(tmp_path, KV_HEADS, replicates=5), tmp_path / "store", accuracy)
    assert skewed(analysis.cells)["cell"].tolist() == ["kv heads=1"]
    row = analysis.cells.iloc[1]
    note = f"kv heads=1 ({100 * row['bootstrap_low']:.2f} to {100 * row['bootstrap_high']:.2f})."
    assert TABLES["cells"].table(analysis).caption.endswith(note)


def test_a_cell_lists_the_keys_of_its_trials(built: Built) -> None:
    for _, cell in built.analysis.cells.iterrows():
        done = built.results.done
        keys = done[done["cell"] == cell["cell"]]["key"]
        assert cell["keys"].split() == [key[:12] for key in keys]


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ({"n": 0}, "not compared yet"),
        ({"n": 1, "low": math.nan, "high": math.nan}, "n = 1, so no interval"),
        ({"low": math.nan, "high": math.nan}, "no estimate of the error, so no interval"),
        ({"low": 0.0, "high": 0.0}, "identical in every replicate, so no test (SD = 0)"),
        ({"low": 0.001, "p_adjusted": 0.04}, "distinguishable, not clearly larger than 0.5 points"),
        (
            {"low": 0.001, "high": 0.006, "p_adjusted": 0.06},
            "not distinguishable after the correction for all comparisons, only by its own interval",
        ),
        ({"high": 0.006}, "not distinguishable at n = 5: 9 to 46 replicates would be needed to see 0.5 points"),
        (
            {"high": 0.006, "sd": 0.001},
            "not distinguishable at n = 5, although 3 to 4 replicates have 80% power for 0.5 points",
        ),
    ],
)
def test_findings_as_text(row: dict[str, float], finding: str) -> None:
    whole = {"n": 5, "difference": 0.003, "low": -0.001, "high": 0.006, "sd": 0.0061, "p_adjusted": 0.3}
    assert findings(pd.DataFrame([whole | row]), SMALLEST) == [finding]


def test_the_smallest_margin_of_the_claims_is_the_difference_of_interest(tmp_path: Path) -> None:
    claim = {"claim": "x", "kind": "non_inferior", "cells": {"kv heads": 1}, "margin": 0.01}
    slow = {**claim, "claim": "z", "metric": "train_seconds", "margin": 0.001}
    study = make_study(tmp_path, KV_HEADS, claims=[claim, {**claim, "claim": "y", "margin": 0.02}, slow])
    facts = unrun(study, tmp_path / "store").facts
    assert smallest_of_interest(facts) == 0.01
    assert smallest_of_interest(facts.model_copy(update={"claims": ()})) == SMALLEST
