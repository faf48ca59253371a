"""Effects of designs against published analyses of variance and statsmodels; incomplete and aliased designs."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.anova import anova_lm

from study.analysis.stats import anova, effects, model
from study.analysis.stats.anova import TIMES
from study.analysis.stats.effects import estimate
from study.analysis.stats.intervals import paired_difference
from study.utils.errors import StudyError

X = None  # a missing observation

# Montgomery, Design and Analysis of Experiments, example 5.1: battery life by plate material and temperature.
BATTERY = {
    ("1", "15"): [130, 155, 74, 180],
    ("1", "70"): [34, 40, 80, 75],
    ("1", "125"): [20, 70, 82, 58],
    ("2", "15"): [150, 188, 159, 126],
    ("2", "70"): [136, 122, 106, 115],
    ("2", "125"): [25, 70, 58, 45],
    ("3", "15"): [138, 110, 168, 160],
    ("3", "70"): [174, 120, 150, 139],
    ("3", "125"): [96, 104, 82, 60],
}
# The same, example 5.6: target detection by ground clutter and filter, with operators as blocks.
DETECTION = {
    ("low", "1"): [90, 96, 100, 92],
    ("low", "2"): [86, 84, 92, 81],
    ("medium", "1"): [102, 106, 105, 96],
    ("medium", "2"): [87, 90, 97, 80],
    ("high", "1"): [114, 112, 108, 98],
    ("high", "2"): [93, 91, 95, 83],
}
# Kutner 1974 (Afifi & Azen 1972), "Unbalanced ANOVA" in the SAS/STAT manual, procedure GLM: drug and disease.
DRUGS = {
    ("1", "1"): [42, 44, 36, 13, 19, 22],
    ("1", "2"): [33, X, 26, X, 33, 21],
    ("1", "3"): [31, -3, X, 25, 25, 24],
    ("2", "1"): [28, X, 23, 34, 42, 13],
    ("2", "2"): [X, 34, 33, 31, X, 36],
    ("2", "3"): [3, 26, 28, 32, 4, 16],
    ("3", "1"): [X, X, 1, 29, X, 19],
    ("3", "2"): [X, 11, 9, 7, 1, -6],
    ("3", "3"): [21, 1, X, 9, 3, X],
    ("4", "1"): [24, X, 9, 22, -2, 15],
    ("4", "2"): [27, 12, 12, -5, 16, 15],
    ("4", "3"): [22, 7, 25, 5, 12, X],
}


def rows(cells, names):
    return pd.DataFrame(
        [
            {**dict(zip(names, labels, strict=True)), "replicate": r, "value": math.nan if value is None else value}
            for labels, values in cells.items()
            for r, value in enumerate(values, start=1)
        ]
    )


def factors_of(cells, names):
    return {name: list(dict.fromkeys(labels[i] for labels in cells)) for i, name in enumerate(names)}


def fitted(cells, names, **options):
    return estimate(rows(cells, names), factors_of(cells, names), **options)


def simulated(factors, replicates=3, seed=0, keep=lambda _: True):
    """Every combination that `keep` keeps, with random effects of all orders, replicates and noise."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(size=replicates)
    return {
        labels: list(np.round(rng.normal() + shift + rng.normal(size=replicates), 6))
        for labels in itertools.product(*factors.values())
        if keep(labels)
    }


def by_term(table):
    return table.set_index("term")


def test_battery_life():
    """Montgomery, table 5.5."""
    table = by_term(fitted(BATTERY, ["material", "temperature"], paired=False).anova)
    assert list(table.index) == ["material", "temperature", f"material {TIMES} temperature", "error", "total"]
    assert table["ss"].to_list() == pytest.approx([10683.72, 39118.72, 9613.78, 18230.75, 77646.97], abs=0.005)
    assert table["df"].to_list() == [2, 2, 4, 27, 35]
    assert table["f"].to_list()[:3] == pytest.approx([7.91, 28.97, 3.56], abs=0.005)
    assert table["p_value"].to_list()[:3] == pytest.approx([0.0020, 0.0000, 0.0186], abs=0.00005)


