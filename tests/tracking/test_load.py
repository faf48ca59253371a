"""`study.load`: models of a real study, from its store and from its MLflow runs."""

import os
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import study
from study import tracking
from study.cli.app import app
from study.design.stages import Stage, stages_of
from study.design.study import Study, expand, load
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.store.predictions import decode
from study.store.results import PREDICTIONS, Store
from study.tracking import Tracker
from study.tracking.ledger import Ledger
from study.tracking.server import model_of
from study.utils.errors import StudyError
from study.vit.data import load as load_data


@pytest.fixture
def finished(tiny: Path, place: Path) -> tuple[Study, list[Stage], Store]:
    """One trained trial of the tiny study in `.study`."""
    made, store = load(tiny), Store(place / ".study")
    stages = stages_of(expand(made)[0])
    store.prepare()
    for stage in stages:
        run_stage(stage, store, "cpu", lambda _: None)
    return made, stages, store


def test_a_stage_by_its_key(finished: tuple[Study, list[Stage], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    _, (pretrained, finetuned), store = finished
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    model = study.load(finetuned.key)
    assert model(images).shape == (2, 10)
    assert torch.equal(study.load(finetuned.key[:8])(images), model(images))
    assert torch.equal(study.load(store.root / "finetune" / finetuned.key)(images), model(images))
    monkeypatch.setenv("HOME", str(store.root))
    assert torch.equal(study.load(f"~/finetune/{finetuned.key}")(images), model(images))
    assert study.load(pretrained.key)(images).shape == (2, 16)  # an encoder gives features
    monkeypatch.chdir("/")
    monkeypatch.setenv("STUDY_STORE", str(store.root))
    assert torch.equal(study.load(finetuned.key)(images), model(images))


def test_a_stage_by_its_run(finished: tuple[Study, list[Stage], Store], place: Path) -> None:
    made, (_, finetuned), store = finished
    uri = tracking.default_uri(store)
    with Tracker(StudyState.look(made, store), uri, {}) as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is None
    run_id = Ledger(store, made.name).runs(uri)[finetuned.key]
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(study.load(run_id)(images), study.load(finetuned.key)(images))
    with pytest.raises(StudyError, match=f"no model of run {'0' * 32} in MLflow"):
        study.load("0" * 32)


def test_predictions_travel_with_the_model_and_are_its_own(finished: tuple[Study, list[Stage], Store]) -> None:
    """`sync` delivers them unchanged, and the model of the run gives the classes that were stored."""
    made, (_, finetuned), store = finished
    uri, runner = tracking.default_uri(store), CliRunner()
    assert runner.invoke(app, ["sync", str(made.path), "--tracking-uri", uri]).exit_code == 0
    run_id = Ledger(store, made.name).runs(uri)[finetuned.key]
    kept = {path.name: path.read_bytes() for path in (store.root / "finetune" / finetuned.key).iterdir()}
    with model_of(run_id, uri, store) as folder:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    found = decode(kept[PREDICTIONS])
    images = load_data("digits", 8).test
    with torch.inference_mode():
        predicted = study.load(run_id)(images.images).argmax(dim=1)
    assert predicted.tolist() == found.predicted_N.tolist()
    assert images.labels.tolist() == found.labels_N.tolist()


def test_damaged_predictions_are_not_delivered_and_the_model_is_still_loaded(
    finished: tuple[Study, list[Stage], Store], place: Path
) -> None:
    made, (pretrained, finetuned), store = finished
    (store.root / "finetune" / finetuned.key / PREDICTIONS).write_bytes(b"other")
    uri = tracking.default_uri(store)
    with Tracker(StudyState.look(made, store), uri, {}) as tracker:
        tracker.flush()
        tracker.finish("FINISHED", None)
    assert tracker.problem is not None
    assert PREDICTIONS in tracker.problem
    assert Ledger(store, made.name).runs(uri).keys() == {pretrained.key}
    assert study.load(finetuned.key)(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).shape == (1, 10)
    assert CliRunner().invoke(app, ["verify", str(made.path)]).exit_code == 1


@pytest.mark.parametrize("name", ["config.json", "checksums.json", "model.safetensors"])
def test_a_fifo_among_the_files_of_a_model_is_refused_without_waiting(
    name: str, finished: tuple[Study, list[Stage], Store]
) -> None:
    _, (_, finetuned), store = finished
    folder = store.root / "finetune" / finetuned.key
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(StudyError):
        study.load(folder)
    with pytest.raises(StudyError):
        study.load(finetuned.key)


def test_a_fifo_in_place_of_a_model_is_refused_without_waiting(place: Path) -> None:
    os.mkfifo(place / "model")
    (place / ".study" / "finetune").mkdir(parents=True)
    os.mkfifo(place / ".study" / "finetune" / ("ab" * 32))
    for source in ("model", "abab"):
        with pytest.raises(StudyError, match=r"model|stage"):
            study.load(source)


def test_sources_that_are_not_found(place: Path) -> None:
    with pytest.raises(
        StudyError, match=r"no stage with key prefix 'abcdef' in .*/\.study.*; give another store as load\("
    ):
        study.load("abcdef")
    with pytest.raises(StudyError, match=r"in .*/elsewhere: no store there; give another store"):
        study.load("abcdef", store="elsewhere")
    with pytest.raises(StudyError, match="key prefix 'abc' is too short: give at least four digits"):
        study.load("abc")
    with pytest.raises(StudyError, match="not found: no MLflow database at sqlite"):
        study.load("0" * 32)
    with pytest.raises(StudyError, match=r"elsewhere/config\.json: model not found"):
        study.load("elsewhere")


def test_an_ambiguous_key_prefix(place: Path) -> None:
    for key in ("abcd0", "abcd1"):
        (place / ".study" / "finetune" / key).mkdir(parents=True)
        (place / ".study" / "finetune" / key / "checksums.json").write_text("{}")
    with pytest.raises(
        StudyError, match=r"key prefix 'abcd' matches 2 stages in [^ ]*: finetune/abcd0, finetune/abcd1"
    ):
        study.load("abcd")
