"""Studies sent as jobs to a real Ray cluster with a token, as the README and the launched scripts do it."""

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
from helpers.launch_samples import ASKED
from helpers.paths import ROOT
from helpers.ports import free_port
from helpers.ray_nodes import Nodes, cluster, lose
from helpers.tiny_grid import TINY

from study.design import study as design
from study.design.stages import unique_stages
from study.launch import write
from study.store.leases import DRIVERS, STAGES
from study.store.results import Store

LATE = "No available agent to submit job"  # the head is up, what takes jobs there is not yet


@pytest.fixture(scope="module")
def dashboard() -> Iterator[tuple[Nodes, str]]:
    """A head and a node of one processor, and the address at which jobs are taken. The nodes know nothing of this code
    but the packages it needs."""
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
    """What of the repository a study needs."""
    folder = tmp_path / "study"
    shutil.copytree(ROOT / "study", folder / "study", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "grids").mkdir()
    (folder / "grids" / "tiny.yaml").write_text(TINY.replace("replicates: 2", "replicates: 1"))
    return folder


def said(command: list[str], folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """How a command ended; it is given again while nobody takes jobs yet."""
    deadline = time.monotonic() + 120
    while True:
        ended = subprocess.run(
            command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if LATE not in ended.stdout or time.monotonic() > deadline:
            return ended
        time.sleep(1)


def statuses(table: Path) -> list[str]:
    with table.open(newline="") as file:
        return [row["status"] for row in csv.DictReader(file)]


@pytest.mark.system
def test_a_study_sent_from_elsewhere_leaves_its_results_in_the_store(
    dashboard: tuple[Nodes, str], checkout: Path, tmp_path: Path
) -> None:
    """The README's command. A store in the copy of the working directory, which Ray removes, is refused."""
    nodes, address = dashboard
    job = ["ray", "job", "submit", "--address", address, "--working-dir", ".", "--", "env", "STUDY_COMMIT=0123abc"]
    run = [*job, "python", "-m", "study", "run", "grids/tiny.yaml", "--address", "auto"]
    lost = said(run, checkout, nodes.environment)
    assert lost.returncode == 1
    assert "is in the copy of the working directory that Ray makes for a job" in lost.stdout

    store = Store(tmp_path / "store")
    kept = ["--store", str(store.root), "--reports", str(tmp_path / "reports")]
    ended = said([*run, *kept], checkout, nodes.environment)
    assert ended.returncode == 0, ended.stdout
    assert "6 of 6 stages run" in ended.stdout
    stages = unique_stages(design.expand(design.load(checkout / "grids" / "tiny.yaml")))
    found = [store.find(stage) for stage in stages]
    assert [result.provenance["commit"] for result in found if result] == ["0123abc"] * 6
    assert statuses(tmp_path / "reports" / "tiny" / "results.csv") == ["done"] * 4
    assert not (checkout / ".study").exists()


@pytest.mark.system
def test_a_study_that_is_stopped_on_the_head_goes_on_when_it_is_started_again(
    dashboard: tuple[Nodes, str], checkout: Path, tmp_path: Path
) -> None:
    """The script that `study launch` writes, on a head whose dashboard has another port."""
    nodes, address = dashboard
    grid = checkout / "grids" / "tiny.yaml"
    grid.write_text(grid.read_text().replace("epochs: 2", "epochs: 500"))
    asked = ASKED["onprem"] | {"store": str(tmp_path / "store"), "tracking_uri": "http://127.0.0.1:9"}
    place = write("onprem", grid, asked, None, checkout, False).folder
    (place / "commit").write_text("0123abc\n")
    script = place / "sweep.sh"
    assert "http://127.0.0.1:8265" in script.read_text()
    script.write_text(script.read_text().replace("http://127.0.0.1:8265", address))
    (tmp_path / "study-env").symlink_to(sys.prefix)
    environment = nodes.environment | {"HOME": str(tmp_path)}

    def sweep(word: str) -> str:
        ended = said(["bash", str(script), word], tmp_path, environment)
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
    stages = unique_stages(design.expand(design.load(grid)))
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
