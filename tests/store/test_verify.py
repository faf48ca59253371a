"""Damaged and outdated stages are found, shown with a fix, and removed on request."""

import hashlib
import json
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.looks import collect
from rich.console import Console

from study.cli.verify import discard_damaged, show
from study.cli.verify import verify as verify_state
from study.design.stages import Stage
from study.design.study import Study, expand, load
from study.execution.run_stage import run_stage
from study.planning.state import StudyState
from study.store.results import PREDICTIONS, WEIGHTS, Store
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


def test_a_result_whose_predictions_are_damaged_is_used(study: Study, store: Store) -> None:
    done = (collect(study, store).trials["status"] == "done").sum()
    for path in store.root.rglob(PREDICTIONS):
        path.unlink()
    code, text = shown(study, store)
    assert code == 1
    assert "damaged files are not used, and a trial whose result is damaged counts as failed" in text
    results = collect(study, store)
    assert (results.trials["status"] == "done").sum() == done > 0
    assert results.predictions == ()


def test_predictions_of_real_trainings_reach_the_report_and_give_its_accuracies(study: Study, store: Store) -> None:
    results = collect(study, store)
    (predicted,) = results.predictions
    accuracies = results.done.set_index("key")["test_accuracy"]
    shares = (predicted.predicted_TN == predicted.labels_N).mean(axis=1)
    assert set(predicted.keys) == set(accuracies.index)
    assert shares == pytest.approx(accuracies[list(predicted.keys)].to_numpy(), abs=1e-12)


@pytest.mark.parametrize("name", ["stage.json", "result.json", "config.json", WEIGHTS, PREDICTIONS, "checksums.json"])
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


def test_a_result_of_a_newer_version_is_not_damaged_and_never_removed(study: Study, store: Store) -> None:
    stage = unique_stages(expand(study))[1]
    result = json.loads((folder(store, stage) / "result.json").read_text())
    del result["history"]
    described = json.loads((folder(store, stage) / "stage.json").read_text())
    rewrite(folder(store, stage), {"result.json": result, "stage.json": described | {"study": "999.1"}})
    code, text = shown(study, store)
    assert code == 1
    assert f"newer  {stage.kind} " in text
    assert "written by a newer version of study (999.1; this is" in text
    assert "update this installation" in text
    assert "3/4 stages passed verification" in text
    assert "damaged" not in text
    assert "recompute" not in text
    assert not discard_damaged(StudyState.look(study, store), Console(quiet=True))
    assert len(store.keys()) == 4
    assert collect(study, store).trials["status"].value_counts().get("failed", 0) >= 1


def rewrite(path: Path, contents: dict[str, object]) -> None:
    """Write files of a stored stage, with their checksums."""
    sums = json.loads((path / "checksums.json").read_text())
    for name, content in contents.items():
        data = json.dumps(content).encode()
        (path / name).write_bytes(data)
        sums[name] = hashlib.sha256(data).hexdigest()
    (path / "checksums.json").write_text(json.dumps(sums))


def test_only_damaged_stages_are_removed_on_request(study: Study, store: Store) -> None:
    stages = unique_stages(expand(study))[:4]
    (folder(store, stages[0]) / WEIGHTS).unlink()
    assert discard_damaged(StudyState.look(study, store), Console(quiet=True))
    assert store.keys() == {stage.key for stage in stages[1:]}
    assert verify(study, store).damaged == []
    assert not discard_damaged(StudyState.look(study, store), Console(quiet=True))
