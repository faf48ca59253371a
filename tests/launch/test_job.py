"""Studies submitted as jobs to a real Ray cluster with a token, as by the README and the launch scripts."""

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.launch_samples import EXAMPLES
from helpers.paths import ROOT
from helpers.ports import free_port
from helpers.ray_nodes import Nodes, cluster, lose
from helpers.tiny_grid import TINY

from study.design.study import expand, load
from study.launch import write
from study.store.heartbeats import DRIVERS
from study.store.leases import STAGES
from study.store.results import Store

NOT_READY = "No available agent to submit job"  # the head is up, but its job agent is not


@pytest.fixture(scope="module")
def dashboard() -> Iterator[tuple[Nodes, str]]:
    """A head and a node with one CPU, and the address that accepts jobs. The nodes have the required packages, but not
    this code."""
    with pytest.MonkeyPatch.context() as patch, cluster() as nodes:
        patch.delenv("PYTHONPATH", raising=False)
        nodes.environment.pop("PYTHONPATH", None)
        nodes.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        port = free_port()
        nodes.head("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}")
        nodes.worker()
        yield nodes, f"http://127.0.0.1:{port}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of the repository that a study needs."""
    folder = tmp_path / "study"
    shutil.copytree(ROOT / "study", folder / "study", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "grids").mkdir()
    (folder / "grids" / "tiny.yaml").write_text(TINY.replace("replicates: 2", "replicates: 1"))
    return folder


def submit(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a command; repeat it until the cluster accepts jobs."""
    deadline = time.monotonic() + 120
    while True:
        ended = subprocess.run(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if NOT_READY not in ended.stdout or time.monotonic() > deadline:
            return ended
        time.sleep(1)


def statuses(table: Path) -> list[str]:
    with table.open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.system
def test_a_submitted_study_stores_its_results(dashboard: tuple[Nodes, str], checkout: Path, tmp_path: Path) -> None:
    """The command of the README. A store in the copy of the working directory, which Ray deletes, is refused."""
    nodes, address = dashboard
    job = ["ray", "job", "submit", "--address", address, "--working-dir", ".", "--", "env", "STUDY_COMMIT=0123abc"]
    run = [*job, "python", "-m", "study", "run", "grids/tiny.yaml", "--address", "auto"]
    lost = submit(run, checkout, nodes.environment)
    assert lost.returncode == 1
    assert "is in Ray's temporary copy of the job's working directory" in lost.stdout

    store = Store(tmp_path / "store")
    kept = ["--store", str(store.root), "--reports", str(tmp_path / "reports")]
    ended = submit([*run, *kept], checkout, nodes.environment)
    assert ended.returncode == 0, ended.stdout
    assert "6 of 6 stages run" in ended.stdout
    stages = unique_stages(expand(load(checkout / "grids" / "tiny.yaml")))
    found = [store.find(stage) for stage in stages]
    assert [result.provenance["commit"] for result in found if result] == ["0123abc"] * 6
    assert statuses(tmp_path / "reports" / "tiny" / "results.csv") == ["done"] * 4
    assert not (checkout / ".study").exists()


@pytest.mark.system
def test_a_study_stopped_on_the_head_resumes_when_started_again(
    dashboard: tuple[Nodes, str], checkout: Path, tmp_path: Path
) -> None:
    """The script that `study launch` writes; only the port of the dashboard differs."""
    nodes, address = dashboard
    grid = checkout / "grids" / "tiny.yaml"
    grid.write_text(grid.read_text().replace("epochs: 2", "epochs: 500"))
    options = EXAMPLES["onprem"] | {"store": str(tmp_path / "store"), "tracking_uri": "http://127.0.0.1:9"}
    place = write("onprem", grid, options, None, checkout, False).folder
    (place / "commit").write_text("0123abc\n")
    script = place / "sweep.sh"
    assert "http://127.0.0.1:8265" in script.read_text()
    script.write_text(script.read_text().replace("http://127.0.0.1:8265", address))
    (tmp_path / "study-env").symlink_to(sys.prefix)
    environment = nodes.environment | {"HOME": str(tmp_path)}

    def sweep(action: str) -> str:
        ended = submit(["bash", str(script), action], tmp_path, environment)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    sweep("start")
    watching = subprocess.Popen(
        ["bash", str(script), "watch"], env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert watching.stdout is not None
    with watching.stdout:
        shown = []
        for line in watching.stdout:
            shown.append(line)
            if line.startswith("2/6"):
                break
        else:
            pytest.fail("".join(shown))
    lose(watching)
    sweep("stop")
    store = Store(tmp_path / "store")
    stages = unique_stages(expand(load(grid)))
    finished = sum(store.has(stage) for stage in stages)
    assert 2 <= finished < 6

    sweep("start")
    output = sweep("watch")
    assert f"{finished} done, {6 - finished} to run" in output
    assert f"{6 - finished} of {6 - finished} stages run" in output
    assert re.search(r"MLflow at http://127.0.0.1:9 is incomplete", output)
    assert all(store.find(stage) is not None for stage in stages)
    assert store.list_files(STAGES) == store.list_files(DRIVERS) == {}
    assert statuses(checkout / "reports" / "tiny" / "results.csv") == ["done"] * 4
