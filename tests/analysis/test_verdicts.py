"""Verdicts in the report: numbers checked by hand, their runs, and every form in which they are written."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.report_samples import KV_HEADS, PRETRAINING, Built, analysed, make_study, unrun

from study.design.study import Trial
from study.report import Analysis, analyse, build, read
from study.report.plots import PLOTS
from study.report.sections import outline
from study.report.summary import answers
from study.report.tables import TABLES

CLAIMS: list[dict[str, Any]] = [
    {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}},
    {"claim": "four heads cost nothing", "kind": "non_inferior", "cells": {"kv heads": 4}, "margin": 0.01},
    {"claim": "the baseline beats chance", "kind": "greater", "against": 0.1},
]
GAIN = {"1": (0.01, 0.02, 0.03), "4": (-0.001, 0.0, 0.001), "2": (0.0, 0.0, 0.0)}


def accuracy(trial: Trial) -> float:
    """The baseline has 0.90, 0.92 and 0.91."""
    return (0.90, 0.92, 0.91)[trial.replicate - 1] + GAIN[trial.cell.labels["kv heads"]][trial.replicate - 1]


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    return analysed(make_study(tmp_path, KV_HEADS, claims=CLAIMS), tmp_path / "store", accuracy)


def two_sided(t: float) -> float:
    """P(|T| > t) of Student's t with 2 degrees of freedom, in closed form."""
    return 1 - t / math.sqrt(2 + t * t)


def test_verdicts_by_hand(analysis: Analysis) -> None:
    """Differences 1, 2, 3 points: mean 2, sd 1, t = 2 sqrt(3). Then -0.1, 0, 0.1 with margin 1: t = 10 sqrt(3)."""
    better, no_cost, chance = (row for _, row in analysis.verdicts.iterrows())
    p_values = [two_sided(t * math.sqrt(3)) for t in (2, 10, 81)]
    assert [row["verdict"] for row in (better, no_cost, chance)] == ["undecided", "supported", "supported"]
    assert [row["p_value"] for row in (better, no_cost, chance)] == pytest.approx(p_values)
    assert [row["p_adjusted"] for row in (better, no_cost, chance)] == pytest.approx(
        [p_values[0], 2 * p_values[1], 3 * p_values[2]]
    )
    half = 4.302652729911275 / math.sqrt(3)  # the 97.5 % quantile of t with 2 degrees of freedom
    assert [better[name] for name in ("estimate", "low", "high")] == pytest.approx(
        [0.02, 0.02 - 0.01 * half, 0.02 + 0.01 * half]
    )
    assert [no_cost[name] for name in ("estimate", "low", "high")] == pytest.approx(
        [0, -0.001 * half, 0.001 * half], abs=1e-12
    )
    assert (better["n"], better["sets"], better["looked"], better["level"]) == (3, 1, 3, 0.95)
    assert better["cells"] == "kv heads=1 against baseline"
    assert chance["cells"] == "baseline"
    assert chance["estimate"] == pytest.approx(0.81)


def test_every_verdict_lists_its_runs(analysis: Analysis) -> None:
    table = analysis.claim_runs
    first = table[table["number"] == 1]
    assert list(zip(first["side"], first["cell"], first["replicate"], strict=True)) == [
        *(("cells", "kv heads=1", r) for r in (1, 2, 3)),
        *(("against", "baseline", r) for r in (1, 2, 3)),
    ]
    assert first["value"].tolist() == pytest.approx([0.91, 0.94, 0.94, 0.90, 0.92, 0.91])
    assert set(table["key"]) <= set(analysis.results.trials["key"])


def test_a_replicate_missing_on_one_side_is_not_a_run_of_the_verdict(analysis: Analysis) -> None:
    lacking = (analysis.results.trials["cell"] == "baseline") & (analysis.results.trials["replicate"] == 2)
    analysis.results.trials.loc[lacking, ["test_accuracy", "status"]] = [None, "failed"]
    table = analysis.claim_runs
    assert set(table[table["number"] == 1]["replicate"]) == {1, 3}


