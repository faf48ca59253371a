"""Main effects, interactions and shares of variance, checked by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest
from helpers.looks import collect
from helpers.report_samples import HOSTILE, PRETRAINING, analysed, make_study, put, unrun
from scipy import stats

from study.analysis.effects import is_matched
from study.analysis.factorial import aliases, is_factorial
from study.design.stages import stages_of
from study.design.study import Study, Trial, expand
from study.report import Analysis, analyse
from study.report.plots import PLOTS
from study.report.sections import outline
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store

HEADS = {"path": "encoder.num_kv_heads", "levels": [2, 1]}
DEPTH = {"path": "encoder.depth", "levels": [6, 4]}
WIDTH = {"path": "encoder.ffn_width_last", "levels": [16, 24, 32]}
TWO = {"heads": HEADS, "depth": DEPTH}
# by heads and depth, over two replicates; in points: 90 80 70 40, and replicates one point apart
MEANS = {("2", "6"): 0.90, ("1", "6"): 0.80, ("2", "4"): 0.70, ("1", "4"): 0.40}
NOISE = {("2", "6"): 0.01, ("1", "6"): -0.01, ("2", "4"): -0.01, ("1", "4"): 0.01}


def worked(trial: Trial) -> float:
    """Replicates +0.005 and -0.005, and noise that is opposite in the two."""
    labels = (trial.cell.labels["heads"], trial.cell.labels["depth"])
    sign = 1 if trial.replicate == 1 else -1
    return MEANS[labels] + sign * (0.005 + NOISE[labels])


def two_by_two(folder: Path, **keys: object) -> Study:
    return make_study(folder, TWO, **{"design": "factorial", "replicates": 2, **keys})


def texts(analysis: Analysis) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(analysis)}


def test_the_analysis_of_variance_by_hand(tmp_path: Path) -> None:
    """Cell means 90, 80, 70, 40: heads 20 apart, depth 30, interaction 20 (of which each cell carries 5)."""
    table = analysed(two_by_two(tmp_path), tmp_path / "store", worked).anova.set_index("kind")
    points = 1e4 * table["ss"]
    assert points["replicate"] == pytest.approx(8 * 0.5**2)
    assert points["main"].tolist() == [pytest.approx(8 * 10**2), pytest.approx(8 * 15**2)]
    assert points["interaction"] == pytest.approx(8 * 5**2)
    assert points["error"] == pytest.approx(8 * 1**2)
    assert table["df"].tolist() == [1, 1, 1, 1, 3, 7]
    total = 800 + 1800 + 200 + 8
    assert table["eta_squared"].drop(["replicate", "total"]).tolist() == pytest.approx(
        [800 / total, 1800 / total, 200 / total, 8 / total]
    )
    assert table.loc["interaction", "f"] == pytest.approx(200 / (8 / 3))
    assert table.loc["interaction", "omega_squared"] == pytest.approx((200 - 8 / 3) / (total + 8 / 3))


def test_the_table_shows_the_same_numbers_in_points(tmp_path: Path) -> None:
    analysis = analysed(two_by_two(tmp_path), tmp_path / "store", worked)
    rows = {row[0]: row for row in TABLES["anova"].table(analysis).rows}
    assert rows["depth"][1:4] == ("1", "1,800", f"{100 * 1800 / 2808:.2f}")
    assert rows["chance (error)"][1:5] == ("3", "8.00", "0.28", "–")  # noqa: RUF001
    assert rows["heads × depth"][5] == "75.0"  # noqa: RUF001
    latex = TABLES["anova"].table(analysis).latex("tab:x")
    assert r"heads $\times$ depth & 1 & 200" in latex
    assert r"\toprule" in latex


def test_main_effects_and_interactions_are_least_squares_means(tmp_path: Path) -> None:
    analysis = analysed(two_by_two(tmp_path), tmp_path / "store", worked)
    means = analysis.main_effects.set_index(["factor", "level"])["mean"]
    assert means.to_dict() == pytest.approx(
        {("heads", "2"): 0.80, ("heads", "1"): 0.60, ("depth", "6"): 0.85, ("depth", "4"): 0.55}
    )
    pairs = analysis.interactions.set_index(["level_a", "level_b"])
    assert pairs["mean"].to_dict() == pytest.approx(MEANS)
    assert pairs["term"].unique().tolist() == ["heads × depth"]  # noqa: RUF001
    assert (pairs["high"] <= 1).all()


def test_findings_give_the_shares_of_variance_and_the_interactions(tmp_path: Path) -> None:
    found = texts(analysed(two_by_two(tmp_path), tmp_path / "store", worked))
    assert found["Shares of variance"].startswith("depth 64.10\u00a0%, heads 28.49\u00a0%, heads × depth 7.12")  # noqa: RUF001
    assert found["Interactions"] == (
        "the only two-factor interaction is distinguishable from chance after Holm's correction: heads × depth "  # noqa: RUF001
        "(p 0.003); the effect of one factor depends on the other."
    )


def test_shares_put_the_largest_first_and_chance_last(tmp_path: Path) -> None:
    shares = PLOTS["variance"].compute(analysed(two_by_two(tmp_path), tmp_path / "store", worked))
    assert shares["term"].tolist() == ["depth", "heads", "heads × depth", "error"]  # noqa: RUF001
    assert shares["eta_squared"].sum() == pytest.approx(1.0)


def test_without_a_distinguishable_interaction_the_two_largest_are_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**TWO, "width": WIDTH}, design="factorial", replicates=3)

    def accuracy(trial: Trial) -> float:
        return 0.9 + 0.01 * math.sin(37 * trial.replicate + 11 * sum(map(ord, trial.cell.name)))

    analysis = analysed(study, tmp_path / "store", accuracy)
    table = analysis.anova
    if (table.loc[table["kind"] == "interaction", "p_value"] < 0.05).any():
        pytest.fail("the made-up noise should show no interaction")
    drawn = analysis.interactions
    assert drawn["term"].nunique() == 2
    assert drawn["share"].is_monotonic_decreasing
    assert texts(analysis)["Interactions"].endswith(
        "none of the 3 two-factor interactions is distinguishable from chance after Holm's correction."
    )


def test_excluded_cells_are_noted(tmp_path: Path) -> None:
    exclude = [{"when": {"heads": 1, "width": 32}, "reason": "not run"}]
    study = make_study(tmp_path, {**TWO, "width": WIDTH}, design="factorial", exclude=exclude)
    analysis = analysed(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed + len(trial.cell.name))
    )
    table = TABLES["anova"].table(analysis)
    assert "10 of 12 combinations have results: effects come from a least-squares fit." in table.caption
    rows = {row[0]: row for row in table.rows}
    assert rows["heads × width"][1] == "1"  # noqa: RUF001
    assert rows["heads × width"][-1] == "1 of 2 contrasts: no results at heads=1, width=32"  # noqa: RUF001
    means = analysis.fit.interactions
    assert means[(means["level_a"] == "1") & (means["level_b"] == "32")]["mean"].isna().all()
    assert PLOTS["interactions"].compute(analysis)["mean"].notna().all()
    assert "3 two-factor interactions" in texts(analysis)["Interactions"]


def test_cells_that_all_change_one_factor_are_not_factorial(tmp_path: Path) -> None:
    exclude = [{"when": {"heads": 1, "depth": 4}, "reason": "not run"}]
    analysis = analysed(two_by_two(tmp_path, exclude=exclude), tmp_path / "store", worked)
    assert not is_factorial(analysis.facts)
    assert "Interactions" not in texts(analysis)


def test_one_replicate_has_means_but_no_test(tmp_path: Path) -> None:
    analysis = analysed(two_by_two(tmp_path, replicates=1), tmp_path / "store", worked)
    assert "run more replicates" in TABLES["anova"].table(analysis).caption
    assert analysis.main_effects["low"].isna().all()
    assert "Shares of variance" not in texts(analysis)


def test_an_unrun_study_has_empty_tables(tmp_path: Path) -> None:
    analysis = unrun(two_by_two(tmp_path), tmp_path / "store")
    assert analysis.anova.empty
    assert analysis.interactions.empty
    assert [name for name in ("variance", "main_effects", "interactions") if len(PLOTS[name].compute(analysis))] == []
    assert 'table(analysis, "anova")' not in [cell.written for cell in outline(analysis)]


def test_a_one_factor_design_has_no_such_section(tmp_path: Path) -> None:
    analysis = analysed(make_study(tmp_path, TWO), tmp_path / "store")
    assert not is_factorial(analysis.facts)
    assert not [cell for cell in outline(analysis) if "Main effects" in cell.written]
    assert not TABLES["anova"].table(analysis).rows


def test_effects_come_from_the_fit_if_few_cells_differ_in_only_one_factor(tmp_path: Path) -> None:
    """A half fraction of 2 x 2 x 2: no cell has a counterpart; the effects are those that the results were made of."""
    factors = {"a": HEADS, "b": DEPTH, "c": {"path": "encoder.ffn_width_last", "levels": [16, 24]}}
    excluded = [("1", "6", "16"), ("2", "4", "16"), ("2", "6", "24"), ("1", "4", "24")]
    exclude = [{"when": dict(zip("abc", labels, strict=True)), "reason": "half"} for labels in excluded]
    study = make_study(tmp_path, factors, design="factorial", exclude=exclude)
    gain = {"a": ("2", -0.02), "b": ("6", -0.05), "c": ("16", 0.01)}

    def accuracy(trial: Trial) -> float:
        changed = sum(g for name, (base, g) in gain.items() if trial.cell.labels[name] != base)
        return 0.9 + changed + 0.0001 * math.sin(trial.seed % 1000 + len(trial.cell.name))

    analysis = analysed(study, tmp_path / "store", accuracy)
    assert not is_matched(analysis.facts)
    assert analysis.effects["difference"].tolist() == pytest.approx([-0.02, -0.05, 0.01], abs=2e-4)
    assert analysis.effects["n"].tolist() == [3, 3, 3]
    assert analysis.effects["distinguishable"].all()
    assert analysis.effects["low"].lt(analysis.effects["difference"]).all()
    table = TABLES["effects"].table(analysis)
    assert "least-squares difference" in table.caption
    assert "g" not in [column.title for column in table.columns]
    assert "b × c" in {row[0]: row[-1] for row in TABLES["anova"].table(analysis).rows}["a"]  # noqa: RUF001


def noisy(trial: Trial) -> float:
    """Without effects; every trial has its own noise."""
    return 0.9 + 0.01 * math.sin(trial.seed % 1000 + 7 * len(trial.cell.name))


def test_levels_that_are_excluded_everywhere_are_no_comparisons(tmp_path: Path) -> None:
    """The correction is for the effects that can be estimated: the smallest p-value counts three times, not four."""
    exclude = [{"when": {"width": 32}, "reason": "not run"}]
    study = make_study(tmp_path, {**TWO, "width": WIDTH}, design="factorial", exclude=exclude)
    found = analysed(study, tmp_path / "store", noisy).fit.effects
    tested = found[found["p_value"].notna()]
    assert tested["level"].tolist() == ["1", "4", "24"]
    assert min(tested["p_adjusted"]) == pytest.approx(min(1.0, 3 * min(tested["p_value"])))
    assert "32" not in found["level"].tolist()


def test_failed_replicates_that_count_are_replicates_of_fitted_effects(tmp_path: Path) -> None:
    """A half fraction: all runs of one of two cells at a level failed in replicates 2 and 3, and count as 0."""
    factors = {"a": HEADS, "b": DEPTH, "c": {"path": "encoder.ffn_width_last", "levels": [16, 24]}}
    excluded = [("1", "6", "16"), ("2", "4", "16"), ("2", "6", "24"), ("1", "4", "24")]
    exclude = [{"when": dict(zip("abc", labels, strict=True)), "reason": "half"} for labels in excluded]
    study = make_study(tmp_path, factors, design="factorial", exclude=exclude, failures="worst")
    store = Store(tmp_path / "store")
    for trial in expand(study):
        if trial.replicate > 1 and trial.cell.labels["a"] == "1":
            store.record_failure(stages_of(trial)[-1], "NonFiniteLoss: the loss became NaN")
        else:
            put(store, trial, noisy(trial))
    effects = analyse(collect(study, store)).effects.set_index("factor")
    assert effects["error"].tolist() == ["fit"] * 3
    assert effects["n"].tolist() == [3, 3, 3]
    assert effects["combinations"].tolist() == [2, 2, 2]
    half = effects["high"] - effects["difference"]
    assert effects["sd"].tolist() == pytest.approx((half / stats.t.isf(0.025, effects["df"]) * math.sqrt(3)).tolist())


def test_a_full_product_is_matched(tmp_path: Path) -> None:
    assert is_matched(unrun(two_by_two(tmp_path), tmp_path / "store").facts)


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    hostile = {"path": "encoder.num_kv_heads", "levels": [2, {"label": f"$x_1$ {HOSTILE}", "value": 1}]}
    study = make_study(tmp_path, {f"$\\frac$ {HOSTILE}": hostile, "depth": DEPTH}, design="factorial")
    assert len(expand(study)) == 12
    analysis = analysed(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed + len(trial.cell.name))
    )
    from study.report import figure

    for name in ("variance", "main_effects", "interactions", "effects"):
        figure(analysis, name, tmp_path / "figures")
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    for name in ("comparisons", "effects", "anova"):
        table = TABLES[name].table(analysis)
        assert "$x_1$" not in table.latex("l"), name
        assert "<i>" not in table.html()
    assert r"\$x\_1\$" in TABLES["effects"].table(analysis).latex("l")


def test_pretraining_levels_with_and_without_fit_too(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**TWO, **PRETRAINING}, design="factorial", replicates=2)
    table = analysed(study, tmp_path / "store", lambda trial: 0.8 + 0.1 * math.sin(trial.seed % 97) ** 2).anova
    assert isinstance(table, pd.DataFrame)
    assert table["df"].iloc[-1] == 2 * 2 * 3 * 2 - 1


def test_a_fractional_design_names_the_aliases_of_each_effect(tmp_path: Path) -> None:
    """Half of 2 x 2 x 2: each main effect is the alias of the interaction of the other two."""
    factors = {"a": HEADS, "b": DEPTH, "c": {"path": "encoder.ffn_width_last", "levels": [16, 24]}}
    study = make_study(tmp_path, factors, design="fractional", resolution=3)
    analysis = analysed(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed % 97 + len(trial.cell.name))
    )
    found = aliases(analysis.facts)
    assert {name: other.removeprefix("minus ") for name, other in found.items()} == {
        "a": "b × c",  # noqa: RUF001
        "b": "a × c",  # noqa: RUF001
        "c": "a × b",  # noqa: RUF001
        "b × c": "a",  # noqa: RUF001
        "a × c": "b",  # noqa: RUF001
        "a × b": "c",  # noqa: RUF001
    }
    notes = {row[0]: row[-1] for row in TABLES["anova"].table(analysis).rows}
    assert notes["a × b"] == f"aliased with {found['a × b']}"  # noqa: RUF001
    assert notes["c"] == "assumes no a × b, with which it is aliased"  # noqa: RUF001
    assert all("assumes no" in row[-1] for row in TABLES["effects"].table(analysis).rows)
    assert "adjusted for the other factors" in texts(analysis)["a"]
    assert "from a fit of all cells" in texts(analysis)["Precision"]