def test_target_detection_with_blocks():
    """Montgomery, table 5.22 (complete model with operators as blocks)."""
    table = by_term(fitted(DETECTION, ["clutter", "filter"]).anova)
    assert table["ss"].to_list() == pytest.approx([402.17, 335.58, 1066.67, 77.08, 166.33, 2047.83], abs=0.005)
    assert table["df"].to_list() == [3, 2, 1, 2, 15, 23]
    assert table["f"].to_list()[1:4] == pytest.approx([15.13, 96.19, 3.48], abs=0.005)
    assert table["p_value"].to_list()[1:4] == pytest.approx([0.0003, 0.0000, 0.0575], abs=0.0001)


def test_unbalanced_drugs_and_diseases():
    """SAS/STAT, GLM, "Unbalanced ANOVA for Two-Way Design with Interaction": type II sums of squares."""
    found = fitted(DRUGS, ["drug", "disease"], paired=False)
    table = by_term(found.anova)
    expected = [3063.432863, 418.833741, 707.266259, 5080.816667, 9340.155172]
    assert table["ss"].to_list() == pytest.approx(expected, abs=5e-6)
    assert table["df"].to_list() == [3, 2, 6, 46, 57]
    assert table["f"].to_list()[:3] == pytest.approx([9.25, 1.90, 1.07], abs=0.005)
    assert table["p_value"].to_list()[1:3] == pytest.approx([0.1617, 0.3958], abs=0.00005)
    assert found.notes == ("cells have 3 to 6 results: effects come from a least-squares fit",)


def test_shares_of_variance_by_hand():
    """Target detection: 1066.67 / (2047.83 - 402.17), and (1066.67 - 11.09) / (1645.67 + 11.09)."""
    row = by_term(fitted(DETECTION, ["clutter", "filter"]).anova).loc["filter"]
    assert row["eta_squared"] == pytest.approx(1066.6667 / 1645.6667)
    assert row["omega_squared"] == pytest.approx((1066.6667 - 11.0889) / (1645.6667 + 11.0889), rel=1e-6)


def test_balanced_means_are_plain_means_and_differences_have_the_textbook_error():
    """Battery life: material means 83.17, 108.33, 125.08; their differences have error sqrt(2 * 675.21 / 12)."""
    found = fitted(BATTERY, ["material", "temperature"], paired=False)
    material = found.effects[found.effects["factor"] == "material"]
    assert material["mean"].to_list() == pytest.approx([83.1667, 108.3333, 125.0833], abs=1e-4)
    assert material["difference"].to_list()[1:] == pytest.approx([25.1667, 41.9167], abs=1e-4)
    half = 2.051831 * math.sqrt(2 * 675.21296 / 12)  # t(0.975, df 27)
    assert (material["difference_high"] - material["difference"]).to_list()[1:] == pytest.approx([half] * 2, rel=1e-5)
    assert (found.effects["p_adjusted"].dropna() >= found.effects["p_value"].dropna()).all()
    interaction = found.interactions.set_index(["level_a", "level_b"])
    assert interaction.loc[("2", "70"), "mean"] == pytest.approx(119.75)
    assert interaction["n"].to_list() == [4] * 9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lost", [0, 7])
def test_agrees_with_statsmodels_type_two(seed, lost):
    """Three factors, the plain formula interface, balanced and with trials lost at random."""
    factors = {"a": ["p", "q", "r"], "b": ["s", "t"], "c": ["u", "v"]}
    data = rows(simulated(factors, seed=seed), factors)
    data.loc[np.random.default_rng(seed).choice(len(data), lost, replace=False), "value"] = math.nan
    found = by_term(estimate(data, factors).anova)
    formula = "value ~ C(replicate) + (a + b + c) ** 2 + a:b:c"
    theirs = anova_lm(smf.ols(formula, data.dropna()).fit(), typ=2)
    for term in ("a:b:c", "Residual"):
        ours = "three or more factors" if term == "a:b:c" else "error"
        assert found.loc[ours, "ss"] == pytest.approx(theirs.loc[term, "sum_sq"])
        assert found.loc[ours, "df"] == theirs.loc[term, "df"]
    plain = anova_lm(smf.ols("value ~ C(replicate) + (a + b + c) ** 2", data.dropna()).fit(), typ=2)
    for term, name in {"a": "a", "b": "b", "a:b": f"a {TIMES} b", "b:c": f"b {TIMES} c"}.items():
        assert found.loc[name, "ss"] == pytest.approx(plain.loc[term, "sum_sq"])
        assert found.loc[name, "df"] == plain.loc[term, "df"]
        f = plain.loc[term, "sum_sq"] / plain.loc[term, "df"] / found.loc["error", "ms"]
        assert found.loc[name, "f"] == pytest.approx(f)


