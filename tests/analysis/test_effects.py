"""Effects of factors, and cells that differ only in their pre-training: checked by hand."""

import math
from pathlib import Path

import pandas as pd
import pytest
from helpers.report_samples import BASELINE, KV_HEADS, PHOTOS, PRETRAINING, analysed, make_study, unrun

from study.analysis.effects import fitted, matches
from study.analysis.findings import LARGER, SMALLER, UNCLEAR, findings, judged
from study.analysis.pretraining import SAME, SCRATCH, TRANSFER
from study.design.study import Trial, expand

TWO_BY_TWO = {
    "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
    "depth": {"path": "encoder.depth", "levels": [6, 4]},
}
GAIN = {"kv heads": {"2": 0.0, "1": -0.02}, "depth": {"6": 0.0, "4": -0.05}}


def additive(trial: Trial) -> float:
    """Kv heads cost 0.02 and depth 0.05 (0.06 in replicate 2); replicates differ."""
    labels = trial.cell.labels
    gain = sum(GAIN[factor][label] for factor, label in labels.items())
    return 0.9 + 0.01 * trial.replicate + gain - 0.01 * (trial.replicate == 2 and labels["depth"] == "4")


@pytest.mark.parametrize(("design", "combinations"), [("one_factor", 1), ("factorial", 2)])
def test_an_effect_is_the_mean_difference_over_combinations_and_replicates(
    design: str, combinations: int, tmp_path: Path
) -> None:
    effects = analysed(make_study(tmp_path, TWO_BY_TWO, design=design), tmp_path / "store", additive).effects
    heads, depth = effects.iloc[0], effects.iloc[1]
    assert (heads["factor"], heads["level"], heads["baseline"]) == ("kv heads", "1", "2")
    assert (heads["difference"], heads["n"], heads["combinations"]) == (pytest.approx(-0.02), 3, combinations)
    # differences of depth by replicate: -0.05, -0.06, -0.05
    assert depth["difference"] == pytest.approx(-0.16 / 3)
    assert depth["sd"] == pytest.approx(0.01 / 3**0.5)
    assert depth["distinguishable"]


def test_with_an_exclusion_only_matched_cells_are_compared(tmp_path: Path) -> None:
    exclude = [{"when": {"kv heads": 1, "depth": 4}, "reason": "not run"}]
    study = make_study(tmp_path, TWO_BY_TWO, design="factorial", exclude=exclude)
    effects = analysed(study, tmp_path / "store", additive).effects
    assert effects["difference"].tolist() == [pytest.approx(-0.02), pytest.approx(-0.16 / 3)]
    assert effects["combinations"].tolist() == [1, 1]


def test_a_level_that_is_excluded_everywhere_has_no_effect(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, exclude=[{"when": {"kv heads": 4}, "reason": "no"}])
    assert analysed(study, tmp_path / "store").effects["level"].tolist() == ["1"]


def test_a_level_without_results_has_n_zero(tmp_path: Path) -> None:
    effects = unrun(make_study(tmp_path, KV_HEADS), tmp_path / "store").effects
    assert effects["n"].tolist() == [0, 0]
    assert not effects["distinguishable"].any()


def test_p_values_are_corrected_over_all_rows(tmp_path: Path) -> None:
    effects = analysed(make_study(tmp_path, TWO_BY_TWO), tmp_path / "store", additive).effects
    # the first has no spread, so no p-value, but counts: the second's is doubled
    assert effects["p_adjusted"].iloc[1] == pytest.approx(2 * effects["p_value"].iloc[1])


def compared(*rows: tuple[float, float, float], n: int = 3) -> pd.DataFrame:
    """One family of comparisons: difference, half the width of its own interval, adjusted p-value."""
    table = pd.DataFrame(rows, columns=["difference", "half", "p_adjusted"]).assign(n=n, sd=0.01)
    return table.assign(low=table["difference"] - table["half"], high=table["difference"] + table["half"])


def test_distinguishable_follows_the_adjusted_p_value_and_not_the_interval() -> None:
    rows = compared((0.2, 0.1, 0.06), (0.2, 0.1, 0.04), (0.2, 0.0, math.nan), (math.nan, math.nan, math.nan))
    assert judged(rows, 0.005)["distinguishable"].tolist() == [False, True, False, False]
    assert findings(rows, 0.005)[0] == (
        "not distinguishable after the correction for all comparisons, only by its own interval"
    )


