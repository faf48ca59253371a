"""Every example grid is run with Ray at reduced size: one epoch on few images, one or two replicates. Small folders of
images replace data sets that would be downloaded."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.looks import collect, make_plan
from helpers.paths import EXAMPLE_GRIDS
from PIL import Image
from sklearn.datasets import load_digits

from study import execution
from study.design.resources import Resources
from study.design.study import Study, load
from study.design.yaml_file import read
from study.planning.events import Listener
from study.report import analyse
from study.report.sections import Code, outline
from study.report.summary import answers
from study.report.tables import TABLES
from study.store.results import Store
from study.tuning.stage_source import TuningStageSource

LOCAL = {"digits", "photos"}
IMAGES = 40
MOST = {"epochs": 1, "warmup_epochs": 0.5, "batch_size": 20}
ROUNDS = 12  # of planning and running: results may require more trials


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of digits in place of downloaded data sets: cifar10/3/17.png."""
    root, digits = tmp_path_factory.mktemp("images"), load_digits()
    for name in ("cifar10", "cifar100", "svhn"):
        for i in range(80):
            path = root / name / str(digits.target[i]) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[i] * 15).astype("uint8")).save(path)
    return root


def reduced(value: Any, images: Path, name: str = "") -> Any:
    """A part of a grid at reduced size. Values that differ still differ."""
    last = name.rpartition(".")[2]
    if isinstance(value, dict):
        inside = {key: reduced(inner, images, key) for key, inner in value.items()}
        return {**inside, "levels": reduced(value["levels"], images, value["path"])} if "path" in value else inside
    if isinstance(value, list):
        return [reduced(inner, images, name) for inner in value]
    if last == "dataset" and value not in LOCAL:
        return f"imagefolder:{images / value}"
    if last == "train_images" and value is not None:
        return value // 10
    return min(value, MOST[last]) if last in MOST and value is not None else value


def smaller(data: dict[str, Any], images: Path) -> dict[str, Any]:
    """A grid of the same design at reduced size."""
    made: dict[str, Any] = reduced(data, images)
    for section in ("pretrain", "finetune"):
        if made["baseline"].get(section):
            made["baseline"][section] |= {"train_images": IMAGES, "epochs": 1}
    made["baseline"]["encoder"] |= {"image_size": 8, "patch_size": 4}
    adaptive = isinstance(made.get("replicates"), dict)
    made["replicates"] = {**made["replicates"], "min": 2, "max": 3} if adaptive else 1
    if "sample" in made:
        made["sample"] = 4
    if "tune" in made:
        made["tune"]["budget"] = 2
    if "search" in made:
        made["search"]["trials"] = 4
    if "tune" in made:
        made["tune"]["parameters"].pop("finetune.warmup_epochs", None)  # would exceed the reduced number of epochs
    return made


@dataclass(frozen=True)
class Finished:
    """The reduced studies by file name, and the store with their results."""

    studies: dict[str, Study]
    store: Store


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, images: Path, cluster: execution.Cluster) -> Finished:
    """All grids in one sweep: shared stages are computed once, and workers start once."""
    folder = tmp_path_factory.mktemp("grids")
    for path in EXAMPLE_GRIDS:
        (folder / path.name).write_text(yaml.safe_dump(smaller(read(path).data, images), sort_keys=False))
    found = Finished({path.stem: load(folder / path.name) for path in EXAMPLE_GRIDS}, Store(folder / "store"))
    for study in found.studies.values():
        if study.space is not None:
            execution.fan_out(
                TuningStageSource(study, found.store), found.store, Resources(), cluster, Listener(), "test"
            )
    for _ in range(ROUNDS):
        plans = [make_plan(study, found.store) for study in found.studies.values()]
        missing = {stage.key: stage for plan in plans for stage in plan.missing}
        if not missing:
            break
        outcomes, _ = execution.fan_out([*missing.values()], found.store, Resources(), cluster, Listener(), "test")
        assert [outcome.error for outcome in outcomes if outcome.status != "done"] == []
    return found


@pytest.mark.parametrize("path", EXAMPLE_GRIDS, ids=lambda path: path.stem)
def test_every_grid_runs(path: Path, finished: Finished) -> None:
    study = finished.studies[path.stem]
    assert study.design == load(path).design
    results = collect(study, finished.store)
    analysis = analyse(results)
    assert set(results.trials["status"]) <= {"done", "excluded"}
    assert not any(math.isnan(value) for value in results.done["test_accuracy"])
    assert answers(analysis)
    shown = "\n".join(cell.written for cell in outline(analysis) if isinstance(cell, Code))
    assert set(re.findall(r'table\(analysis, "(\w+)"\)', shown)) <= TABLES.keys()
    assert all(table.table(analysis).columns for table in TABLES.values())  # those that it does not show, too
