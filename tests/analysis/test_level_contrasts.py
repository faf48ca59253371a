"""Contrasts between any levels, under `compare`: estimates by hand, a family of their own, no verdict."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from helpers.report_samples import KV_HEADS, analysed, make_study

from study.design.study import Trial
from study.report import Analysis, build
from study.report.tables import TABLES
from study.utils.errors import StudyError

COMPARE: list[dict[str, Any]] = [
    {"cells": {"kv heads": 1}, "against": {"kv heads": 4}},
    {"cells": {"kv heads": [1, 4]}},
    {"cells": {"kv heads": 1}, "against": {"kv heads": 4}, "metric": "params"},
]
CLAIM = {"claim": "one head is better", "kind": "greater", "cells": {"kv heads": 1}}
GAIN = {"1": (0.01, 0.02, 0.03), "4": (0.0, 0.0, 0.0), "2": (0.0, 0.0, 0.0)}


def accuracy(trial: Trial) -> float:
    return (0.90, 0.92, 0.91)[trial.replicate - 1] + GAIN[trial.cell.labels["kv heads"]][trial.replicate - 1]


def analysis(folder: Path, **keys: Any) -> Analysis:
    return analysed(make_study(folder, KV_HEADS, **keys), folder / "store", accuracy)


def test_estimates_by_hand(tmp_path: Path) -> None:
    """1, 2, 3 points: mean 2, t = 2 sqrt(3) with 2 degrees of freedom. Averaged with a level without effect: half."""
    rows = analysis(tmp_path, compare=COMPARE).level_contrasts
    assert rows["contrast"].tolist()[:2] == ["kv heads=1 against kv heads=4", "kv heads=1 or 4 against kv heads=2"]
    assert rows["estimate"].tolist() == pytest.approx([0.02, 0.01, -3 * 6 * 48 * 30])
    half = 4.302652729911275 * 0.01 / math.sqrt(3)  # the 97.5 % quantile of t with 2 degrees of freedom
    assert rows["high"].tolist()[:2] == pytest.approx([0.02 + half, 0.01 + half / 2])
    alone = 1 - math.sqrt(12 / 14)  # two-sided, in closed form
    assert rows["p_value"].tolist()[:2] == pytest.approx([alone] * 2)
    assert rows["p_adjusted"].tolist()[:2] == pytest.approx([2 * alone] * 2)
    assert rows[["low", "high", "p_value"]].loc[2].isna().all()


def test_contrasts_do_not_change_the_family_of_claims(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    with_contrasts = analysis(one, claims=[CLAIM], compare=COMPARE).verdicts
    assert with_contrasts.equals(analysis(other, claims=[CLAIM]).verdicts)


def test_table_and_files(tmp_path: Path) -> None:
    made = analysis(tmp_path, compare=COMPARE)
    folder = build(made.results, tmp_path / "reports" / "x").folder
    with (folder / "contrasts.csv").open() as file:
        assert [float(row["estimate"]) for row in csv.DictReader(file)] == pytest.approx([0.02, 0.01, -25920])
    assert "25,920 parameters" in (folder / "tables" / "contrasts.tex").read_text()
    assert "kv heads=1 against kv heads=4" in (folder / "report.html").read_text()
    assert "adjusted over these contrasts alone, apart from the claims" in TABLES["contrasts"].table(made).caption
    assert not (folder / "claims.csv").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"cells": {"heads": 1}}, r"compare\[0\].cells.heads: unknown factor 'heads'"),
        ({"cells": {"kv heads": 3}}, "has no level '3'"),
        ({"cells": {"kv heads": 2}}, "both sides have the same levels"),
        ({"cells": {"kv heads": 1}, "metric": "zzz"}, "unknown metric 'zzz'; possible: test_accuracy"),
        ({"cells": {"kv heads": 1}, "where": {"kv heads": 2}}, "'cells' names it too"),
        ({"cells": {}}, "cells"),
        ({"cells": {"kv heads": 1}, "margin": 0.1}, "unknown key 'margin'"),
    ],
)
def test_invalid_contrasts_are_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        make_study(tmp_path, KV_HEADS, compare=[keys])
