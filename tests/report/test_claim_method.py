"""The method of the verdicts as a report states it, against the verdicts that it has."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.predicted_samples import with_predictions
from helpers.report_samples import KV_HEADS, analysed, collected, make_study, unrun

from study.analysis.stats import calibrate, calibrate_failures, calibrate_families, calibrate_items, calibrate_shape
from study.analysis.stats.calibrate_failures import COLLAPSES, DROP, MISSED, supports
from study.analysis.stats.error_choice import ErrorChoice, choose
from study.design.claim_kinds.claim_kind import Region
from study.design.study import Trial
from study.report import Analysis, analyse
from study.report.claim_method import (
    AGAINST_NUMBERS,
    COLLAPSING,
    OFTEN_FOUND,
    OVER_IMAGES,
    PROMISE,
    condition,
    sentences,
)
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
    assert "about other test images only if replicates draw them anew" in PROMISE


def choice(cells: dict[str, list[float]]) -> ErrorChoice[tuple[str, ...]]:
    return choose({(name,): dict(enumerate(values)) for name, values in cells.items()})


TAIL = np.array([0.1, 1.5, 0.3, 0.5, 2.6, 0.7, 1.0, 0.2])  # quantiles of an exponential distribution


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"a": [0.1], "b": [0.2]}, "cannot be tested: too few replicates, or no variation."),
        (
            {c: [0.1, 0.2, 0.3, 0.4, 0.5] for c in "abc"},
            "no sign that results are skewed in `m` (skewness test over 3",
        ),
        ({c: [0.1, 0.2, 0.3, 0.4, 0.5] for c in "abc"}, "with 5 replicates, this test finds strong skew in 39 %"),
        ({str(i): np.roll(TAIL, i).tolist() for i in range(6)}, "without a sign that spreads differ"),
        ({str(i): (np.roll(TAIL, i) * (0.01, 5)[i > 4]).tolist() for i in range(8)}, "the 5 % may not hold for this"),
    ],
)
def test_the_condition_is_that_of_the_results(cells: dict[str, list[float]], text: str) -> None:
    assert text in condition("m", choice(cells))


def test_cited_shares_are_those_of_the_calibration() -> None:
    """Each share that the report cites is inside the bounds of a line that `calibrate` checks."""
    bounds = {question.setting: (question.low, question.high) for question in calibrate_shape.questions()}
    for n, share in OFTEN_FOUND.items():
        low, high = bounds[f"9 cells, lognormal, 25-fold spreads; n = {n}"]
        assert low <= share / 100 <= high
        assert high - low < 0.05
    ends = [
        (question.low, question.high)
        for question in calibrate_families.questions()
        if "lognormal, 25-fold" in question.setting
    ]
    assert set(ends) == {(0.155, 0.345)}
    assert "16 to 34 %" in PROMISE
    assert max(map(_bound, calibrate_families.spreads())) == 0.052
    assert "at most 5.2 %" in PROMISE


def test_the_sentence_on_claims_against_numbers_is_that_of_the_calibration(tmp_path: Path) -> None:
    lines = [one for one in calibrate_families.questions() if "claims against" in one.setting]
    assert {f"up to {100 * one.high:g} %" for one in lines} == set(re.findall(r"up to [\d.]+ %", AGAINST_NUMBERS))
    skewed = [one for one in calibrate.questions() if one.measure.startswith("t interval of a mean")]
    assert {(one.low, one.high) for one in skewed if "skewed" in one.setting} == {(0.925, 0.945)}
    assert "in 6 to 7 %" in AGAINST_NUMBERS
    for against, stated in ((0.5, True), ({"kv heads": 2}, False)):
        claim = {"claim": "c", "kind": "greater", "cells": {"kv heads": 1}, "against": against}
        analysis = analysed(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store", noisy)
        assert (AGAINST_NUMBERS in list(sentences(analysis))) == stated


@pytest.mark.parametrize("kind", ["non_inferior", "equivalent"])
def test_what_few_replicates_miss_is_stated_beside_claims_of_non_inferiority(kind: str, tmp_path: Path) -> None:
    claim = {"claim": "c", "kind": kind, "cells": {"kv heads": 1}, "margin": 0.01}
    text = list(sentences(analysed(make_study(tmp_path, KV_HEADS, claims=[claim]), tmp_path / "store", noisy)))
    assert (COLLAPSING in text) == (kind == "non_inferior")


def test_what_few_replicates_miss_is_that_of_the_calibration() -> None:
    three, *others = [f"{100 * share:.0f} % {{}} {n}" for n, share in MISSED.items()]
    *middle, last = [one.format("with") for one in others]
    assert f"in {three.format('of studies with')} replicates, {', '.join(middle)} and {last}: in all" in COLLAPSING
    assert f"loses {DROP:g} points in {100 * COLLAPSES:g} % of its runs, so {DROP * COLLAPSES:g} points" in COLLAPSING
    lines = [one for one in calibrate_failures.questions() if "falsely non-inferior" in one.measure]
    assert [line.high - line.low < 0.05 for line in lines] == [True] * len(MISSED)
    assert all(line.low < share < line.high for line, share in zip(lines, MISSED.values(), strict=True))
    assert all("margin 1 point" in line.setting for line in lines)


def test_studies_that_miss_a_collapsing_cell_have_no_collapsed_run() -> None:
    """A run 40 points below widens the interval far beyond the margin."""
    for n in MISSED:
        difference = np.array([[-40.0, *np.linspace(-1, 1, n - 1)]])
        assert not supports(difference, np.ones_like(difference, dtype=bool), Region(-1.0, np.inf))[0]


def test_claims_with_an_error_over_images_are_described_by_the_calibration(tmp_path: Path) -> None:
    lines = [one for one in calibrate_items.questions() if one.measure == calibrate_items.FALSE]
    plain = [one for one in lines if "alike" not in one.setting]
    assert f"at most {100 * max(one.high for one in plain if 'other images' in one.setting):g} % had" in OVER_IMAGES
    assert f"at most {100 * max(one.high for one in plain if 'these images' in one.setting):g} % one" in OVER_IMAGES
    assert f"at most {100 * max(one.high for one in lines):g} % had one." in OVER_IMAGES
    claims = [
        {"claim": metric, "kind": "greater", "cells": {"kv heads": 1}, "against": 0.5, "metric": metric}
        for metric in ("test_accuracy", "val_accuracy")
    ]
    for stated, own in ((1, claims[:1]), (2, claims)):
        results = collected(make_study(tmp_path, KV_HEADS, claims=own), tmp_path / "store", noisy)
        text = list(sentences(analyse(with_predictions(results))))
        assert [one in text for one in (OVER_IMAGES, AGAINST_NUMBERS)] == [True, stated == 2]


def _bound(name: str) -> float:
    return next(one.high for one in calibrate_families.questions() if f"no effects, {name};" in one.setting)


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
    assert "intervals, over replicates;" in table.caption
    over_images = analyse(with_predictions(analysis.results))
    table = TABLES["claims"].write(over_images, over_images.verdicts)
    (error,) = (column.values for column in table.columns if column.title == "error")
    assert error[0].startswith("replicates and images, ")
    assert "intervals, over replicates and test images;" in table.caption
