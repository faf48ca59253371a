"""Outlying runs in the summary, in their own table and file, and in no way left out."""

from pathlib import Path

import pytest
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


def test_without_results_there_are_none(tmp_path: Path) -> None:
    assert unrun(make_study(tmp_path, KV_HEADS), tmp_path / "store").outlying.empty