def test_one_factor_design_gives_plain_differences_from_the_baseline():
    """Levels change one at a time: means are those of the cells, and no interaction can be estimated."""
    cells = {
        ("a0", "b0"): [1.0, 2.0, 4.0],
        ("a1", "b0"): [3.0, 3.0, 7.0],
        ("a2", "b0"): [2.0, 3.0, 4.0],
        ("a0", "b1"): [0.0, 2.0, 2.0],
    }
    found = fitted(cells, ["a", "b"])
    effects = found.effects.set_index(["factor", "level"])
    for (a, b), key in {("a1", "b0"): ("a", "a1"), ("a2", "b0"): ("a", "a2"), ("a0", "b1"): ("b", "b1")}.items():
        paired = paired_difference(dict(enumerate(cells[a, b])), dict(enumerate(cells["a0", "b0"])))
        assert effects.loc[key, "difference"] == pytest.approx(paired.mean)
        assert effects.loc[key, "mean"] == pytest.approx(np.mean(cells[a, b]))
    assert effects.loc[("a", "a0"), "mean"] == effects.loc[("b", "b0"), "mean"] == pytest.approx(7 / 3)
    assert "interaction" not in set(found.anova["kind"])
    assert found.interactions.empty
    assert found.notes == ("no cell changes two factors: effects are estimated at the first level of all others",)


def test_two_cells_give_the_paired_t_test():
    cells = {("a0",): [1.0, 2.0, 4.0], ("a1",): [3.0, 3.5, 7.0]}
    found = fitted(cells, ["a"])
    paired = paired_difference(dict(enumerate(cells[("a1",)])), dict(enumerate(cells[("a0",)])))
    row = found.effects.iloc[1]
    assert row["p_value"] == pytest.approx(paired.p_value)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((paired.low, paired.high))
    assert by_term(found.anova).loc["a", "p_value"] == pytest.approx(paired.p_value)


def test_an_empty_cell_leaves_part_of_the_interaction_with_a_note():
    factors = {"a": ["a0", "a1", "a2"], "b": ["b0", "b1", "b2"]}
    cells = simulated(factors, keep=lambda labels: labels != ("a2", "b1"))
    found = fitted(cells, factors)
    row = by_term(found.anova).loc[f"a {TIMES} b"]
    assert row["df"] == 3
    assert row["note"] == "3 of 4 contrasts: no results at a=a2, b=b1"
    data = rows(cells, factors)
    full = smf.ols("value ~ C(replicate) + C(a + b)", data).fit()
    additive = smf.ols("value ~ C(replicate) + a + b", data).fit()
    assert row["ss"] == pytest.approx(additive.ssr - full.ssr)
    lost = found.interactions.set_index(["level_a", "level_b"]).loc[("a2", "b1")]
    assert math.isnan(lost["mean"])
    assert lost["note"] == "no results"
    assert found.effects["difference"].notna().sum() == 4
    assert "8 of 9 combinations have results: effects come from a least-squares fit" in found.notes


def test_factors_that_change_together_are_aliased():
    cells = {("a0", "b0"): [1.0, 2.0], ("a1", "b1"): [3.0, 5.0]}
    found = fitted(cells, ["a", "b"])
    table = by_term(found.anova)
    assert table.loc["a", "note"] == "aliased with b"
    assert math.isnan(table.loc["a", "ss"])
    assert found.effects["difference"].isna().all()
    assert found.effects["mean"].isna().all()
    assert table.loc[f"a {TIMES} b", "note"] == "0 of 1 contrasts: no results at a=a0, b=b1 and 1 more"