def test_files_tables_sentences_and_figure_agree(analysis: Analysis, tmp_path: Path) -> None:
    folder = build(analysis.results, tmp_path / "reports" / "x").folder
    with (folder / "claims.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["undecided", "supported", "supported"]
    assert float(rows[0]["estimate"]) == pytest.approx(0.02)
    assert (folder / "claim_runs.csv").read_text().count("\n") == 1 + 6 + 6 + 3
    latex, markdown = (folder / "claims.tex").read_text(), (folder / "claims.md").read_text()
    assert r"\toprule" in latex
    assert "four heads cost nothing" in latex
    assert "+2.00 (−0.48 to +4.48) points" in markdown  # noqa: RUF001
    assert "above −1.00 points" in markdown  # noqa: RUF001
    assert (folder / "figures" / "claims.svg").is_file()
    sentences = [str(answer) for answer in answers(analysis)]
    assert sentences[0] == (
        "Claim “one head is better”: undecided; the difference is +2.00 points (−0.48 to +4.48, n = 3, "  # noqa: RUF001
        "adjusted p = 0.074), and the claim holds if it is above 0.00 points. Not distinguishable at n = 3: 5 to 28 "
        "new replicates in a study of their own (study replicate) would decide this claim with 80% power (paired test) "
        "if the true difference equals the estimate. The two sides were not given the same: parameters −8 %, active "  # noqa: RUF001
        "parameters −8 %, multiply-adds −7 %."  # noqa: RUF001
    )
    assert sentences[1].startswith("Claim “four heads cost nothing”: supported; the difference is 0.00 points")


def test_the_answer_begins_with_the_verdicts(analysis: Analysis) -> None:
    written = [cell.written for cell in outline(analysis)]
    answer = next(i for i, text in enumerate(written) if text.startswith("## Answer"))
    shown = [text for text in written[answer:] if "(analysis" in text]
    assert shown[:4] == [
        "answers(analysis)",
        'figure(analysis, "claims")',
        'table(analysis, "claims")',
        'figure(analysis, "parameters")',
    ]


def test_the_forest_plot_has_numbers_in_points_and_the_region(analysis: Analysis) -> None:
    numbers = PLOTS["claims"].compute(analysis)
    assert numbers["estimate"].tolist() == pytest.approx([2, 0, 81], abs=1e-9)
    assert numbers["holds_above"].tolist() == [0, -1, 0]
    assert PLOTS["claims_seconds"].compute(analysis).empty


def test_times_are_shown_in_seconds(tmp_path: Path) -> None:
    claim = {"claim": "faster", "kind": "less", "cells": {"kv heads": 1}, "metric": "train_seconds"}
    analysis = analysed(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store")
    assert PLOTS["claims"].compute(analysis).empty
    assert PLOTS["claims_seconds"].compute(analysis)["estimate"].tolist() == [0.0]
    assert TABLES["claims"].table(analysis).rows[0][1:4] == ("undecided", "0.00 (no spread) s", "below 0.00 s")


def test_without_results_every_claim_is_undecided(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, claims=CLAIMS)
    assert len(analysed(study, tmp_path / "other").verdicts) == 3
    nothing = unrun(study, tmp_path / "empty")
    assert nothing.verdicts["verdict"].tolist() == ["undecided"] * 3
    assert nothing.claim_runs.empty


def test_the_report_names_the_calibration_table(analysis: Analysis) -> None:
    assert any("`reports/calibration/calibration.md`" in cell.written for cell in outline(analysis))


def test_a_report_without_claims_does_not_mention_them(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, KV_HEADS), tmp_path / "store")
    assert not any("claim" in cell.written for cell in outline(analysis))
    assert len(analysis.verdicts) == 0


def test_names_in_claims_are_escaped(built: Built) -> None:
    assert len(built.analysis.verdicts) == 2
    assert "<script>" not in built.text("report.html").split("</style>")[-1]


def test_adaptive_replicates_are_reported_with_their_method(tmp_path: Path) -> None:
    """Looks at 3 and 6 spend 1/4 and 3/4 of 5 %: a claim decided at the first has a 98.75 % interval."""
    rule = {"min": 3, "max": 6, "until": "claims"}
    study = make_study(tmp_path, KV_HEADS, claims=CLAIMS[:2], replicates=rule)
    analysis = analysed(
        study, tmp_path / "store", lambda trial: accuracy(replace(trial, replicate=1 + trial.replicate % 3))
    )
    assert analysis.verdicts["level"].tolist() == pytest.approx([0.9625, 0.9875])
    assert analysis.verdicts["looked"].tolist() == [6, 3]
    text = "\n".join(cell.written for cell in outline(analysis))
    assert "3 cells by 3 to 6 replicates: 15 of 15 trials finished" in text
    assert "Lan and DeMets 1983" in text
    assert "96.25 to 98.75 % intervals (every look spends a share of 5 %)" in TABLES["claims"].table(analysis).caption
    assert sorted(set(analysis.claim_runs["replicate"])) == [1, 2, 3, 4, 5, 6]


def test_a_report_of_an_earlier_version_is_read(analysis: Analysis, tmp_path: Path) -> None:
    """Its claims all had `better`, and it has no record of the claims."""
    folder = build(analysis.results, tmp_path / "reports" / "x").folder
    facts = json.loads((folder / "study.json").read_text())
    del facts["registered"]
    facts["claims"] = [claim | {"better": "higher"} for claim in facts["claims"]]
    (folder / "study.json").write_text(json.dumps(facts))
    old = analyse(read(folder))
    assert old.verdicts["verdict"].tolist() == analysis.verdicts["verdict"].tolist()
    assert old.registration == "the time of the claims is not recorded"
