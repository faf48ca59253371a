"""A search: invalid grids, suggestions and the report."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.looks import collect, make_plan, requested_trials
from helpers.tuning_samples import SEARCH, SEARCH_FACTORS, Writer, run_here

from study.analysis.search_front import dominates, search
from study.design.stages import stages_of
from study.design.study import load
from study.planning import tuning_state
from study.planning.notices import notices
from study.planning.state import StudyState
from study.report import analyse, build, read
from study.report.sections import outline
from study.report.tables import TABLES
from study.store.results import Store
from study.tuning.stage_source import TuningStageSource
from study.utils.errors import StudyError

BAD = {
    ("params, val_accuracy", "params, macs"): "requires val_accuracy",
    ("params, val_accuracy", "params, params"): "duplicate objective",
    ("design: search", "design: factorial"): "search: belongs to design: search",
    ("replicates: 1", "tune: {budget: 1, parameters: {finetune.epochs: {low: 1, high: 2}}}"): "tune: not supported",
    ("encoder.width: {low: 4", "encoder.wide: {low: 4"): "unknown field encoder.wide",
    ("encoder.width: {low: 4, high: 12, step: 4}", "encoder.width: {low: 5, high: 7}"): "invalid value 5",
    ("replicates: 1", "factors: {kv heads: {path: encoder.num_kv_heads, levels: [2]}}"): "found both",
    ("  space:\n", "  sampler: nsga3\n  space:\n"): "sampler",
}


@pytest.mark.parametrize(("change", "message"), BAD.items())
def test_an_invalid_grid_raises(grid: Writer, change: tuple[str, str], message: str) -> None:
    with pytest.raises(StudyError) as error:
        load(grid(change, text=SEARCH))
    assert message in str(error.value)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_is_a_function_of_its_grid(grid: Writer, tmp_path: Path, sampler: str) -> None:
    """Also if it is killed several times. Each setting runs once, and the baseline with other seeds."""
    study = load(grid(("  parallel: 3", f"  parallel: 3\n  sampler: {sampler}"), text=SEARCH))
    whole, pieces = Store(tmp_path / "whole"), Store(tmp_path / "pieces")
    ran = run_here(TuningStageSource(study, whole), whole)
    while run_here(TuningStageSource(study, pieces), pieces, most=5):
        pass
    (one,), (other,) = tuning_state.load(study, whole), tuning_state.load(study, pieces)
    assert one == other
    assert one.finished
    assert len({stage.key for stage in ran}) == len(ran)
    for trial in one.trials:
        assert trial.val_accuracy is not None
        found = whole.find(stages_of(one.trial(trial))[-1])
        assert found is not None
        assert trial.costs == {"params": found.facts["params"]}
    assert [trial.replicate for trial in requested_trials(study, whole)] == [1]
    assert make_plan(study, whole).finished


SMALL = "    encoder.depth: {low: 1, high: 3}\n    finetune.augment.flip: {choices: [false, true]}\n"


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("parallel", [1, 4])
def test_each_setting_of_a_small_space_is_tried_once(grid: Writer, tmp_path: Path, sampler: str, parallel: int) -> None:
    """Six settings for fifty trials: six trials, all different, and a sentence before anything else."""
    space = SEARCH[SEARCH.index("    encoder.width:") : SEARCH.index("replicates: 1")]
    more = f"  parallel: {parallel}\n  sampler: {sampler}"
    study = load(grid((space, SMALL), ("trials: 12", "trials: 50"), ("  parallel: 3", more), text=SEARCH))
    store = Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    (one,) = tuning_state.load(study, store)
    assert one.finished
    assert len({json.dumps(dict(trial.values)) for trial in one.trials}) == len(one.trials) == 6
    assert notices(StudyState.look(study, store)) == [
        "search.trials is 50, but the space has 6 distinct settings: only 6 trials will run, as a repeated setting "
        "gives the same result."
    ]


def test_factor_levels_can_be_the_search_space(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(text=SEARCH_FACTORS)), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    (one,) = tuning_state.load(study, store)
    assert one.finished
    for trial in one.trials:
        settings = one.trial(trial).settings
        assert settings.encoder.width == {"small": 8, "large": 12}[trial.values["size"]]
        assert settings.encoder.num_kv_heads == int(trial.values["kv heads"])


def test_the_front_by_hand() -> None:
    """Of (params, accuracy), 1/0.5 and 3/0.9 are on it, duplicates included; 3/0.8 and 2/0.5 are dominated."""
    points = [(-1, 0.5), (-3, 0.9), (-3, 0.8), (-2, 0.5), (-1, 0.5)]
    on = [not any(dominates(other, own) for other in points) for own in points]
    assert on == [True, True, False, False, True]


def test_a_report_of_a_search(grid: Writer, tmp_path: Path) -> None:
    study, store = load(grid(text=SEARCH)), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    results = collect(study, store)
    found = search(results)
    assert len(found) == 12
    assert found["on_front"].any()
    front = found[found["on_front"]]
    assert front["val_accuracy"].is_monotonic_increasing
    report = build(results, tmp_path / "report")
    assert any(sentence.startswith("Search: 12 of 12 trials finished") for sentence in report.summary)
    pd.testing.assert_frame_equal(read(report.folder).tuning, results.tuning)
    assert (report.folder / "figures" / "search_front.svg").is_file()
    text = report.html.read_text()
    for phrase in ("fANOVA", "Pareto front", "All finished trials"):
        assert phrase in text
    assert "Effect of each factor" not in text  # a space of its own has none


def test_a_report_of_a_search_that_has_not_started(grid: Writer, tmp_path: Path) -> None:
    results = analyse(collect(load(grid(text=SEARCH)), Store(tmp_path / "store")))
    assert outline(results)
    for name in ("search", "search_trials", "importances"):
        table = TABLES[name].table(results)
        assert table.columns
        assert table.rows == []


def test_latency_is_an_objective(grid: Writer, tmp_path: Path) -> None:
    path = grid(("params, val_accuracy", "latency, val_accuracy"), ("trials: 12", "trials: 3"), text=SEARCH)
    study, store = load(path), Store(tmp_path / "store")
    run_here(TuningStageSource(study, store), store)
    (one,) = tuning_state.load(study, store)
    assert all(0 < trial.costs["latency"] < 1000 for trial in one.trials)
