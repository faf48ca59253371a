"""Ray dies under a sweep: the driver ends with an exit code of its own and one sentence, and the next run resumes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from helpers.distinct_stages import unique_stages
from helpers.ray_nodes import Nodes, cluster, lose
from helpers.tiny_grid import ONE_REPLICATE

from study.cli.exit_codes import ExitCode
from study.design.study import expand, load
from study.execution.ray_cluster import MARK
from study.store.results import Store
from study.utils.process import marked

LONG = ONE_REPLICATE.replace("epochs: 2", "epochs: 150") + "resources: {cpu: 1, checkpoint_seconds: 0}\n"


class Sweep:
    """A sweep of six stages, of which the fine-tunings are long."""

    def __init__(self, place: Path, *options: str, **variables: str) -> None:
        grid = place / "tiny.yaml"
        grid.write_text(LONG)
        self.store = Store(place / ".study")
        self.log = place / "log"
        command = [sys.executable, "-m", "study", "run", str(grid), *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=place, stdout=log, stderr=log, env=os.environ | variables, start_new_session=True, umask=0
            )

    def wait_for_results(self) -> None:
        """Wait until a stage is stored and another one has a checkpoint."""
        while not (self.store.keys() and list((self.store.root / "unfinished").glob("*"))):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    def check_end(self, part: str) -> None:
        """Within the time in which Ray would end the driver by itself."""
        assert self.process.wait(50.0) == ExitCode.RAY_LOST, self.log.read_text()
        text = self.log.read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("error:")]
        assert line.startswith(f"error: Ray has died ({part} at ")
        assert line.endswith("run the same command again to resume")
        assert "Traceback" not in text
        assert "failed" not in text
        assert self.store.keys()


def processes_of(driver: int, name: str) -> list[psutil.Process]:
    """The processes of this name of the Ray that a driver started."""
    return [process for process in psutil.Process(driver).children(recursive=True) if process.name() == name]


@pytest.mark.system
@pytest.mark.parametrize(
    ("name", "part"), [pytest.param("raylet", "raylet", marks=pytest.mark.nightly), ("gcs_server", "GCS")]
)
def test_the_driver_ends_soon_after_its_ray_and_the_next_one_resumes(name: str, part: str, place: Path) -> None:
    sweep = Sweep(place)
    try:
        sweep.wait_for_results()
        (victim,) = processes_of(sweep.process.pid, name)
        mark = victim.environ()[MARK]
        assert len(marked(MARK, mark)) > 2
        victim.kill()
        sweep.check_end(part)
        assert not marked(MARK, mark)
    finally:
        lose(sweep.process)
    if name == "raylet":
        check_resumes(place)


def check_resumes(place: Path) -> None:
    """Another driver stores a stage from the checkpoint that the first has left."""
    again = Sweep(place)
    stages = unique_stages(expand(load(place / "tiny.yaml")))
    try:
        while not any(result and result.provenance["parts"] for result in map(again.store.find, stages)):
            assert again.process.poll() is None, again.log.read_text()
            time.sleep(0.2)
    finally:
        lose(again.process)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with cluster() as started:
        yield started


@pytest.mark.nightly
@pytest.mark.system
def test_the_driver_ends_soon_after_the_head_of_its_cluster(nodes: Nodes, place: Path) -> None:
    head = nodes.head("--include-dashboard=false")
    nodes.worker()
    sweep = Sweep(place, "--address", nodes.address, **{name: nodes.environment[name] for name in (
        "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")})  # fmt: skip
    try:
        sweep.wait_for_results()
        lose(head)
        sweep.check_end("GCS")
    finally:
        lose(sweep.process)