def fraction(generator, factors):
    """The runs of a two-level design whose last factor's sign is the product of those in `generator`."""
    base = itertools.product((-1, 1), repeat=len(factors) - 1)
    signs = [(*run, math.prod(run[i] for i in generator)) for run in base]
    rng = np.random.default_rng(4)
    return {tuple("-+"[s > 0] for s in run): list(rng.normal(size=2)) for run in signs}, factors


def test_half_fraction_of_resolution_three():
    """2^(3-1), C = AB: main effects are estimable if there are no interactions (Box, Hunter & Hunter, ch. 6)."""
    cells, names = fraction((0, 1), ["A", "B", "C"])
    found = estimate(rows(cells, names), {name: ["-", "+"] for name in names})
    table = by_term(found.anova)
    assert table.loc["A", "df"] == 1
    assert table.loc["A", "note"] == f"assumes no B {TIMES} C, with which it is aliased"
    assert table.loc[f"B {TIMES} C", "note"] == "aliased with A"
    assert math.isnan(table.loc[f"B {TIMES} C", "p_value"])
    plus = np.mean([v for labels, values in cells.items() if labels[0] == "+" for v in values])
    minus = np.mean([v for labels, values in cells.items() if labels[0] == "-" for v in values])
    effects = found.effects.set_index(["factor", "level"])
    assert effects.loc[("A", "+"), "difference"] == pytest.approx(plus - minus)


def test_half_fraction_of_resolution_four():
    """2^(4-1), D = ABC: main effects are clear; AB + CD, AC + BD and AD + BC only as sums (Montgomery, table 8.3)."""
    cells, names = fraction((0, 1, 2), ["A", "B", "C", "D"])
    found = estimate(rows(cells, names), {name: ["-", "+"] for name in names})
    table = by_term(found.anova)
    assert table.loc[names, "note"].eq("").all()
    assert table.loc[f"A {TIMES} B", "note"] == f"aliased with C {TIMES} D"
    sums = [f"A {TIMES} B + C {TIMES} D", f"A {TIMES} C + B {TIMES} D", f"A {TIMES} D + B {TIMES} C"]
    assert table.loc[sums, "df"].to_list() == [1, 1, 1]
    product = {labels: (1 if labels[0] == labels[1] else -1) for labels in cells}
    contrast = sum(product[labels] * sum(values) for labels, values in cells.items())
    assert table.loc[sums[0], "ss"] == pytest.approx(contrast**2 / 16)
    terms = table.loc[[*names, *sums, "replicate", "error"], "ss"].sum()
    assert terms == pytest.approx(table.loc["total", "ss"])


def test_a_failed_level_has_a_note():
    cells = {("a0",): [1.0, 2.0], ("a1",): [X, X], ("a2",): [2.0, 4.0]}
    found = fitted(cells, ["a"])
    assert found.effects.loc[1, "note"] == "no results"
    assert math.isnan(found.effects.loc[1, "difference"])
    assert found.effects.loc[2, "difference"] == pytest.approx(1.5)
    assert by_term(found.anova).loc["a", "df"] == 1


def test_a_failed_baseline_leaves_no_differences():
    found = fitted({("a0",): [X, X], ("a1",): [1.0, 2.0], ("a2",): [2.0, 4.0]}, ["a"])
    assert found.effects["difference"].isna().all()
    assert by_term(found.anova).loc["a", "df"] == 1


def test_one_level_only():
    table = by_term(fitted({("a0",): [1.0, 2.0], ("a1",): [X, X]}, ["a"]).anova)
    assert table.loc["a", "note"] == "only level 'a0' has results"


def test_one_replicate_per_cell_uses_higher_interactions_as_the_error():
    factors = {"a": ["p", "q"], "b": ["s", "t"], "c": ["u", "v"]}
    found = fitted(simulated(factors, replicates=1), factors)
    assert by_term(found.anova).loc["error", "df"] == 1
    assert found.error.sentences == (
        "one replicate per cell: interactions of three or more factors are used as the error (1 degree of freedom)",
    )


