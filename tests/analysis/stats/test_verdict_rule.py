"""Verdicts on claims against hand computation and reference implementations."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from study.analysis.stats.forecast import Spread
from study.analysis.stats.power import needed_replicates
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec
from study.utils.errors import StudyError

# Student 1908: extra hours of sleep of ten patients under two drugs.
SLEEP_FIRST = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_SECOND = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
FACTORS = {"drug": ["first", "second"]}
NASTY = {"a b 'q' \"r\" `s`": ["1 + 2", "C(x)"], "😀 ~ *": ["{y}", "%s\n"]}


def spec(**keys):
    return ClaimSpec.model_validate({"claim": "c", "metric": "value", **keys})


def rows(cells, factors):
    """Labels to values by replicate, as a DataFrame."""
    return pd.DataFrame(
        [
            {**dict(zip(factors, labels, strict=True)), "replicate": r, "value": value}
            for labels, values in cells.items()
            for r, value in enumerate(values, start=1)
        ]
    )


SLEEP = rows({("first",): SLEEP_FIRST, ("second",): SLEEP_SECOND}, FACTORS)


def one(claim, data=SLEEP, factors=FACTORS):
    return judge([claim], data, factors)[0]


def test_greater_on_students_sleep_data():
    """R's documentation of t.test: t = 4.0621, p = 0.002833, interval 0.7001142 to 2.4598858 (see test_intervals)."""
    found = one(spec(kind="greater", cells={"drug": "second"}))
    assert (found.verdict, found.n, found.sets) == ("supported", 10, 1)
    assert found.estimate == pytest.approx(1.58)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.p_value == found.p_adjusted == pytest.approx(0.002833, abs=5e-7)


def test_data_that_support_greater_refute_less():
    found = one(spec(kind="less", cells={"drug": "second"}))
    assert found.verdict == "refuted"
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)


def test_the_reversed_claim_is_supported():
    found = one(spec(kind="less", cells={"drug": "first"}, against={"drug": "second"}))
    assert (found.verdict, found.estimate) == ("supported", pytest.approx(-1.58))


@pytest.mark.parametrize(
    ("margin", "verdict"), [(0.5, "refuted"), (1.0, "undecided"), (2.0, "undecided"), (3, "supported")]
)
def test_equivalence_agrees_with_two_one_sided_tests(margin, verdict):
    """Student's sleep data against margins: by hand, (1.58 - 0.5) / 0.38896 = 2.777 standard errors outside 0.5."""
    found = one(spec(kind="equivalent", cells={"drug": "second"}, margin=float(margin)))
    p_value, *_ = ttost_paired(np.array(SLEEP_SECOND), np.array(SLEEP_FIRST), -margin, margin)
    assert found.verdict == verdict
    if p_value < 0.5:
        assert found.p_value == pytest.approx(2 * p_value)
    else:
        assert found.p_value == pytest.approx(2 * stats.t.sf((1.58 - margin) / 0.38896, 9), rel=1e-3)


def test_non_inferior_allows_differences_up_to_the_margin():
    worse = spec(kind="non_inferior", cells={"drug": "first"}, against={"drug": "second"}, margin=3.0)
    assert one(worse).verdict == "supported"
    assert one(worse.model_copy(update={"margin": 0.5})).verdict == "refuted"
    assert one(worse.model_copy(update={"margin": 0.5, "better": "lower"})).verdict == "supported"


def test_greater_with_the_margin_inside_the_interval_is_undecided():
    found = one(spec(kind="greater", cells={"drug": "second"}, margin=1.0))
    assert found.verdict == "undecided"
    sds = Spread.of(1.229995, 9).ends[::2]
    low, high = (needed_replicates(0.58, sd, alpha=0.05) for sd in sds)
    assert found.note == (
        f"not distinguishable at n = 10: {low} to {high} new replicates in a study of their own (study replicate) "
        "would decide this claim with 80% power (paired test) if the true difference equals the estimate"
    )
    claims = [spec(kind="greater", cells={"drug": "second"}, margin=1.0)] * 2
    low, high = (needed_replicates(0.58, sd, alpha=0.025) for sd in sds)
    assert (
        f": {low} to {f'{high}' if high <= 100 else 'more than 100'} new replicates"
        in judge(claims, SLEEP, FACTORS)[0].note
    )


def test_against_a_number():
    found = one(spec(kind="greater", cells={"drug": "second"}, against=1.0))
    test = stats.ttest_1samp(SLEEP_SECOND, 1.0)
    assert found.estimate == pytest.approx(np.mean(SLEEP_SECOND) - 1.0)
    assert found.p_value == pytest.approx(test.pvalue)


def test_interaction_is_the_difference_of_differences():
    """By hand, replicate by replicate: (y11 - y01) - (y10 - y00) = 3, 2, 4: mean 3, sd 1, t = 3 sqrt(3) = 5.196."""
    factors = {"a": ["a0", "a1"], "b": ["b0", "b1"]}
    cells = {
        ("a0", "b0"): [1.0, 2.0, 3.0],
        ("a1", "b0"): [2.0, 2.0, 5.0],
        ("a0", "b1"): [4.0, 5.0, 6.0],
        ("a1", "b1"): [8.0, 7.0, 12.0],
    }
    found = one(spec(kind="interaction", cells={"a": "a1", "b": "b1"}), rows(cells, factors), factors)
    assert (found.estimate, found.n) == (3.0, 3)
    assert found.p_value == pytest.approx(2 * stats.t.sf(3 * math.sqrt(3), 2))
    assert found.verdict == "supported"
    small = spec(kind="interaction", cells={"a": "a1", "b": "b1"}, margin=9.0)
    assert one(small, rows(cells, factors), factors).verdict == "refuted"


