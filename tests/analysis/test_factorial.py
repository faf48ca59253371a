"""Main effects, interactions and shares of variance: the report's numbers are those of the plain computation."""

import math
from pathlib import Path

import pandas as pd
import pytest
from helpers.looks import collect
from helpers.report_samples import HOSTILE, PRETRAINING, collected, make_study

from study.analysis.effects import is_matched
from study.analysis.factorial import aliases, anova, interactions, is_factorial, main_effects
from study.design.study import Study, Trial, expand
from study.report import Results
from study.report.plots import PLOTS
from study.report.sections import outline
from study.report.summary import answers
from study.report.tables import TABLES, in_latex
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


def told(results: Results) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(results)}


def test_the_analysis_of_variance_by_hand(tmp_path: Path) -> None:
    """Cell means 90, 80, 70, 40: heads 20 apart, depth 30, interaction 20 (of which each cell carries 5)."""
    table = anova(collected(two_by_two(tmp_path), tmp_path / "store", worked)).set_index("kind")
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
    results = collected(two_by_two(tmp_path), tmp_path / "store", worked)
    rows = {row[0]: row for row in TABLES["anova"](results).rows}
    assert rows["depth"][1:4] == ("1", "1,800", f"{100 * 1800 / 2808:.2f}")
    assert rows["chance (error)"][1:5] == ("3", "8.00", "0.28", "–")  # noqa: RUF001
    assert rows["heads × depth"][5] == "75.0"  # noqa: RUF001
    latex = in_latex(results)["anova"].latex("tab:x")
    assert r"heads $\times$ depth & 1 & 200" in latex
    assert r"\toprule" in latex


def test_main_effects_and_interactions_are_least_squares_means(tmp_path: Path) -> None:
    results = collected(two_by_two(tmp_path), tmp_path / "store", worked)
    means = main_effects(results).set_index(["factor", "level"])["mean"]
    assert means.to_dict() == pytest.approx(
        {("heads", "2"): 0.80, ("heads", "1"): 0.60, ("depth", "6"): 0.85, ("depth", "4"): 0.55}
    )
    pairs = interactions(results).set_index(["level_a", "level_b"])
    assert pairs["mean"].to_dict() == pytest.approx(MEANS)
    assert pairs["term"].unique().tolist() == ["heads × depth"]  # noqa: RUF001
    assert (pairs["high"] <= 1).all()


def test_the_findings_say_where_the_variance_lies_and_what_interacts(tmp_path: Path) -> None:
    found = told(collected(two_by_two(tmp_path), tmp_path / "store", worked))
    assert found["Shares of variance"].startswith("depth 64.10\u00a0%, heads 28.49\u00a0%, heads × depth 7.12")  # noqa: RUF001
    assert found["Interactions"] == (
        "1 of 1 interaction of two factors is distinguishable from chance after Holm's correction: heads × depth "  # noqa: RUF001
        "(p 0.003); there a factor's effect depends on the other."
    )


def test_shares_put_the_largest_first_and_chance_last(tmp_path: Path) -> None:
    shares = PLOTS["variance"].compute(collected(two_by_two(tmp_path), tmp_path / "store", worked))
    assert shares["term"].tolist() == ["depth", "heads", "heads × depth", "error"]  # noqa: RUF001
    assert shares["eta_squared"].sum() == pytest.approx(1.0)


def test_without_a_clear_interaction_the_two_largest_are_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**TWO, "width": WIDTH}, design="factorial", replicates=3)

    def accuracy(trial: Trial) -> float:
        return 0.9 + 0.01 * math.sin(37 * trial.replicate + 11 * sum(map(ord, trial.cell.name)))

    results = collected(study, tmp_path / "store", accuracy)
    table = anova(results)
    if (table.loc[table["kind"] == "interaction", "p_value"] < 0.05).any():
        pytest.fail("the made-up noise should show no interaction")
    drawn = interactions(results)
    assert drawn["term"].nunique() == 2
    assert drawn["share"].is_monotonic_decreasing
    assert told(results)["Interactions"].endswith(
        "0 of 3 interactions of two factors are distinguishable from chance after Holm's correction."
    )


def test_excluded_cells_are_no_results_and_are_said(tmp_path: Path) -> None:
    exclude = [{"when": {"heads": 1, "width": 32}, "reason": "not run"}]
    study = make_study(tmp_path, {**TWO, "width": WIDTH}, design="factorial", exclude=exclude)
    results = collected(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed + len(trial.cell.name))
    )
    table = TABLES["anova"](results)
    assert "10 of 12 combinations have results: effects come from a least-squares fit." in table.caption
    rows = {row[0]: row for row in table.rows}
    assert rows["heads × width"][1] == "1"  # noqa: RUF001
    assert rows["heads × width"][-1] == "1 of 2 contrasts: no results at heads=1, width=32"  # noqa: RUF001
    means = results.fit.interactions
    assert means[(means["level_a"] == "1") & (means["level_b"] == "32")]["mean"].isna().all()
    assert PLOTS["interactions"].compute(results)["mean"].notna().all()
    assert "of 3 interactions" in told(results)["Interactions"]


def test_cells_that_all_change_one_factor_are_no_factorial(tmp_path: Path) -> None:
    exclude = [{"when": {"heads": 1, "depth": 4}, "reason": "not run"}]
    results = collected(two_by_two(tmp_path, exclude=exclude), tmp_path / "store", worked)
    assert not is_factorial(results.facts)
    assert "Interactions" not in told(results)


