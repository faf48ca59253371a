"""The report of a tuning, from made-up records; tuning together with claims and added replicates."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.looks import collect, requested_trials
from helpers.tuning_samples import Writer, run_here

from study.analysis.facts import ParameterFacts
from study.analysis.results import TUNING_KINDS
from study.analysis.tuned_values import edge, edge_sentences, tuned
from study.design.search_space import with_values
from study.design.study import Study, load
from study.planning import tuning_state
from study.planning.tuning_state import TuningTrial
from study.report import analyse
from study.store.results import Store
from study.tuning.stage_source import TuningStageSource

RATE, SIZE, AUGMENT = "finetune.learning_rate", "finetune.batch_size", "finetune.augment"
LINEAR = ParameterFacts(name="x", low=0, high=100, opens_below=True, opens_above=True)
LOGARITHMIC = ParameterFacts(name="x", low=1e-4, high=1.0, log=True, opens_below=True, opens_above=True)


@pytest.mark.parametrize(
    ("parameter", "value", "end"),
    [
        (LINEAR, 5, "low"),
        (LINEAR, 6, ""),
        (LINEAR, 94, ""),
        (LINEAR, 95, "high"),
        (LOGARITHMIC, 1.5e-4, "low"),  # 4% of four decades above the lower end
        (LOGARITHMIC, 2e-4, ""),  # 8%
        (LOGARITHMIC, 0.7, "high"),
        (
            LINEAR.model_copy(update={"opens_below": False}),
            0,
            "",
        ),  # such as a weight decay of 0, the smallest valid value
        (ParameterFacts(name="x", choices=(1, 2)), 1, ""),
    ],
)
def test_an_edge_is_the_outermost_twentieth_on_the_scale_of_the_range(
    parameter: ParameterFacts, value: float, end: str
) -> None:
    assert edge(parameter, value) == end


@pytest.fixture
def recorded(grid: Writer, tmp_path: Path) -> tuple[Study, Store]:
    """Records of two tuned cells: the best learning rate is at the lower end for the baseline, inside for the other."""
    study, store = load(grid()), Store(tmp_path / "store")
    for one, rate in zip(tuning_state.load(study, store), (1e-4, 1e-3), strict=True):
        values = ({RATE: rate * factor, SIZE: 30, AUGMENT: {"flip": True}} for factor in (1, 2, 3))
        done = [TuningTrial(i, own, "done", 0.9 - i / 10) for i, own in enumerate(values, 1)]
        failed = TuningTrial(4, {RATE: rate, SIZE: 50, AUGMENT: {}}, "failed", error="it diverged")
        tuning_state.save(replace(one, trials=(*done, failed)), store)
    return study, store


def test_a_best_value_at_the_end_of_its_range_gives_a_warning(recorded: tuple[Study, Store]) -> None:
    results = analyse(collect(*recorded))
    facts = results.facts.tuning
    assert facts is not None
    assert results.tuned["edges"].tolist() == [[RATE], []]
    assert list(edge_sentences(facts, results.tuned)) == [
        f"{RATE} is at the lower edge of its range (0.0001 to 0.01) in baseline"
    ]


def test_the_table_has_every_tuning_trial(recorded: tuple[Study, Store]) -> None:
    table = collect(*recorded).tables()["tuning.csv"]
    assert list(table.columns) == [*TUNING_KINDS, RATE, SIZE, AUGMENT]
    assert table["cell"].tolist() == ["baseline"] * 4 + ["kv heads=2"] * 4
    assert table["trial"].tolist() == [1, 2, 3, 4] * 2
    assert table["status"].tolist() == ["done", "done", "done", "failed"] * 2
    assert table["best"].tolist() == ["yes", "", "", ""] * 2
    assert table["reason"].tolist()[3] == "it diverged"
    assert table[RATE].tolist()[:2] == ["0.0001", "0.0002"]
    assert table[AUGMENT].tolist()[0] == '{"flip": true}'
    assert tuned(collect(*recorded))[["ended", "failed", "trial"]].to_numpy().tolist() == [[4, 1, 1]] * 2


def test_replicates_are_added_once_all_cells_are_tuned(grid: Writer, tmp_path: Path) -> None:
    """Claims need all cells: until the last one is tuned, the others have only their first replicates."""
    claim = "{claim: both are exactly as good, kind: equivalent, cells: {kv heads: 2}, margin: 1e-5}"
    path = grid(
        ("replicates: 2", f"claims: [{claim}]\nreplicates: {{min: 3, max: 5, until: claims}}"),
        ("budget: 4", "budget: 2\n  warm_start: true"),
    )
    study, store = load(path), Store(tmp_path / "store")

    def replicates() -> Counter[str]:
        return Counter(trial.cell.name for trial in requested_trials(study, store))

    assert not replicates()
    while len(tuning_state.load(study, store)) < 2:
        run_here(TuningStageSource(study, store), store, most=1)
    assert replicates() == {"baseline": 3}
    run_here(TuningStageSource(study, store), store)
    assert replicates() == {"baseline": 5, "kv heads=2": 5}  # the margin is too small for any data
    for trial in requested_trials(study, store):
        best = next(one.best for one in tuning_state.load(study, store) if one.cell.name == trial.cell.name)
        assert best is not None
        assert trial.cell.settings is not None
        assert trial.settings == with_values(trial.cell.settings, best.values)