def test_other_factors_are_matched_and_averaged_over():
    """By hand: at c0 the differences are 1, 2, at c1 3, 6; averaged 2, 4."""
    factors = {"a": ["a0", "a1"], "c": ["c0", "c1"]}
    cells = {("a0", "c0"): [0, 0], ("a1", "c0"): [1, 2], ("a0", "c1"): [10, 10], ("a1", "c1"): [13, 16]}
    claim = spec(kind="greater", cells={"a": "a1"})
    found = one(claim, rows(cells, factors), factors)
    assert (found.estimate, found.sets) == (3.0, 2)
    limited = one(claim.model_copy(update={"where": {"c": "c1"}}), rows(cells, factors), factors)
    assert (limited.estimate, limited.sets) == (4.5, 1)


def test_cells_without_a_partner_are_left_out():
    factors = {"a": ["a0", "a1"], "c": ["c0", "c1", "c2"]}
    cells = {("a0", "c0"): [0, 0], ("a1", "c0"): [1, 2], ("a1", "c1"): [99, 98], ("a0", "c2"): [5, 5]}
    found = one(spec(kind="greater", cells={"a": "a1"}), rows(cells, factors), factors)
    assert (found.estimate, found.sets, found.verdict) == (1.5, 1, "undecided")


def test_only_common_replicates_are_used():
    data = pd.concat([SLEEP, rows({("first",): [9.0] * 12}, FACTORS).iloc[10:]])
    assert one(spec(kind="greater", cells={"drug": "second"}), data).n == 10


def test_without_a_matched_set_there_is_no_verdict():
    """The estimate is that of the other set, which is not what the claim is about."""
    factors = {"a": ["a0", "a1"], "c": ["c0", "c1"]}
    cells = {("a0", "c0"): [0, 0, 1], ("a1", "c0"): [1, 2, 3], ("a0", "c1"): [1, 1, 1], ("a1", "c1"): [math.nan] * 3}
    found = one(spec(kind="greater", cells={"a": "a1"}), rows(cells, factors), factors)
    assert (found.estimate, found.sets) == (pytest.approx(5 / 3), 1)
    assert (found.verdict, math.isnan(found.p_value)) == ("undecided", True)
    assert found.note == "1 of 2 matched comparisons without a common replicate: no verdict on the rest"


def test_excluded_cells_are_ignored():
    data = SLEEP.assign(status=["excluded"] * 10 + ["done"] * 10)
    found = one(spec(kind="greater", cells={"drug": "second"}), data)
    assert found.note.startswith("no cells of this design match")


@pytest.mark.parametrize(
    ("second", "note"),
    [
        ([], "no results yet"),
        ([1.0], "no interval: every matched comparison needs 2 common replicates, found 1"),
        ([1.2, 2.2, 3.2], "the difference is the same in all replicates"),
    ],
)
def test_too_little_to_decide(second, note):
    cells = {("first",): [1.0, 2.0, 3.0], ("second",): second + [math.nan] * (3 - len(second))}
    found = one(spec(kind="greater", cells={"drug": "second"}), rows(cells, FACTORS))
    assert (found.verdict, found.note.startswith(note) or note in found.note) == ("undecided", True)
    assert math.isnan(found.p_adjusted)
    assert found.adjustment == ""
    assert (found.error, found.df) == (
        ("paired", 2) if len(second) == 3 else ("", pytest.approx(math.nan, nan_ok=True))
    )


def test_p_values_are_adjusted_over_all_claims():
    """Holm by hand: the second claim's p of 0.0028 is the smallest of three; claims without results count."""
    data = pd.concat([SLEEP, rows({("third",): [math.nan]}, FACTORS)])
    factors = {"drug": ["first", "second", "third"]}
    claims = [
        spec(kind="greater", cells={"drug": "third"}),
        spec(kind="greater", cells={"drug": "second"}),
        spec(kind="greater", cells={"drug": "second"}, margin=0.6),
    ]
    _, second, third = judge(claims, data, factors)
    assert second.p_adjusted == pytest.approx(3 * 0.002833, abs=1e-5)
    assert third.p_value == pytest.approx(2 * stats.t.sf((1.58 - 0.6) / 0.38896, 9), rel=1e-3)
    assert third.p_adjusted == pytest.approx(2 * third.p_value)
    assert third.verdict == "undecided"
    assert third.note == "decided by its own interval, but not after Holm's correction for 3 claims"


def test_names_may_be_any_text():
    cells = {labels: [float(i), i + 1.5, i + 2.0] for i, labels in enumerate(itertools.product(*NASTY.values()))}
    cells["C(x)", "%s\n"] = [9.0, 10.0, 12.0]
    first = next(iter(NASTY))
    found = one(spec(kind="greater", cells={first: "C(x)"}), rows(cells, NASTY), NASTY)
    assert found.sets == 2


def test_two_results_of_one_trial_raise():
    with pytest.raises(StudyError, match="two results for replicate 1 of cell drug=first"):
        one(spec(kind="greater", cells={"drug": "second"}), pd.concat([SLEEP, SLEEP]))


def test_a_missing_metric_raises_with_the_columns_found():
    with pytest.raises(
        StudyError, match="column 'test_accuracy' not found in the results; found 'drug', 'replicate', 'value'"
    ):
        one(spec(kind="greater", cells={"drug": "second"}, metric="test_accuracy"))
