"""Calibration with few studies, and the vectorised simulation against the real rules, study by study."""

import numpy as np
import pandas as pd
import pytest

from study.analysis.stats import calibrate
from study.analysis.stats.calibrate import questions, scenarios
from study.analysis.stats.sequential import look
from study.analysis.stats.simulate import (
    SUPPORTED,
    Scenario,
    as_results,
    false_verdicts,
    heavy,
    judge_all,
    normal,
    skewed,
)
from study.analysis.stats.verdict_rule import judge
from study.design.claims import ClaimSpec

CODES = {"supported": 1, "undecided": 0, "refuted": -1}


def plain_verdicts(scenario, values_NC):
    state = look(scenario.claims, as_results(scenario, values_NC), scenario.factors, scenario.least, scenario.most)
    return [CODES[verdict.verdict] for verdict in state.verdicts]


@pytest.mark.parametrize("replicates", [(3, 3), (3, 10)])
def test_simulation_agrees_with_the_real_rules(replicates):
    decided = 0
    for index, scenario in enumerate(scenarios(*replicates)):
        values = scenario.draw(4, np.random.default_rng(index))
        judged = judge_all(scenario, values)
        for study, verdicts in zip(values, judged.verdicts_SM, strict=True):
            assert list(verdicts) == plain_verdicts(scenario, study), scenario.name
        decided += int((judged.verdicts_SM != 0).sum())
    assert decided > 10


def test_a_single_look_agrees_with_judge():
    scenario = next(one for one in scenarios(5, 5) if "large effects" in one.name)
    values = scenario.draw(3, np.random.default_rng(0))
    for study, verdicts in zip(values, judge_all(scenario, values).verdicts_SM, strict=True):
        found = judge(scenario.claims, as_results(scenario, study), scenario.factors)
        assert [CODES[verdict.verdict] for verdict in found] == list(verdicts)


def claim(**keys):
    return ClaimSpec.model_validate({"claim": "c", "metric": "value"} | keys)


def test_true_differences_by_hand():
    """Averaged over b: (5 - 1 + 9 - 2) / 2; interaction: (9 - 2) - (5 - 1)."""
    means = {("0", "0"): 1.0, ("1", "0"): 5.0, ("0", "1"): 2.0, ("1", "1"): 9.0}
    claims = (claim(kind="greater", cells={"a": "1"}), claim(kind="interaction", cells={"a": "1", "b": "1"}))
    scenario = Scenario("", {"a": ["0", "1"], "b": ["0", "1"]}, means, claims, 3, 3)
    assert list(scenario.truth) == [5.5, 3.0]


@pytest.mark.parametrize(
    ("keys", "truth", "wrong"),
    [
        ({"kind": "greater"}, 1.0, {-1}),
        ({"kind": "greater"}, -1.0, {1}),
        ({"kind": "greater"}, 0.0, {-1, 1}),
        ({"kind": "equivalent", "margin": 2.0}, 1.0, {-1}),
        ({"kind": "equivalent", "margin": 2.0}, 3.0, {1}),
        ({"kind": "equivalent", "margin": 2.0}, -2.0, {-1, 1}),
        ({"kind": "non_inferior", "margin": 2.0}, -1.0, {-1}),
    ],
)
def test_which_verdicts_are_false(keys, truth, wrong):
    scenario = Scenario("", {"x": ["0", "1"]}, {("0",): 0.0, ("1",): truth}, (claim(cells={"x": "1"}, **keys),), 3, 3)
    verdicts = np.array([[-1], [0], [1]])
    assert {int(code) for code in verdicts[false_verdicts(scenario, verdicts)]} == wrong


@pytest.mark.parametrize("noise", [normal, skewed, heavy])
def test_noise_is_standardised(noise):
    values = noise(np.random.default_rng(0), (200_000,))
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)


def test_looks_stop_early_if_the_effect_is_large():
    means = {("0",): 0.0, ("1",): 8.0}
    scenario = Scenario("", {"x": ["0", "1"]}, means, (claim(kind="greater", cells={"x": "1"}),), 3, 10)
    judged = judge_all(scenario, scenario.draw(300, np.random.default_rng(0)))
    assert (judged.verdicts_SM == SUPPORTED).mean() > 0.99
    assert judged.replicates_SM.mean() < 7


@pytest.fixture(scope="module")
def small():
    """All questions on few studies; takes seconds."""
    return calibrate.calibrate(studies=1_000, seed=1)


def test_all_lines_are_within_bounds(small):
    missed = small[~small["ok"]]
    assert missed.empty, missed.to_string()
    assert set(small["measure"]) == {question.measure for question in questions()}


def test_false_verdicts_are_rare_over_all_settings(small):
    """A single setting of 1,000 studies is imprecise; all settings together are not."""
    assert small.loc[small["high"] == 0.05, "measured"].mean() < 0.05


def test_the_same_seed_gives_the_same_table():
    once, again = (calibrate._answer(question, 200, 7, 3) for question in [list(questions())[20]] * 2)
    assert once == again


def test_a_line_out_of_bounds_is_not_ok():
    question = calibrate.Question(
        "m", "s", 1, lambda studies, _: np.ones(studies) * (np.arange(studies) % 2), high=0.05
    )
    answer = calibrate._answer(question, 10_000, 0, 0)
    assert (answer.measured, answer.ok) == (0.5, False)
    assert answer.error == pytest.approx(0.005)


def test_table_is_written_as_csv_and_markdown(tmp_path, small):
    calibrate.write(small, tmp_path / "new", seed=1)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "calibration.csv"), small)
    text = (tmp_path / "new" / "calibration.md").read_text(encoding="utf-8")
    assert "with seed 1" in text
    assert text.count("\n| ") == len(small) + 1


def test_command_exits_with_1_if_a_line_is_out_of_bounds(tmp_path, monkeypatch, capsys):
    bad = calibrate.Question("m", "s", 1, lambda studies, _: np.ones(studies), high=0.05)
    monkeypatch.setattr(calibrate, "questions", lambda: iter([bad]))
    assert calibrate.main(["--studies", "10", "--out", str(tmp_path)]) == 1
    assert "**no**" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        calibrate.main(["--studies", "0", "--out", str(tmp_path)])
