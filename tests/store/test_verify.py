"""Damaged and outdated stages are found, shown with a fix, and removed on request."""

import shutil
from pathlib import Path

import pytest
from helpers.data_samples import digits, save_table
from helpers.distinct_stages import unique_stages
from helpers.tiny_grid import TINY
from rich.console import Console

from study.cli.verify import discard_damaged, show
from study.cli.verify import verify as verify_state
from study.design.stages import Stage
from study.design.study import Study, expand, load
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.store.results import WEIGHTS, Store
from study.store.verify import Verified


@pytest.fixture
def study(tiny: Path) -> Study:
    return load(tiny)


@pytest.fixture
def store(study: Study, tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for stage in unique_stages(expand(study))[:4]:
        run_stage(stage, store, "cpu", lambda row: None)
    return store


def folder(store: Store, stage: Stage) -> Path:
    return store.root / stage.kind / stage.key


def verify(study: Study, store: Store) -> Verified:
    return verify_state(StudyState.look(study, store))


def shown(study: Study, store: Store) -> tuple[int, str]:
    console = Console(width=1000)
    with console.capture() as caught:
        code = show(StudyState.look(study, store), console)
    return code, caught.get()


def test_intact_stages_pass(study: Study, store: Store) -> None:
    assert shown(study, store) == (0, "4/4 stages passed verification, 8 not run yet\n")


@pytest.mark.parametrize("name", ["stage.json", "result.json", "config.json", WEIGHTS, "checksums.json"])
def test_every_file_is_checked(study: Study, store: Store, name: str) -> None:
    stage = unique_stages(expand(study))[1]
    path = folder(store, stage) / name
    path.write_bytes(path.read_bytes()[:-9])
    code, text = shown(study, store)
    assert code == 1
    assert f"damaged  {stage.kind} " in text
    assert str(folder(store, stage)) in text
    assert name in text
    assert "3/4 stages passed verification" in text
    assert "--recompute-damaged" in text


def test_only_damaged_stages_are_removed_on_request(study: Study, store: Store) -> None:
    stages = unique_stages(expand(study))[:4]
    (folder(store, stages[0]) / WEIGHTS).unlink()
    assert discard_damaged(StudyState.look(study, store), Console(quiet=True))
    assert store.keys() == {stage.key for stage in stages[1:]}
    assert verify(study, store).damaged == []
    assert not discard_damaged(StudyState.look(study, store), Console(quiet=True))


@pytest.fixture
def on_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Path]:
    """The tiny study, pre-trained on a folder of one's own, and the folder."""
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    images, labels = digits()
    folder = save_table(tmp_path / "mine" / "train.parquet", images[:150], labels[:150])
    save_table(folder / "test.parquet", images[150:], labels[150:])
    grid = tmp_path / "own.yaml"
    grid.write_text(TINY.replace("dataset: digits\n    epochs: 1", f"dataset: parquet:{folder}\n    epochs: 1"))
    return load(grid), folder


def test_results_on_changed_data_are_outdated(on_own_data: tuple[Study, Path], tmp_path: Path) -> None:
    study, folder = on_own_data
    stages = unique_stages(expand(study))
    parent = next(stage for stage in stages if stage.kind == "pretrain")
    child = next(stage for stage in stages if stage.parent == parent)
    free = next(stage for stage in stages if stage.kind == "finetune" and stage.parent is None)
    store = Store(tmp_path / "store")
    for stage in (parent, child, free):
        run_stage(stage, store, "cpu", lambda row: None)
    assert verify(study, store).outdated == []
    images, labels = digits()
    save_table(folder / "train.parquet", images[1:151], labels[1:151])
    assert [stage for stage, _ in verify(study, store).outdated] == [parent, child]
    code, text = shown(study, store)
    assert code == 1
    assert f"parquet:{folder} changed after it was computed" in text
    assert "1/3 stages passed verification" in text
    shutil.rmtree(folder)
    assert verify(study, store).outdated == []  # missing data are not compared
