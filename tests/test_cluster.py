"""A sweep over several nodes: separate raylets on this machine, one killed and one added on the way."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient
from tiny_grid import TINY

from study import design
from study.stages import unique_stages
from study.store import Store
from study.tracking import PARENT, default_uri

SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(24),
    "RAY_raylet_start_wait_time_s": "120",  # half a minute is little on a busy machine
    # a lost node is noticed in two seconds, not in half a minute
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}


class Nodes:
    """A Ray cluster of `ray start` processes, with ports and a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.started: list[subprocess.Popen[bytes]] = []

    def head(self, *options: str) -> None:
        self._start("--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false", *options)

    def worker(self) -> "subprocess.Popen[bytes]":
        """A node of one processor."""
        return self._start(f"--address={self.address}", "--num-cpus=1")

    def _start(self, *options: str) -> "subprocess.Popen[bytes]":
        ray = Path(sys.executable).with_name("ray")
        own = [f"--temp-dir={self.folder}", "--disable-usage-stats", "--object-store-memory=100000000"]
        ports = ["--min-worker-port=0", "--max-worker-port=0"]
        command = [str(ray), "start", *options, *own, *ports, "--block"]
        with (self.folder / f"start-{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | SETTINGS, start_new_session=True
            )
        self.started.append(process)
        return process

    def wait(self) -> None:
        """Until all that was started is up."""
        for number, process in enumerate(self.started):
            while b"Ray runtime started" not in (self.folder / f"start-{number}.log").read_bytes():
                assert process.poll() is None, (self.folder / f"start-{number}.log").read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                lose(process)


def lose(process: "subprocess.Popen[bytes]") -> None:
    """A node is gone at once: its raylet, its workers and all else it has started are killed -9."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # Ray's sockets need short paths
    made = Nodes(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.system
def test_nodes_may_be_lost_and_added(nodes: Nodes, place: Path) -> None:
    """Two workers; the first is lost after two stages, a third one joins, the second is lost: nothing else is."""
    grid = place / "tiny.yaml"
    grid.write_text(TINY.replace("epochs: 2", "epochs: 30"))
    nodes.head()
    nodes.wait()
    first, second = nodes.worker(), nodes.worker()
    nodes.wait()
    command = [sys.executable, "-m", "study", "run", str(grid), "--address", nodes.address]
    sweep = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | SETTINGS
    )
    assert sweep.stdout is not None
    said = []
    for line in sweep.stdout:
        said.append(line)
        if line.startswith("2/12"):
            lose(first)
            nodes.worker()
        if line.startswith("6/12"):
            lose(second)
    sweep.stdout.close()
    assert sweep.wait(60) == 0, "".join(said)
    store, study = Store(place / ".study"), design.load(grid)
    stages = unique_stages(design.expand(study))
    assert all(store.find(stage) is not None for stage in stages)
    assert [line.split("/")[0] for line in said if "/12  " in line] == [str(number) for number in range(1, 13)]
    assert sum(line.startswith("again") for line in said) in {1, 2}  # at most the one stage that each lost node ran

    client = MlflowClient(default_uri(store))
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if PARENT in run.data.tags]
    finished = [run.data.tags["key"] for run in runs if run.info.status == "FINISHED"]
    assert sorted(finished) == sorted(stage.key for stage in stages)
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
