"""The answer and the captions name the error of a fitted design and what was tested, in every branch."""

from pathlib import Path

import pytest
from helpers.report_samples import analysed, make_study, unrun

from study.design.study import Trial
from study.report import Analysis
from study.report.summary import answers
from study.report.tables import TABLES

FACTORS = {
    "heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
    "depth": {"path": "encoder.depth", "levels": [6, 4]},
    "last": {"path": "encoder.ffn_width_last", "levels": [16, 24]},
    "first": {"path": "encoder.ffn_width_first", "levels": [48, 64]},
    "width": {"path": "encoder.width", "levels": [48, 32]},
}
ABOUT = "Assumptions of the fit"


def fraction(
    folder: Path, interaction: float, spread: float = 1.0, *, factors: int = 5, replicates: int = 3
) -> Analysis:
    """A fraction of resolution 3: heads cost 2 points, depth and last together `interaction`, and noise."""
    study = make_study(
        folder, dict(list(FACTORS.items())[:factors]), design="fractional", resolution=3, replicates=replicates
    )

    def accuracy(trial: Trial) -> float:
        own = {"heads", "depth", "last"} & set(trial.cell.changed)
        noise = 0.001 * ((5 * trial.replicate**2 + 3 * len(trial.cell.name) + len(own)) % 7 - 3)
        wide = spread if not trial.cell.changed else 1.0
        both = {"depth", "last"} <= set(trial.cell.changed)
        return 0.9 - 0.02 * ("heads" in own) - interaction * both + wide * noise

    return analysed(study, folder / "store", accuracy)


def text(analysis: Analysis) -> str:
    return {answer.about: answer.text for answer in answers(analysis)}[ABOUT]


def test_interactions_that_bias_main_effects_are_stated_and_part_of_the_error(tmp_path: Path) -> None:
    analysis = fraction(tmp_path, 0.1)
    found = text(analysis)
    assert found.startswith("The error of main effects is the variation between cells beyond the fitted terms (2 ")
    assert "The cells contradict a model of main effects alone (lack of fit F(2, 14) = " in found
    for name in ("anova", "effects"):
        assert "The cells contradict a model of main effects alone" in TABLES[name].table(analysis).caption
    rows = {row[0]: row for row in TABLES["anova"].table(analysis).rows}
    assert rows["lack of fit of the main effects"][1] == "2"
    assert "main effects are tested against the variation between cells" in rows["chance (error)"][-1]


def test_without_interactions_the_error_is_that_within_cells(tmp_path: Path) -> None:
    found = text(fraction(tmp_path, 0.0))
    assert found.startswith("The error of main effects is the variation within cells and replicates (14 degrees")
    assert "The cells do not contradict a model of main effects alone" in found
    assert "No difference in spread between cells was detected (Brown-Forsythe p = " in found


def test_a_cell_that_spreads_more_leads_to_fits_by_replicate(tmp_path: Path) -> None:
    found = text(fraction(tmp_path, 0.0, 30.0, replicates=5))
    assert found.startswith("The error of main effects is the variation between replicates, each fitted separately.")
    assert "The spread differs between cells (Brown-Forsythe p " in found


@pytest.mark.parametrize(
    ("factors", "replicates", "sentence"),
    [
        (3, 3, "Lack of fit cannot be tested, since a model of main effects has as many terms as there are cells"),
        (3, 1, "No degrees of freedom left for the error: run more replicates."),
        (5, 1, "One replicate per cell: interactions are used as the error (2 degrees of freedom)."),
        (5, 2, "Equal spread of the cells is assumed: its test needs three replicates."),
    ],
)
def test_designs_that_do_not_allow_a_test(factors: int, replicates: int, sentence: str, tmp_path: Path) -> None:
    analysis = fraction(tmp_path, 0.03, factors=factors, replicates=replicates)
    assert sentence in text(analysis)
    effects = {answer.about: answer.text for answer in answers(analysis)}["heads"]
    assert ("no interval" in effects) == analysis.effects["low"].isna().all()


def test_studies_without_a_fit_have_no_such_answer(tmp_path: Path) -> None:
    study = make_study(tmp_path, FACTORS)
    assert ABOUT not in {answer.about for answer in answers(analysed(study, tmp_path / "store"))}
    assert ABOUT not in {answer.about for answer in answers(unrun(study, tmp_path / "other"))}
