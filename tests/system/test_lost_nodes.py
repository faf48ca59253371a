"""A sweep on several nodes, which are separate raylets on this machine: two are killed and one is added."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.ray_nodes import Nodes, cluster, lose, lose_while_training
from helpers.tiny_grid import TINY
from mlflow import MlflowClient

from study.design.study import expand, load
from study.execution.scheduler import DEATH
from study.store.results import Store
from study.tracking import PARENT, default_uri


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with cluster() as started:
        yield started


@pytest.mark.system
def test_nodes_may_be_lost_and_added(nodes: Nodes, place: Path) -> None:
    """Two workers: the first is lost after two stages, a third one joins, then the second is lost.

    Each is lost in the middle of a stage, which is resumed on another node. Everything else runs once.
    """
    grid, store = place / "tiny.yaml", Store(place / ".study")
    grid.write_text(TINY.replace("epochs: 2", "epochs: 200") + "resources: {cpu: 1, checkpoint_seconds: 0}\n")
    stages = unique_stages(expand(load(grid)))
    nodes.head("--include-dashboard=false")
    first, second = nodes.worker(), nodes.worker()
    command = [sys.executable, "-m", "study", "run", str(grid), "--address", nodes.address]
    sweep = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=nodes.environment,
        start_new_session=True,
    )
    output, lost = [], []
    try:
        assert sweep.stdout is not None
        with sweep.stdout:
            for line in sweep.stdout:
                output.append(line)
                if line.startswith("2/12"):
                    lost.append(lose_while_training(first, [second], store, stages))
                    third = nodes.worker()
                if line.startswith("6/12"):
                    lost.append(lose_while_training(second, [third], store, stages))
        assert sweep.wait(60) == 0, "".join(output)
    finally:
        lose(sweep)
    results = {stage.key: store.find(stage) for stage in stages}
    assert None not in results.values()
    assert [line.split("/")[0] for line in output if "/12  " in line] == [str(number) for number in range(1, 13)]
    assert sum(DEATH in line for line in output) == 2, "".join(output)
    for stage in lost:
        result = results[stage.key]
        assert result is not None
        assert result.provenance["parts"], "the stage did not resume from its checkpoint"

    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if PARENT in run.data.tags]
    finished = [run.data.tags["key"] for run in runs if run.info.status == "FINISHED"]
    assert sorted(finished) == sorted(stage.key for stage in stages)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