def test_no_degrees_of_freedom_left_for_the_error():
    found = fitted({("a0",): [1.0], ("a1",): [2.0]}, ["a"])
    assert found.error.sentences == ("no degrees of freedom left for the error: run more replicates",)
    assert found.effects.loc[1, "difference"] == pytest.approx(1.0)
    assert math.isnan(found.effects.loc[1, "p_value"])
    assert math.isnan(by_term(found.anova).loc["a", "f"])


def test_a_metric_without_variation_has_no_test():
    """For example the number of parameters: large, and the same in every replicate."""
    cells = {("a0",): [667_044.0] * 3, ("a1",): [1_223_000.0] * 3}
    found = fitted(cells, ["a"])
    assert found.effects.loc[1, "difference"] == pytest.approx(555_956.0)
    assert math.isnan(found.effects.loc[1, "p_value"])
    assert found.error.sentences == ("no variation within cells and replicates: no test",)


def test_no_results_at_all():
    found = fitted({("a0",): [X], ("a1",): [X]}, ["a"])
    assert found.notes == ("no trial has a result: nothing can be estimated",)
    assert found.anova.empty
    assert "difference" in found.effects.columns


def test_an_unknown_level_raises():
    with pytest.raises(StudyError, match="invalid level 'a1' of factor 'a' in the results: must be one of 'a0'"):
        estimate(rows({("a0",): [1.0], ("a1",): [2.0]}, ["a"]), {"a": ["a0"]})


text = st.text(min_size=1, max_size=8)


@given(st.lists(text, min_size=2, max_size=2, unique=True), st.lists(text, min_size=4, max_size=4, unique=True))
@settings(deadline=None, max_examples=20)
def test_names_do_not_change_the_numbers(names, labels):
    """Names of factors and levels may be any text: quotes, spaces, formulas, emoji."""
    if {"replicate", "value"} & set(names):
        return
    plain = {"f": ["1", "2"], "g": ["3", "4"]}
    cells = simulated(plain)
    rename = dict(zip(["1", "2", "3", "4"], labels, strict=True))
    renamed = {(rename[a], rename[b]): values for (a, b), values in cells.items()}
    ours, theirs = fitted(renamed, names), fitted(cells, list(plain))
    pd.testing.assert_frame_equal(ours.anova.drop(columns="term"), theirs.anova.drop(columns="term"))
    pd.testing.assert_frame_equal(ours.effects.iloc[:, 2:], theirs.effects.iloc[:, 2:])


@given(st.integers(0, 1000), st.integers(0, 12))
@settings(deadline=None, max_examples=25)
def test_missing_trials_never_give_invalid_tables(seed, lost):
    """Sums of squares are not negative, degrees of freedom add up, and every nan has a reason."""
    factors = {"a": ["p", "q", "r"], "b": ["s", "t"]}
    data = rows(simulated(factors, replicates=2, seed=seed), factors)
    data.loc[np.random.default_rng(seed).choice(len(data), lost, replace=False), "value"] = math.nan
    found = estimate(data, factors)
    if lost == 12:
        assert found.anova.empty
        return
    tested = found.anova[found.anova["kind"].isin(["main", "interaction"])]
    assert (tested["ss"].dropna() >= 0).all()
    assert (tested.loc[tested["ss"].isna(), "note"] != "").all()
    assert by_term(found.anova).loc["total", "df"] == 11 - lost
    changed = found.effects.groupby("factor").tail(-1)
    assert (changed.loc[changed["difference"].isna() & (changed["n"] > 0), "difference_low"].isna()).all()