def test_sizes_come_from_intervals_that_hold_for_all_rows_together() -> None:
    """Two rows: t(0.9875, 2 df) = 6.2053 against t(0.975, 2 df) = 4.3027, so each interval is 1.4422 times as wide."""
    margin, factor = 0.01, 6.205346816570705 / 4.302652729911275
    just = factor * 0.01
    cases = {margin + just + 1e-6: LARGER, margin + just - 1e-6: UNCLEAR, -margin - just - 1e-6: LARGER}
    for difference, size in cases.items():
        assert judged(compared((difference, 0.01, 0.01), (0.0, 0.01, 1.0)), margin)["size"].tolist() == [size, UNCLEAR]
    assert judged(compared((0.0, margin / factor - 1e-6, 1.0), (0.0, margin, 1.0)), margin)["size"].iloc[0] == SMALLER
    assert judged(compared((0.02, 0.0, math.nan), (math.nan, math.nan, math.nan)), margin)["size"].tolist() == ["", ""]
    wide = compared((0.02, 0.01, 0.01), (0.0, 0.01, 1.0)).assign(df=10_000)  # 2.2416 / 1.9602
    assert judged(wide, 0.02 - 0.0115)["size"].iloc[0] == LARGER


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ((0.05, 0.01, 0.01), "distinguishable, and larger than 1 point"),
        ((0.004, 0.002, 0.01), "distinguishable, but smaller than 1 point"),
        ((0.02, 0.015, 0.01), "distinguishable, not clearly larger than 1 point"),
        ((0.001, 0.002, 0.9), "not distinguishable, and smaller than 1 point"),
    ],
)
def test_a_finding_compares_the_difference_with_the_margin(row: tuple[float, float, float], finding: str) -> None:
    assert findings(compared(row), 0.01) == [finding]


def test_the_error_of_a_fit_has_more_degrees_of_freedom_than_its_replicates(tmp_path: Path) -> None:
    """2 x 2 cells and 3 replicates have 12 trials: 1 mean, 2 blocks, 2 effects, 1 interaction, so 6 for the error."""
    analysis = analysed(make_study(tmp_path, TWO_BY_TWO, design="factorial"), tmp_path / "store", additive)
    assert fitted(analysis.results, analysis.fit)["df"].tolist() == [6, 6]
    assert analysis.effects["df"].tolist() == [2, 2]  # matched: paired differences


def test_cells_that_differ_only_in_pretraining_are_compared_with_scratch(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING})
    gains = {"digits": 0.03, "none": 0.0, "photos": 0.01}
    found = analysed(
        study, tmp_path / "store", lambda trial: 0.9 + gains[trial.cell.labels["pre-training"]]
    ).pretraining
    assert found["kind"].tolist() == [SCRATCH, SAME, TRANSFER]
    assert found["cell"].tolist() == ["pre-training=none", "baseline", "pre-training=photos"]
    assert found["reference"].unique().tolist() == ["pre-training=none"]
    assert found["difference"].tolist()[1:] == [pytest.approx(0.03), pytest.approx(0.01)]


def test_a_factorial_has_a_set_for_each_combination_of_the_other_factors(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial", replicates=1)
    found = analysed(study, tmp_path / "store").pretraining
    assert found.groupby("group")["kind"].agg(list).tolist() == [[SCRATCH, SAME, TRANSFER]] * 3


def test_without_scratch_transfer_is_compared_with_the_same_data(tmp_path: Path) -> None:
    factor = {"pre-training": {"levels": [PHOTOS], "baseline": "digits"}}
    found = analysed(make_study(tmp_path, factor), tmp_path / "store").pretraining
    assert found["kind"].tolist() == [SAME, TRANSFER]
    assert found["reference"].tolist() == ["baseline", "baseline"]


def test_studies_that_do_not_vary_pretraining_have_no_rows(tmp_path: Path) -> None:
    baseline = {**BASELINE, "pretrain": None}
    study = make_study(tmp_path, KV_HEADS, baseline=baseline, replicates=1)
    assert len(expand(study)) == 3
    assert analysed(study, tmp_path / "store").pretraining.empty


def test_matches_equal_a_plain_search(tmp_path: Path) -> None:
    """The plain search: every cell that differs from a cell at the level only in that factor."""
    factors = {**TWO_BY_TWO, "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1, 4]}}
    exclude = [{"when": {"kv heads": 1, "depth": 4}, "reason": "no"}]
    study = make_study(tmp_path, factors, design="factorial", exclude=exclude)
    facts = unrun(study, tmp_path / "store").facts
    plain = {
        (factor.name, level.label): [
            (cell.name, other.name)
            for cell in facts.included
            for other in facts.included
            if cell.labels == {**other.labels, factor.name: level.label}
            and other.labels[factor.name] == factor.levels[0].label
        ]
        for factor in facts.factors
        for level in factor.levels[1:]
    }
    assert matches(facts) == plain
