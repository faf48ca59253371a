"""Results on own data are found by the content of the data, wherever they are; results of earlier versions by path."""

import shutil
from pathlib import Path

import pytest
from helpers.data_samples import digits
from helpers.distinct_stages import unique_stages
from helpers.own_data import run_all, run_stages, save, study_on

from study.design.stages import Stage
from study.design.study import Study, expand
from study.execution.run_stage import run_stage
from study.planning.notices import notices
from study.planning.plan import make_plan
from study.planning.state import StudyState
from study.report import collect
from study.store.results import Store
from study.utils.errors import StudyError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "mine")


def add_image(folder: Path) -> None:
    (folder / "3" / "9999.png").write_bytes(digits(300)[0][250])


def by_path(study: Study) -> list[Stage]:
    """The stages as earlier versions stored them."""
    return unique_stages(expand(study))


def missing(study: Study, store: Store) -> int:
    return len(make_plan(StudyState.look(study, store)).missing)


def test_the_same_images_elsewhere_have_the_same_results(folder: Path, store: Store, tmp_path: Path) -> None:
    study = study_on(folder)
    first = run_all(StudyState.look(study, store))
    assert len(first.stages) == 6
    elsewhere = study_on(Path(shutil.copytree(folder, tmp_path / "other" / "place")))
    shutil.rmtree(folder)
    second = StudyState.look(elsewhere, store)
    assert list(second.stages) == list(first.stages)
    assert not make_plan(second).missing
    assert set(collect(second).trials["status"]) == {"done"}
    assert notices(second) == []


def test_changed_images_are_new_data(folder: Path, store: Store) -> None:
    study = study_on(folder)
    before = run_all(StudyState.look(study, store))
    before.contents.record(before.stages.values())
    add_image(folder)
    after = StudyState.look(study, store)
    assert not after.stages.keys() & before.stages.keys()
    assert len(make_plan(after).missing) == 6
    (notice,) = notices(after)
    assert notice.startswith(f"6 stored stages were trained on other files of 'imagefolder:{folder}'")
    assert set(collect(run_all(after)).trials["status"]) == {"done"}


def test_one_run_uses_the_content_with_which_it_began(folder: Path, store: Store) -> None:
    """Otherwise images that are added while it runs would change the keys of all of its stages."""
    state = StudyState.look(study_on(folder), store)
    add_image(folder)
    assert list(state.look_again().stages) == list(state.stages)


def test_a_worker_refuses_other_data_than_those_of_the_run(folder: Path, store: Store) -> None:
    state = StudyState.look(study_on(folder), store)
    stage = Stage.from_spec(next(iter(state.stages.values())).spec())
    assert stage.key in state.stages
    add_image(folder)
    with pytest.raises(StudyError, match=f"the files in {folder} on .* are not those of the run"):
        run_stage(stage, store, "cpu", lambda row: None)
    assert not store.has(stage)


def test_results_stored_by_path_are_found(folder: Path, store: Store) -> None:
    study = study_on(folder)
    old = by_path(study)
    for stage in old:
        run_stage(stage, store, "cpu", lambda row: None)
    state = StudyState.look(study, store)
    assert list(state.stages) == [stage.key for stage in old]
    assert not make_plan(state).missing
    assert set(collect(state).trials["status"]) == {"done"}
    assert notices(state) == []


def test_results_stored_by_path_are_not_used_for_changed_images(folder: Path, store: Store) -> None:
    study = study_on(folder)
    for stage in by_path(study):
        run_stage(stage, store, "cpu", lambda row: None)
    add_image(folder)
    state = StudyState.look(study, store)
    assert len(make_plan(state).missing) == 6
    (notice,) = notices(state)
    assert notice.startswith("6 stored stages were trained on other files of")


def test_a_fine_tuning_starts_from_a_pre_training_stored_by_path(folder: Path, store: Store) -> None:
    study = study_on(folder)
    old = [stage for stage in by_path(study) if stage.kind == "pretrain"]
    for stage in old:
        run_stage(stage, store, "cpu", lambda row: None)
    state = StudyState.look(study, store)
    assert len(make_plan(state).missing) == 6 - len(old) > 0
    done = run_all(state)
    assert not make_plan(done).missing
    assert {stage.parent for stage in done.stages.values() if stage.parent} == set(old)


def test_without_the_data_the_content_that_was_run_last_is_assumed(folder: Path, store: Store) -> None:
    """As for a report on another machine."""
    study = study_on(folder)
    state = StudyState.look(study, store)
    run_stages(list(state.stages.values()), state).contents.record(state.stages.values())
    shutil.rmtree(folder)
    away = StudyState.look(study, store)
    assert list(away.stages) == list(state.stages)
    assert set(collect(away).trials["status"]) == {"done"}


def test_without_the_data_results_stored_by_path_are_found(folder: Path, store: Store) -> None:
    study = study_on(folder)
    for stage in by_path(study):
        run_stage(stage, store, "cpu", lambda row: None)
    shutil.rmtree(folder)
    assert set(collect(StudyState.look(study, store)).trials["status"]) == {"done"}


def test_the_recorded_content_keeps_results_stored_by_path(folder: Path, store: Store) -> None:
    study = study_on(folder)
    old = by_path(study)
    for stage in old:
        run_stage(stage, store, "cpu", lambda row: None)
    now = StudyState.look(study, store)
    now.contents.record(now.stages.values())
    shutil.rmtree(folder)
    assert StudyState.look(study, store).contents.of(f"imagefolder:{folder}") is not None
    assert list(StudyState.look(study, store).stages) == [stage.key for stage in old]
