"""One look at the store per step of a sweep, and each trial expanded once per look."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.distinct_stages import unique_stages
from helpers.tuning_samples import TUNED, run_here
from rich.console import Console

from study import execution, tracking
from study.cli.places import Places
from study.cli.run import run
from study.cli.verify import verify
from study.design.stages import stages_of
from study.design.study import load
from study.planning import contents, state
from study.planning.events import Outcome
from study.planning.plan import make_plan
from study.planning.stage_source import StageSource
from study.planning.state import StageNames, StudyState
from study.report import collect
from study.store.results import Result, Store
from study.tuning.stage_source import TuningStageSource

calls: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts looks, evaluations of the trials, and expansions of each trial."""
    calls.clear()

    def look(*arguments: Any) -> StudyState:
        calls["looks"] += 1
        return original_look(*arguments)

    def requested_trials(*arguments: Any) -> Any:
        calls["trials"] += 1
        return original_trials(*arguments)

    def stages(trial: Any, content: Any) -> Any:
        calls[f"stages of {trial.cell.name} {trial.tag}"] += 1
        return stages_of(trial, content)

    original_look, original_trials = StudyState.look, state.requested_trials
    monkeypatch.setattr(StudyState, "look", look)
    monkeypatch.setattr(state, "requested_trials", requested_trials)
    monkeypatch.setattr(contents, "stages_of", stages)


def expansions() -> Counter[int]:
    """How many trials were expanded how often."""
    return Counter(number for name, number in calls.items() if name.startswith("stages of "))


def test_all_parts_use_one_look(tiny: Path, place: Path) -> None:
    made = StudyState.look(load(tiny), Store(place / "store"))
    make_plan(made)
    verify(made)
    tracking.undelivered(made, tracking.default_uri(made.store))
    collect(made)
    assert len(made.names) == len(made.stages) == 12
    assert (calls["looks"], calls["trials"]) == (1, 1)
    assert expansions() == {1: 8}


def test_shared_stages_are_one_object(tiny: Path, tmp_path: Path) -> None:
    made = StudyState.look(load(tiny), Store(tmp_path / "store"))
    assert list(made.stages) == [stage.key for stage in unique_stages(made.trials)]
    for trial in made.trials:
        assert all(stage is made.stages[stage.key] for stage in made.stages_of(trial))
        assert all(trial in made.users[stage.key] for stage in made.stages_of(trial))


def test_a_state_does_not_change_with_its_store(tiny: Path, tmp_path: Path) -> None:
    made = StudyState.look(load(tiny), Store(tmp_path / "store"))
    stage = next(iter(made.stages.values()))
    made.store.save(stage, Result({}, {}, [], []), b"", {})
    assert made.stored == frozenset()
    assert made.look_again().stored == {stage.key}


def fan_out_here(source: StageSource, store: Store, *_: Any) -> tuple[list[Outcome], bool]:
    """A fan-out in this process, without Ray."""
    return [Outcome(stage, "done") for stage in run_here(source, store)], False


def test_a_sweep_looks_once_before_and_once_after_each_round(
    tiny: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny grid needs one round. A second invocation has nothing to do: its only look is the first."""
    monkeypatch.setattr(execution, "connect", lambda *_: execution.Cluster(2, 0))
    monkeypatch.setattr(execution, "check_resources", lambda *_: None)
    monkeypatch.setattr(execution, "disconnect", lambda lost: None)
    monkeypatch.setattr(execution, "fan_out", fan_out_here)
    study, store = load(tiny), Store(place / "store")
    places = Places(place / "reports", tracking.default_uri(store))
    assert run(StudyState.look(study, store), places, Console(quiet=True)) == 0
    assert (calls["looks"], calls["trials"]) == (2, 2)
    assert expansions() == {2: 8}
    calls.clear()
    assert run(StudyState.look(study, store), places, Console(quiet=True)) == 0
    assert (calls["looks"], calls["trials"]) == (1, 1)
    assert expansions() == {1: 8}


def test_a_stage_suggested_since_is_found_by_looking_again(place: Path) -> None:
    (place / "tuned.yaml").write_text(TUNED)
    study, store = load(place / "tuned.yaml"), Store(place / "store")
    names = StageNames(StudyState.look(study, store))
    first = TuningStageSource(study, store).more()[0]
    calls.clear()
    assert names[first.key].startswith(f"{first.kind} ")
    assert names.users_of(first.key)[0].tuning == 1
    assert calls["looks"] == 1


def test_a_later_state_renames_no_stage(tiny: Path, place: Path) -> None:
    """With fewer cells a pre-training has one user and another name; a running sweep keeps the first name."""
    store = Store(place / "store")
    early = StudyState.look(load(tiny), store)
    names = StageNames(early)
    before = dict(names)
    tiny.write_text(tiny.read_text().replace("  mode: {path: finetune.mode, levels: [finetune, probe]}\n", ""))
    later = StudyState.look(load(tiny), store)
    assert later.names != {key: before[key] for key in later.names}
    names.add(later)
    assert dict(names) == before