def test_one_replicate_has_means_and_no_test(tmp_path: Path) -> None:
    results = collected(two_by_two(tmp_path, replicates=1), tmp_path / "store", worked)
    assert "run more replicates" in TABLES["anova"](results).caption
    assert main_effects(results)["low"].isna().all()
    assert "Shares of variance" not in told(results)


def test_no_results_are_no_tables(tmp_path: Path) -> None:
    results = collect(two_by_two(tmp_path), Store(tmp_path / "store"))
    assert anova(results).empty
    assert interactions(results).empty
    assert [name for name in ("variance", "main_effects", "interactions") if len(PLOTS[name].compute(results))] == []
    assert 'table(results, "anova")' not in [cell.written for cell in outline(results)]


def test_a_one_factor_design_has_no_such_section(tmp_path: Path) -> None:
    results = collected(make_study(tmp_path, TWO), tmp_path / "store")
    assert not is_factorial(results.facts)
    assert not [cell for cell in outline(results) if "Main effects" in cell.written]
    assert "anova" not in in_latex(results)


def test_where_few_cells_differ_in_one_factor_alone_effects_come_from_the_fit(tmp_path: Path) -> None:
    """A half fraction of 2 x 2 x 2: no cell has a counterpart; the effects are those that the results were made of."""
    factors = {"a": HEADS, "b": DEPTH, "c": {"path": "encoder.ffn_width_last", "levels": [16, 24]}}
    gone = [("1", "6", "16"), ("2", "4", "16"), ("2", "6", "24"), ("1", "4", "24")]
    exclude = [{"when": dict(zip("abc", labels, strict=True)), "reason": "half"} for labels in gone]
    study = make_study(tmp_path, factors, design="factorial", exclude=exclude)
    gain = {"a": ("2", -0.02), "b": ("6", -0.05), "c": ("16", 0.01)}

    def accuracy(trial: Trial) -> float:
        changed = sum(g for name, (base, g) in gain.items() if trial.cell.labels[name] != base)
        return 0.9 + changed + 0.0001 * math.sin(trial.seed % 1000 + len(trial.cell.name))

    results = collected(study, tmp_path / "store", accuracy)
    assert not is_matched(results.facts)
    assert results.effects["difference"].tolist() == pytest.approx([-0.02, -0.05, 0.01], abs=2e-4)
    assert results.effects["n"].tolist() == [3, 3, 3]
    assert results.effects["distinguishable"].all()
    assert results.effects["low"].lt(results.effects["difference"]).all()
    table = TABLES["effects"](results)
    assert "least-squares difference" in table.caption
    assert "g" not in [column.title for column in table.columns]
    assert "b × c" in {row[0]: row[-1] for row in TABLES["anova"](results).rows}["a"]  # noqa: RUF001


def test_a_full_product_is_matched(tmp_path: Path) -> None:
    assert is_matched(collect(two_by_two(tmp_path), Store(tmp_path / "store")).facts)


def test_hostile_names_are_drawn_and_written_as_they_are(tmp_path: Path) -> None:
    hostile = {"path": "encoder.num_kv_heads", "levels": [2, {"label": f"$x_1$ {HOSTILE}", "value": 1}]}
    study = make_study(tmp_path, {f"$\\frac$ {HOSTILE}": hostile, "depth": DEPTH}, design="factorial")
    assert len(expand(study)) == 12
    results = collected(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed + len(trial.cell.name))
    )
    from study.report import figure

    for name in ("variance", "main_effects", "interactions", "effects"):
        figure(results, name, tmp_path / "figures")
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    for name, table in in_latex(results).items():
        assert "$x_1$" not in table.latex("l"), name
        assert "<i>" not in table.html()
    assert r"\$x\_1\$" in in_latex(results)["effects"].latex("l")


def test_pretraining_levels_with_and_without_fit_too(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**TWO, **PRETRAINING}, design="factorial", replicates=2)
    table = anova(collected(study, tmp_path / "store", lambda trial: 0.8 + 0.1 * math.sin(trial.seed % 97) ** 2))
    assert isinstance(table, pd.DataFrame)
    assert table["df"].iloc[-1] == 2 * 2 * 3 * 2 - 1


def test_a_fraction_names_the_aliases_beside_each_effect(tmp_path: Path) -> None:
    """Half of 2 x 2 x 2: each main effect is the alias of the interaction of the other two."""
    factors = {"a": HEADS, "b": DEPTH, "c": {"path": "encoder.ffn_width_last", "levels": [16, 24]}}
    study = make_study(tmp_path, factors, design="fractional", resolution=3)
    results = collected(
        study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed % 97 + len(trial.cell.name))
    )
    found = aliases(results.facts)
    assert {name: other.removeprefix("less ") for name, other in found.items()} == {
        "a": "b × c",  # noqa: RUF001
        "b": "a × c",  # noqa: RUF001
        "c": "a × b",  # noqa: RUF001
        "b × c": "a",  # noqa: RUF001
        "a × c": "b",  # noqa: RUF001
        "a × b": "c",  # noqa: RUF001
    }
    notes = {row[0]: row[-1] for row in TABLES["anova"](results).rows}
    assert notes["a × b"] == f"aliased with {found['a × b']}"  # noqa: RUF001
    assert notes["c"] == "assumes no a × b, with which it is aliased"  # noqa: RUF001
    assert all("assumes no" in row[-1] for row in TABLES["effects"](results).rows)
    assert "adjusted for the other factors" in told(results)["a"]
    assert "from a fit of all cells" in told(results)["How sure"]
