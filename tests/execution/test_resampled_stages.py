"""Results on drawn splits: recorded as one data set, tested and exported on the split of their replicate."""

from pathlib import Path

import pytest
import torch
from helpers.own_data import run_all
from helpers.tiny_grid import TINY

from study.design.stages import Stage
from study.design.study import load
from study.execution.export_models import export_stage
from study.planning.plan import how_data_are_read
from study.planning.state import StudyState
from study.report import collect
from study.store.results import Store
from study.store.verify import verify
from study.vit.export import benchmark
from study.vit.model_files import load_folder
from study.vit.training.batches import Prepared, prepare

CELLS = TINY[: TINY.index("  mode:")] + "replicates: 2\nresample: [split, train_images]\n"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StudyState:
    """Two cells and two replicates, with pre-training, run in this process."""
    folder = tmp_path_factory.mktemp("resampled")
    (folder / "grid.yaml").write_text(CELLS)
    return run_all(StudyState.look(load(folder / "grid.yaml"), Store(folder / "store")))


def test_all_results_are_on_one_data_set_though_splits_differ(state: StudyState) -> None:
    assert not state.other_data.reasons
    assert len(state.stages) == len(state.stored) == 8
    assert verify(state.stages.values(), state.store).ok == 8


def test_the_report_states_once_how_data_were_read_and_what_was_drawn(state: StudyState) -> None:
    results = collect(state)
    assert list(results.facts.data) == how_data_are_read(state.study)[:1]
    assert len(results.facts.data) == 1
    assert results.facts.data[0].endswith("; train, validation and test are drawn anew for each replicate")
    assert results.trials["status"].tolist() == ["done"] * 4


def test_a_model_has_its_accuracy_on_the_split_of_its_replicate_only(state: StudyState) -> None:
    """By the stored model itself: other images would give another accuracy of at least one replicate."""
    stages = [state.stages_of(trial)[-1] for trial in state.trials]
    elsewhere = []
    for stage in stages:
        result = state.store.find(stage)
        assert result is not None
        other = next(one for one in stages if one.settings.resampling != stage.settings.resampling)
        assert accuracy(state, stage, on=stage) == pytest.approx(result.metrics["test_accuracy"], abs=0.003)
        elsewhere.append(accuracy(state, stage, on=other) == pytest.approx(result.metrics["test_accuracy"], abs=0.003))
    assert not all(elsewhere)


def accuracy(state: StudyState, stage: Stage, on: Stage) -> float:
    """The accuracy of a stored model on the test images of a stage."""
    data = data_of(on)
    split = data.fitted(data.dataset.test)
    with state.store.folder(stage) as folder:
        return float((load_folder(folder)(split.images).argmax(1) == split.labels).double().mean())


def data_of(stage: Stage) -> Prepared:
    settings = stage.settings
    return prepare(settings.recipe, settings.encoder, torch.device("cpu"), settings.resampling)


def test_an_exported_model_is_measured_on_the_validation_images_of_its_replicate(
    state: StudyState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="an optional extra")
    used: list[torch.Tensor] = []
    measure = benchmark._accuracy
    monkeypatch.setattr(benchmark, "RUNS", 3)
    monkeypatch.setattr(benchmark, "_accuracy", lambda path, split: used.append(split.images) or measure(path, split))
    stage = state.stages_of(state.trials[-1])[-1]
    result = state.store.find(stage)
    assert result is not None
    measured = export_stage(stage, state.store, tmp_path, 1.0)
    assert all(torch.equal(images, data_of(stage).validation.images) for images in used)
    assert measured.fp32.val_accuracy == pytest.approx(result.metrics["val_accuracy"], abs=0.01)
