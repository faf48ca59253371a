"""Adding versus removing, checked by hand: what each part is worth in the full and in the bare model."""

import math
from pathlib import Path

import pytest
from helpers.looks import collect
from helpers.report_samples import HOSTILE, analysed, make_study, put, unrun

from study.design.study import Study, Trial, expand
from study.report import Analysis, analyse, figure
from study.report.plots import PLOTS
from study.report.sections import outline
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store

PARTS = {
    "heads": {"path": "encoder.num_kv_heads", "levels": [2, 4]},
    "depth": {"path": "encoder.depth", "levels": [6, 4]},
    "width": {"path": "encoder.ffn_width_last", "levels": [16, 32]},
}
FULL = {"heads": "2", "depth": "6", "width": "16"}


def parts(folder: Path, factors: dict[str, object] | None = None, **keys: object) -> Study:
    return make_study(folder, factors or PARTS, **{"design": ["leave_one_out", "add_one"], **keys})


def worked(trial: Trial) -> float:
    """Heads are worth about 0.02 in both models; depth 0.05 with all other parts and 0.01 alone."""
    on = {name: trial.cell.labels[name] == label for name, label in FULL.items()}
    worth = 0.02 * on["heads"] + (0.05 if on["heads"] and on["width"] else 0.01) * on["depth"]
    uneven = {1: 0.0, 2: 0.001, 3: -0.001}[trial.replicate]
    return 0.80 + worth + uneven * (on["depth"] + 2 * on["heads"]) * (on["width"] - 0.5)


def texts(analysis: Analysis) -> dict[str, str]:
    return {answer.about: answer.text for answer in answers(analysis)}


def test_each_end_and_their_difference_by_hand(tmp_path: Path) -> None:
    analysis = analysed(parts(tmp_path), tmp_path / "store", worked)
    table = analysis.add_vs_remove.set_index("part")
    depth = table.loc["depth"]
    # in the full model 0.05 + u / 2, in the bare one 0.01 - u / 2, for u = 0, 0.001, -0.001: they differ by 0.04 + u
    assert (depth["full_gain"], depth["bare_gain"], depth["difference"]) == pytest.approx((0.05, 0.01, 0.04))
    assert (depth["sd"], depth["n"]) == (pytest.approx(0.001), 3)
    half = 4.302652729911275 * 0.001 / math.sqrt(3)
    assert (depth["low"], depth["high"]) == pytest.approx((0.04 - half, 0.04 + half))
    t = 0.04 / (0.001 / math.sqrt(3))
    assert depth["p_value"] == pytest.approx(1 - t / math.sqrt(2 + t**2))  # Student's t with 2 degrees of freedom
    # heads: 0.02 plus what depth loses without them, 0.04, in the full model
    assert (table.loc["heads", "full_gain"], table.loc["heads", "bare_gain"]) == pytest.approx((0.06, 0.02))
    assert table.loc["depth", ["with", "without", "full", "removed", "added", "bare"]].tolist() == [
        *("6", "4", "baseline", "depth=4", "heads=4, width=32", "heads=4, depth=4, width=32"),
    ]


def test_the_table_names_the_levels_of_a_part_in_one_column(tmp_path: Path) -> None:
    table = TABLES["adding"].table(analysed(parts(tmp_path), tmp_path / "store", worked))
    assert table.rows[0][:3] == ("heads", "2 / 4", "3")
    assert "80 % power to detect a true difference of the size named" in table.caption


def test_p_values_are_corrected_over_all_parts(tmp_path: Path) -> None:
    table = analysed(parts(tmp_path), tmp_path / "store", worked).add_vs_remove
    assert table["p_adjusted"].min() == pytest.approx(3 * table["p_value"].min())


def test_findings_name_the_parts_with_different_worth_in_the_full_and_bare_model(tmp_path: Path) -> None:
    found = texts(analysed(parts(tmp_path), tmp_path / "store", worked))["Adding versus removing"]
    assert (
        "depth is worth +5.00 points in the full model and +1.00 in the bare one (difference +4.00, p <0.001" in found
    )
    assert found.endswith("A part with different worth interacts with the other parts.")


def test_parts_with_equal_worth_are_named_too(tmp_path: Path) -> None:
    def additive(trial: Trial) -> float:
        return 0.8 + 0.02 * len(trial.cell.changed) + 0.004 * math.sin(trial.replicate * len(trial.cell.name))

    analysis = analysed(parts(tmp_path), tmp_path / "store", additive)
    found = texts(analysis)["Adding versus removing"]
    assert found == "adding and removing are not distinguishably different for heads, depth, width."
    assert all("not distinguishable at n = 3" in row[-1] for row in TABLES["adding"].table(analysis).rows)


def test_partial_results_give_partial_rows(tmp_path: Path) -> None:
    study = parts(tmp_path, replicates=1)
    store = Store(tmp_path / "store")
    for trial in expand(study):
        if trial.cell.name != "depth=4":
            put(store, trial, worked(trial))
    analysis = analyse(collect(study, store))
    table = analysis.add_vs_remove.set_index("part")
    assert (table.loc["depth", "full_n"], table.loc["depth", "bare_n"], table.loc["depth", "n"]) == (0, 1, 0)
    figure(analysis, "adding", tmp_path / "figures")
    rows = {row[0]: row for row in TABLES["adding"].table(analysis).rows}
    assert (rows["depth"][-1], rows["heads"][-1]) == ("not compared yet", "n = 1, so no interval")
    assert "Adding versus removing" not in texts(analysis)


def test_unrun_studies_and_other_designs_have_no_rows(tmp_path: Path) -> None:
    nothing = unrun(parts(tmp_path), tmp_path / "none")
    assert PLOTS["adding"].compute(nothing).empty
    other = analysed(make_study(tmp_path, PARTS, design="leave_one_out"), tmp_path / "store")
    assert other.add_vs_remove.empty
    assert not [cell for cell in outline(other) if "adding" in cell.written]
    assert not TABLES["adding"].table(other).rows


def test_an_excluded_cell_excludes_its_part(tmp_path: Path) -> None:
    exclude = [{"when": {"heads": 2, "depth": 4, "width": 16}, "reason": "not run"}]
    table = analysed(parts(tmp_path, exclude=exclude), tmp_path / "store", worked).add_vs_remove
    assert table["part"].tolist() == ["heads", "width"]


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    study = parts(tmp_path, {f"$x^2$ {HOSTILE}": PARTS["heads"], "depth": PARTS["depth"]})
    analysis = analysed(study, tmp_path / "store", lambda trial: 0.9 + 0.01 * math.sin(trial.seed % 91))
    figure(analysis, "adding", tmp_path / "figures")
    assert r"\$x\textasciicircum{}2\$" in TABLES["adding"].table(analysis).latex("l")
    assert "<i>" not in TABLES["adding"].table(analysis).html()
