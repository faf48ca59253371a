"""Results of other code: which are found, which notice is given, and what is removed to compute them again."""

from pathlib import Path

import pytest
from helpers.report_samples import BASELINE, KV_HEADS, made_up, make_study

from study.design.stages import Stage
from study.design.study import Study
from study.planning import outdated, tuning_state
from study.planning.notices.other_code import other_code
from study.planning.state import StudyState
from study.store import code
from study.store.code import Code, present_code
from study.store.results import Store

VIT, MAE, PROBE = "study/vit/models/vit.py", "study/vit/models/mae.py", "study/vit/training/probe.py"
NOW = present_code()


def edited(*names: str) -> Code:
    """The present code before these files were edited."""
    return Code({**NOW.files, **dict.fromkeys(names, "0" * 64)})


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two cells, pre-trained on digits and from scratch, with one replicate: three stages."""
    factors = {"pre-training": {"path": "pretrain", "levels": [None], "baseline": "digits"}}
    return make_study(tmp_path, factors, replicates=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def stages_by_name(study: Study, store: Store) -> dict[str, Stage]:
    state = StudyState.look(study, store)
    pretrained, scratch = (state.stages_of(trial) for trial in state.trials)
    return {"pretrain": pretrained[0], "from it": pretrained[1], "scratch": scratch[0]}


def put(store: Store, stage: Stage, computed_by: Code | None, parent: Code | None = None) -> None:
    origin = {}
    if computed_by is not None:
        code.record(store, computed_by)
        origin["code"] = computed_by.digest
    if parent is not None:
        origin["parent_code"] = parent.digest
    store.save(stage, made_up(stage, 0.9, **origin), b"", {})


def found(study: Study, store: Store) -> list[str]:
    names = {stage.key: name for name, stage in stages_by_name(study, store).items()}
    return sorted(names[stage.key] for stage in outdated.outdated(StudyState.look(study, store)).stages)


def notice(study: Study, store: Store) -> list[str]:
    return list(other_code(StudyState.look(study, store)))


def fill(study: Study, store: Store, **by: Code | None) -> None:
    for name, stage in stages_by_name(study, store).items():
        put(store, stage, by.get(name.replace(" ", "_"), NOW))


def test_results_of_the_present_code_give_no_notice(study: Study, store: Store) -> None:
    assert notice(study, store) == []
    fill(study, store)
    assert notice(study, store) == []


def test_results_without_a_digest_are_not_compared(study: Study, store: Store) -> None:
    fill(study, store, pretrain=None, from_it=None, scratch=None)
    assert notice(study, store) == []
    assert outdated.outdated(StudyState.look(study, store)).unrecorded == 3


def test_a_result_of_other_code_is_found_with_the_files_that_differ(study: Study, store: Store) -> None:
    fill(study, store, scratch=edited(VIT, PROBE))
    assert found(study, store) == ["scratch"]
    assert notice(study, store) == [
        f"1 of 3 results was computed by other code (files: {VIT}, {PROBE}); to compute them again, add "
        "--recompute-outdated to `run`."
    ]


def test_a_fine_tuning_of_an_outdated_pre_training_is_outdated(study: Study, store: Store) -> None:
    fill(study, store, pretrain=edited(MAE))
    assert found(study, store) == ["from it", "pretrain"]
    assert notice(study, store)[0].startswith(f"2 of 3 results were computed by other code (files: {MAE});")


def test_a_file_that_only_the_other_kind_of_stage_uses_does_not_count(study: Study, store: Store) -> None:
    fill(study, store, pretrain=edited(PROBE), scratch=edited(MAE))
    assert found(study, store) == []
    assert notice(study, store) == []


def test_a_fine_tuning_from_a_pre_training_that_was_computed_again_since_is_outdated(
    study: Study, store: Store
) -> None:
    """Another study that shares the pre-training has computed it again."""
    stages = stages_by_name(study, store)
    put(store, stages["pretrain"], NOW)
    put(store, stages["from it"], NOW, parent=edited(MAE))
    assert found(study, store) == ["from it"]


def test_many_files_are_cut_and_unknown_ones_are_said_to_be_unknown(study: Study, store: Store) -> None:
    names = sorted(name for name in NOW.files if name.startswith("study/vit/models"))[:7]
    fill(study, store, scratch=edited(*names))
    assert f"{names[4]} and {len(names) - 5} more)" in notice(study, store)[0].replace(f", {MAE}", "")


def test_a_digest_whose_files_are_not_in_the_store_still_counts(study: Study, store: Store) -> None:
    fill(study, store, scratch=edited(VIT))
    (path,) = [path for path in (store.root / "code").iterdir() if path.stem != NOW.digest]
    path.unlink()
    assert "1 of 3 results was computed by other code (its files are not recorded);" in notice(study, store)[0]


def test_discarding_removes_outdated_results_their_dependents_and_their_measurements(
    study: Study, store: Store
) -> None:
    fill(study, store, pretrain=edited(VIT))
    stages = stages_by_name(study, store)
    store.write(f"device/{stages['from it'].key}.json", b"{}")
    removed = outdated.discard(StudyState.look(study, store))
    assert {stage.key for stage in removed} == {stages["pretrain"].key, stages["from it"].key}
    assert store.keys() == {stages["scratch"].key}
    assert store.list_files("device") == {}
    assert outdated.discard(StudyState.look(study, store)) == []


def test_a_tuning_that_used_an_outdated_result_starts_over(tmp_path: Path, store: Store) -> None:
    space = {
        "budget": 2,
        "warm_start": False,
        "parameters": {"finetune.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    }
    scratch = {**BASELINE, "pretrain": None}
    study = make_study(tmp_path, KV_HEADS, baseline=scratch, replicates=1, tune=space)
    tunings = tuning_state.load(study, store)
    for tuning, computed_by in zip(tunings[:2], (edited(VIT), NOW), strict=True):
        trial = tuning_state.TuningTrial(1, {"finetune.learning_rate": 1e-3}, "done", 0.9)
        tuning_state.save(tuning_state.replace(tuning, trials=(trial,)), store)
        state = StudyState.look(study, store)
        put(store, state.stages_of(state.tuning_trials[-1])[-1], computed_by)
    outdated.discard(StudyState.look(study, store))
    assert [len(tuning.trials) for tuning in tuning_state.load(study, store)] == [0, 1, 0]
    assert len(store.keys()) == 1
