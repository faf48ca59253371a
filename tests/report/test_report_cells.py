"""One row per cell: hand-worked means, intervals and differences; the Pareto front."""

import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import KV_HEADS, Built, collected, make_study

from study.design import Trial
from study.report import collect
from study.report.cells import on_front
from study.store import Store

VALUES = {"2": (0.90, 0.92, 0.94), "1": (0.91, 0.92, 0.96), "4": (0.80, 0.80, 0.80)}
T_2 = 4.302652729911275  # 97.5 % quantile of Student's t with 2 degrees of freedom


def by_level(trial: Trial) -> float:
    return VALUES[trial.cell.labels["kv heads"]][trial.replicate - 1]


def test_means_intervals_and_paired_differences_are_the_hand_worked_ones(tmp_path: Path) -> None:
    cells = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store", by_level).cells.set_index("cell")
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
    cells = collected(make_study(tmp_path, KV_HEADS), tmp_path / "store").cells
    assert cells["number"].tolist() == [1, 2, 3]
    assert cells["params"].tolist() == [51_840, 43_200, 69_120]
    assert cells["macs"].tolist() == [17 * 51_840, 17 * 43_200, 17 * 69_120]
    assert cells["train_seconds"].tolist() == [12.5] * 3


def test_a_single_replicate_has_a_mean_but_no_interval(tmp_path: Path) -> None:
    cells = collected(make_study(tmp_path, KV_HEADS, replicates=1), tmp_path / "store").cells
    assert cells["n"].tolist() == [1, 1, 1]
    assert cells["mean"].notna().all()
    assert cells[["low", "high", "difference_low", "p_value"]].isna().all(axis=None)


def test_unfinished_trials_are_counted_and_not_averaged(built: Built) -> None:
    cells = built.results.cells
    assert cells["n"].sum() == (built.results.trials["status"] == "done").sum()
    assert (cells["failed"].sum(), cells["missing"].sum()) == (2, 2)


def test_a_study_without_results_has_its_cells_and_nothing_in_them(tmp_path: Path) -> None:
    cells = collect(make_study(tmp_path, KV_HEADS), Store(tmp_path / "store")).cells
    assert cells["n"].tolist() == [0, 0, 0]
    assert cells[["mean", "params", "difference"]].isna().all(axis=None)
    assert not cells["front"].any()


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5) | st.none()), max_size=12))
def test_the_front_holds_what_nothing_else_is_at_least_as_small_and_good_as(
    points: list[tuple[int, int | None]],
) -> None:
    params = pd.Series([p for p, _ in points], dtype="Int64")
    means = pd.Series([math.nan if m is None else m / 10 for _, m in points], dtype="float64")
    known = [(p, m) for p, m in points if m is not None]
    plain = [m is not None and all((q, n) == (p, m) or not (q <= p and n >= m) for q, n in known) for p, m in points]
    assert on_front(params, means) == plain
