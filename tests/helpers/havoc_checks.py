"""What must hold for a sweep that was disturbed (see `helpers.havoc`)."""

import csv
import tempfile
from collections import Counter
from pathlib import Path

from helpers.havoc import PATHS, Place
from helpers.looks import undelivered
from helpers.mlflow_servers import Reader

from study.design.stages import Stage
from study.design.study import load
from study.store.results import Store
from study.tracking import PARENT
from study.tracking.ledger import Ledger

VARY = {"run_id", "seconds", "train_seconds", "images_per_second", "pretrain_seconds", "started", "finished"}
ENDS = {0, 1, 2, 3, 130, -9}  # exit codes of drivers
OWN = {"chaos.yaml", "disk", "home", "reports", "server", "sweep.log", "work"}  # in a place


def outputs_of(stage: Stage, store: Store) -> tuple[object, ...]:
    """All outputs of a stage except timings and provenance."""
    result = store.find(stage)
    assert result is not None
    metrics, *history = (
        {name: value for name, value in row.items() if name not in VARY} for row in (result.metrics, *result.history)
    )
    return metrics, history, result.facts, result.expert_load, store.weights(stage)


def results(place: Place) -> list[dict[str, str]]:
    """results.csv without the columns that differ between two sweeps."""
    with (place.folder / "reports" / "chaos" / "results.csv").open(newline="", encoding="utf-8") as file:
        return [{name: text for name, text in row.items() if name not in VARY} for row in csv.DictReader(file)]


def check_stored(place: Place, calm: Store, checked: set[str]) -> None:
    """Every stage that is stored and not in `checked` is equal to the last bit to that of the undisturbed sweep."""
    stored = place.store.keys()
    for stage in place.stages:
        if stage.key in stored - checked:
            assert outputs_of(stage, place.store) == outputs_of(stage, calm), stage.key
    checked |= stored


def check_whole(place: Place) -> None:
    """Every stage is stored once, and MLflow, the ledger and all folders are as after an undisturbed sweep."""
    check_store(place)
    check_runs(place)
    check_places(place)


def check_store(place: Place) -> None:
    keys = {stage.key for stage in place.stages}
    assert place.store.keys() == keys
    left = [path.name for kind in ("pretrain", "finetune") for path in (place.root / kind).iterdir()]
    assert sorted(left) == sorted(keys), "temporary folders are left"
    unfinished = place.root / "unfinished"
    assert not unfinished.is_dir() or not list(unfinished.iterdir()), "checkpoints are left"
    for stage in place.stages:
        place.store.check(stage)


def check_runs(place: Place) -> None:
    """One finished run per stage with each epoch once, its model, and no run that is open."""
    client, keys = Reader(place.uri), [stage.key for stage in place.stages]
    experiment = client.get_experiment_by_name("chaos")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=10_000)
    assert "RUNNING" not in {run.info.status for run in runs}
    finished = [run for run in runs if PARENT in run.data.tags and run.info.status == "FINISHED"]
    assert Counter(run.data.tags["key"] for run in finished) == Counter(keys)
    named = Ledger(place.store, "chaos").runs(place.uri)
    assert {run.data.tags["key"]: run.info.run_id for run in finished} == {key: named[key] for key in keys}
    assert undelivered(load(place.grid), place.store, place.uri) == []
    for run in finished:
        points = client.get_metric_history(run.info.run_id, "epoch/train_loss")
        assert sorted(point.step for point in points) == list(range(1, place.epochs + 1))
    stage = place.chance.choice(place.stages)
    with tempfile.TemporaryDirectory(dir=place.scratch) as folder:
        path = client.download_artifacts(named[stage.key], "model/model.safetensors", folder)
        assert Path(path).read_bytes() == place.store.weights(stage)


def check_places(place: Place) -> None:
    """Nothing was written outside the store and the reports; nothing is at a path where the store was before."""
    assert {path.name for path in place.folder.iterdir()} <= OWN
    assert list(place.work.iterdir()) == []
    stores = [place.disk.folder / path for path in PATHS if (place.disk.folder / path).exists()]
    assert stores == [place.root], stores
    assert place.ends.keys() <= ENDS, place.ends