@pytest.mark.parametrize("lost", [0, 9, 25], ids=["balanced", "unbalanced", "of lower rank"])
def test_a_fit_agrees_with_dense_least_squares(lost, monkeypatch):
    """The reference solves for all columns at once; the fit reads a few rows at a time."""
    monkeypatch.setattr(model, "CHUNK", 7)
    factors = {"a": ["p", "q", "r", "s"], "b": ["t", "u", "v"]}
    data = rows(simulated(factors, seed=4), factors)
    data.loc[np.random.default_rng(1).choice(len(data), lost, replace=False), "value"] = math.nan
    trials = effects._trials(data, factors, "value", paired=True)
    terms = [(0,), (1,), (0, 1)]
    columns = trials.columns(terms)
    plain, _, rank, _ = np.linalg.lstsq(columns, trials.values_T)
    left, fit = trials.values_T - columns @ plain, model.Fit(trials, terms)
    assert (rank < columns.shape[1]) == (lost == 25)
    assert fit.residual.df == len(trials.values_T) - rank
    assert fit.residual.ss == pytest.approx(left @ left, abs=1e-12)
    assert fit.estimable(columns).all()  # every observed cell is estimable
    means, variances = fit.estimate(columns)
    np.testing.assert_allclose(means, columns @ plain, atol=1e-10)
    np.testing.assert_allclose(variances, np.diag(columns @ np.linalg.pinv(columns)), atol=1e-10)
    assert fit.estimable(np.eye(columns.shape[1])).all() == (lost != 25)


def test_one_empty_cell_among_hundreds_costs_one_degree_of_freedom():
    """Full factorial of two factors: all contrasts except that of the empty cell are estimated."""
    factors = {"a": [f"a{i}" for i in range(12)], "b": [f"b{i}" for i in range(30)]}
    found = fitted(simulated(factors, keep=lambda labels: labels != ("a3", "b7")), factors)
    table = by_term(found.anova)
    lack = "lack of fit of the main effects"
    assert list(table.index) == ["replicate", "a", "b", f"a {TIMES} b", lack, "error", "total"]
    assert table["df"].to_list() == [2, 11, 29, 11 * 29 - 1, 11 * 29 - 1, 358 * 2, 359 * 3 - 1]
    assert found.error.used.ms == pytest.approx(359 / 360 * table.loc["error", "ms"] + table.loc[lack, "ms"] / 360)


def test_interactions_of_too_many_contrasts_are_left_out_with_a_note(monkeypatch):
    """Of 2, 2 and 4 contrasts the last exceeds the limit. The design is balanced, so nothing else changes."""
    factors = {"a": ["p", "q"], "b": ["s", "t", "u"], "c": ["v", "w", "x"]}
    cells = simulated(factors)
    whole = fitted(cells, factors)
    monkeypatch.setattr(anova, "MAX_CONTRASTS", 5)
    found = fitted(cells, factors)
    before, table = by_term(whole.anova), by_term(found.anova)
    left = f"b {TIMES} c"
    assert (table.loc[left, "df"], table.loc[left, "note"]) == (0, "not fitted: 4 contrasts")
    assert math.isnan(table.loc[left, "ss"])
    kept = [term for term in before.index if term not in (left, "three or more factors")]
    assert table.loc[kept, "ss"].to_list() == pytest.approx(before.loc[kept, "ss"].to_list())
    rest = before.loc[[left, "three or more factors"]]
    assert table.loc["all other interactions", "ss"] == pytest.approx(rest["ss"].sum())
    assert table.loc["all other interactions", "df"] == rest["df"].sum()
    assert found.effects["mean"].to_list() == pytest.approx(whole.effects["mean"].to_list())
    assert not (found.interactions["factor_a"] == "b").any()
    assert f"not fitted (too many contrasts): {left}; main effects are estimated without them" in found.notes


def test_a_fit_that_does_not_converge_gives_empty_tables_and_the_reason(monkeypatch):
    def fail(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge in Linear Least Squares")

    monkeypatch.setattr(np.linalg, "lstsq", fail)
    found = fitted(BATTERY, ["material", "temperature"])
    assert found.notes == ("the least-squares fit failed: SVD did not converge in Linear Least Squares",)
    assert found.anova.empty
    assert list(found.effects.columns) == effects.EFFECT_COLUMNS
    assert list(found.interactions.columns) == effects.INTERACTION_COLUMNS
