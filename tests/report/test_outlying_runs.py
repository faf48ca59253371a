"""Outlying runs in the summary, in their own table and file, and in no way left out."""

from pathlib import Path

import pytest
from helpers.data_set_studies import crossed
from helpers.report_samples import KV_HEADS, analysed, make_study, unrun

from study.analysis.analysis import analyse
from study.design.study import Trial
from study.report import build, read
from study.report.summary import answers


def one_collapsed(trial: Trial) -> float:
    usual = 0.90 + 0.002 * trial.replicate - 0.01 * (trial.cell.name != "baseline")
    return 0.10 if (trial.cell.name, trial.replicate) == ("kv heads=1", 2) else usual


def test_a_collapsed_run_is_listed_and_counts(tmp_path: Path) -> None:
    """Of the deviations in thousandths (-2, 0, 2 in two cells, and 0, 2 and -792 around 0.892), without a zero of each
    cell, the median is 2."""
    found = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store", one_collapsed)
    runs = found.outlying
    assert runs[["cell", "replicate"]].values.tolist() == [["kv heads=1", 2]]
    assert runs["median"].iloc[0] == pytest.approx(0.892)
    assert runs["distance"].iloc[0] == pytest.approx(-0.792 / (1.4826 * 0.002))
    assert found.cells["n"].tolist() == [3, 3, 3]
    answer = next(given.text for given in answers(found) if given.about == "Outlying runs")
    assert answer.startswith(
        "1 run beyond 6 pooled MADs from the median of the cell, not left out: kv heads=1, replicate 2 "
        "(10.00\N{NO-BREAK SPACE}%; median of the cell 89.20\N{NO-BREAK SPACE}%)."
    )
    report = build(found.results, tmp_path / "report")
    assert "Outlying runs" in report.html.read_text(encoding="utf-8")
    assert (report.folder / "outlying.csv").read_text().splitlines()[0].startswith("cell,replicate,test_accuracy")
    assert len(analyse(read(report.folder)).outlying) == 1


def test_usual_runs_are_not_listed(tmp_path: Path) -> None:
    found = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    assert found.outlying.empty
    assert "Outlying runs" not in {given.about for given in answers(found)}


def test_a_data_set_with_wider_spread_has_no_outlying_runs_for_that(tmp_path: Path) -> None:
    """Replicates are 0.1 points apart on two data sets and 3 points on the third: MADs pooled over all three would list
    its runs at 20 MADs."""

    def accuracy(trial: Trial) -> float:
        return 0.8 + (0.03 if trial.cell.labels["images"] == "fashion" else 0.001) * trial.replicate

    found = analysed(crossed(tmp_path), tmp_path / "store", accuracy)
    assert found.cells["n"].tolist() == [3] * 9
    assert found.outlying.empty


def test_a_collapsed_run_is_listed_on_its_own_data_set(tmp_path: Path) -> None:
    def accuracy(trial: Trial) -> float:
        collapsed = trial.cell.labels == {"kv heads": "1", "images": "mnist"} and trial.replicate == 2
        return 0.1 if collapsed else 0.8 + 0.002 * trial.replicate

    found = analysed(crossed(tmp_path), tmp_path / "store", accuracy).outlying
    assert found["replicate"].tolist() == [2]
    assert "mnist" in found["cell"].iloc[0]


def test_without_results_there_are_none(tmp_path: Path) -> None:
    assert unrun(make_study(tmp_path, KV_HEADS), tmp_path / "store").outlying.empty
