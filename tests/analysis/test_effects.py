"""Effects of factors, and cells that differ in their pre-training alone: hand-worked."""

from pathlib import Path

import pytest
from helpers.looks import collect
from helpers.report_samples import BASELINE, KV_HEADS, PHOTOS, PRETRAINING, collected, make_study

from study.analysis.effects import matches
from study.analysis.findings import is_distinguishable
from study.analysis.pretraining import SAME, SCRATCH, TRANSFER, pretraining
from study.design.study import Trial, expand
from study.store.results import Store

TWO_BY_TWO = {
    "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1]},
    "depth": {"path": "encoder.depth", "levels": [6, 4]},
}
GAIN = {"kv heads": {"2": 0.0, "1": -0.02}, "depth": {"6": 0.0, "4": -0.05}}


def additive(trial: Trial) -> float:
    """Kv heads cost 0.02 and depth 0.05; replicates differ, and replicate 2 feels depth 0.01 more."""
    labels = trial.cell.labels
    gain = sum(GAIN[factor][label] for factor, label in labels.items())
    return 0.9 + 0.01 * trial.replicate + gain - 0.01 * (trial.replicate == 2 and labels["depth"] == "4")


@pytest.mark.parametrize(("design", "combinations"), [("one_factor", 1), ("factorial", 2)])
def test_an_effect_is_the_mean_difference_over_combinations_and_replicates(
    design: str, combinations: int, tmp_path: Path
) -> None:
    effects = collected(make_study(tmp_path, TWO_BY_TWO, design=design), tmp_path / "store", additive).effects
    heads, depth = effects.iloc[0], effects.iloc[1]
    assert (heads["factor"], heads["level"], heads["baseline"]) == ("kv heads", "1", "2")
    assert (heads["difference"], heads["n"], heads["combinations"]) == (pytest.approx(-0.02), 3, combinations)
    # differences of depth by replicate: -0.05, -0.06, -0.05
    assert depth["difference"] == pytest.approx(-0.16 / 3)
    assert depth["sd"] == pytest.approx(0.01 / 3**0.5)
    assert depth["distinguishable"]


def test_with_an_exclusion_only_like_is_compared_with_like(tmp_path: Path) -> None:
    exclude = [{"when": {"kv heads": 1, "depth": 4}, "reason": "not run"}]
    study = make_study(tmp_path, TWO_BY_TWO, design="factorial", exclude=exclude)
    effects = collected(study, tmp_path / "store", additive).effects
    assert effects["difference"].tolist() == [pytest.approx(-0.02), pytest.approx(-0.16 / 3)]
    assert effects["combinations"].tolist() == [1, 1]


def test_a_level_that_is_excluded_everywhere_has_no_effect_to_tell(tmp_path: Path) -> None:
    study = make_study(tmp_path, KV_HEADS, exclude=[{"when": {"kv heads": 4}, "reason": "no"}])
    assert collected(study, tmp_path / "store").effects["level"].tolist() == ["1"]


def test_a_level_without_results_has_n_zero(tmp_path: Path) -> None:
    effects = collect(make_study(tmp_path, KV_HEADS), Store(tmp_path / "store")).effects
    assert effects["n"].tolist() == [0, 0]
    assert not effects["distinguishable"].any()


def test_p_values_are_corrected_over_all_rows(tmp_path: Path) -> None:
    effects = collected(make_study(tmp_path, TWO_BY_TWO), tmp_path / "store", additive).effects
    # the first has no spread, so no p-value, but counts: the second's is doubled
    assert effects["p_adjusted"].iloc[1] == pytest.approx(2 * effects["p_value"].iloc[1])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.2, False), (0.1, 0.1, False)],
)
def test_distinguishable_is_an_interval_with_width_that_leaves_zero_out(
    low: float, high: float, expected: bool
) -> None:
    assert is_distinguishable(low, high) is expected
    assert is_distinguishable(float("nan"), float("nan")) is False


def test_cells_that_differ_in_pretraining_alone_are_compared_with_scratch(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING})
    gains = {"digits": 0.03, "none": 0.0, "photos": 0.01}
    found = pretraining(
        collected(study, tmp_path / "store", lambda trial: 0.9 + gains[trial.cell.labels["pre-training"]])
    )
    assert found["kind"].tolist() == [SCRATCH, SAME, TRANSFER]
    assert found["cell"].tolist() == ["pre-training=none", "baseline", "pre-training=photos"]
    assert found["reference"].unique().tolist() == ["pre-training=none"]
    assert found["difference"].tolist()[1:] == [pytest.approx(0.03), pytest.approx(0.01)]


def test_a_factorial_has_a_set_for_each_combination_of_the_other_factors(tmp_path: Path) -> None:
    study = make_study(tmp_path, {**KV_HEADS, **PRETRAINING}, design="factorial", replicates=1)
    found = pretraining(collected(study, tmp_path / "store"))
    assert found.groupby("group")["kind"].agg(list).tolist() == [[SCRATCH, SAME, TRANSFER]] * 3


def test_without_scratch_transfer_is_compared_with_the_same_data(tmp_path: Path) -> None:
    factor = {"pre-training": {"levels": [PHOTOS], "baseline": "digits"}}
    found = pretraining(collected(make_study(tmp_path, factor), tmp_path / "store"))
    assert found["kind"].tolist() == [SAME, TRANSFER]
    assert found["reference"].tolist() == ["baseline", "baseline"]


def test_studies_that_do_not_vary_pretraining_have_nothing_to_compare(tmp_path: Path) -> None:
    baseline = {**BASELINE, "pretrain": None}
    study = make_study(tmp_path, KV_HEADS, baseline=baseline, replicates=1)
    assert len(expand(study)) == 3
    assert pretraining(collected(study, tmp_path / "store")).empty


def test_matches_are_those_of_a_search_for_each_level(tmp_path: Path) -> None:
    """Against the plain search: every cell that differs from a cell at the level in that factor alone."""
    factors = {**TWO_BY_TWO, "kv heads": {"path": "encoder.num_kv_heads", "levels": [2, 1, 4]}}
    exclude = [{"when": {"kv heads": 1, "depth": 4}, "reason": "no"}]
    study = make_study(tmp_path, factors, design="factorial", exclude=exclude)
    facts = collect(study, Store(tmp_path / "store")).facts
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
