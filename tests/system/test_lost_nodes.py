"""A sweep over several nodes: separate raylets on this machine, one killed and one added on the way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.ray_nodes import Nodes, cluster, lose
from helpers.tiny_grid import TINY
from mlflow import MlflowClient

from study.design import study as design
from study.design.stages import unique_stages
from study.store.results import Store
from study.tracking import PARENT, default_uri


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with cluster() as made:
        yield made


@pytest.mark.system
def test_nodes_may_be_lost_and_added(nodes: Nodes, place: Path) -> None:
    """Two workers; the first is lost after two stages, a third one joins, the second is lost: nothing else is."""
    grid = place / "tiny.yaml"
    grid.write_text(TINY.replace("epochs: 2", "epochs: 200"))
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
    said = []
    try:
        assert sweep.stdout is not None
        with sweep.stdout:
            for line in sweep.stdout:
                said.append(line)
                if line.startswith("2/12"):
                    lose(first)
                    nodes.worker()
                if line.startswith("6/12"):
                    lose(second)
        assert sweep.wait(60) == 0, "".join(said)
    finally:
        lose(sweep)
    store, study = Store(place / ".study"), design.load(grid)
    stages = unique_stages(design.expand(study))
    assert all(store.find(stage) is not None for stage in stages)
    assert [line.split("/")[0] for line in said if "/12  " in line] == [str(number) for number in range(1, 13)]
    assert sum(line.startswith("retry") for line in said) in {1, 2}  # at most the one stage that each lost node ran

    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if PARENT in run.data.tags]
    finished = [run.data.tags["key"] for run in runs if run.info.status == "FINISHED"]
    assert sorted(finished) == sorted(stage.key for stage in stages)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
