"""A sweep with an MLflow server on PostgreSQL, started by the command of the launch files."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.mlflow_servers import Reader
from helpers.ports import free_port
from helpers.tiny_grid import TINY

from study.design.study import expand, load
from study.launch import mlflow_server
from study.store.results import Store
from study.tracking import PARENT


def program(name: str) -> str | None:
    """A program of PostgreSQL; on Debian they are not on the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(places)), os.environ.get("PATH", "")]))


INITDB, POSTGRES = program("initdb"), program("postgres")
pytestmark = [
    pytest.mark.skipif(
        INITDB is None or POSTGRES is None, reason="PostgreSQL is not installed (.ci/run does, as root)"
    ),
]


def unprivileged() -> dict[str, int]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid}


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of an empty database on a new PostgreSQL server."""
    assert INITDB is not None
    assert POSTGRES is not None
    folder, as_user, port = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp")), unprivileged(), free_port()
    if as_user:
        os.chown(folder, as_user["user"], as_user["group"])
    data, environment = folder / "data", {**os.environ, "HOME": str(folder)}
    initialize = [
        INITDB,
        "--pgdata",
        str(data),
        "--username",
        "mlflow",
        "--auth",
        "trust",
        "--no-sync",
        "--encoding",
        "UTF8",
    ]
    subprocess.run(initialize, check=True, capture_output=True, cwd=folder, env=environment, **as_user)
    command = [POSTGRES, "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "-c", "listen_addresses=127.0.0.1"],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            **as_user,
        )
    try:
        wait_for(port, server, folder / "log")
        create(port)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/mlflow"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def create(port: int) -> None:
    """Create the database as soon as the server accepts connections."""
    psycopg2 = pytest.importorskip("psycopg2")
    deadline = time.monotonic() + 60
    while True:
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=port, user="mlflow", dbname="postgres")
            break
        except psycopg2.OperationalError:  # still starting
            assert time.monotonic() < deadline
            time.sleep(0.2)
    connection.autocommit = True
    connection.cursor().execute("CREATE DATABASE mlflow")
    connection.close()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command that `study launch` writes, with this database, this port and one worker instead of four."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = mlflow_server.command("127.0.0.1", port, database, "artifacts")
    environment = {**os.environ, "MLFLOW_SERVER_ALLOWED_HOSTS": mlflow_server.allowed_hosts("study.test")}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command[1:], "--workers", "1"], cwd=folder, stdout=log, stderr=log, env=environment
        )
    try:
        wait_for(port, process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.system
def test_a_sweep_with_a_server_on_postgresql(server: str, place: Path) -> None:
    grid = place / "tiny.yaml"
    grid.write_text(re.sub(r"replicates: 2", "replicates: 1", TINY))
    command = [sys.executable, "-m", "study", "run", str(grid), "--tracking-uri", server]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "is incomplete" not in ended.stdout
    assert not (place / ".study" / "mlflow.db").exists()

    client = Reader(server)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    store = Store(place / ".study")
    stages = {stage.key: stage for stage in unique_stages(expand(load(grid)))}
    nested = {run.data.tags["key"]: run for run in runs if PARENT in run.data.tags}
    assert nested.keys() == stages.keys()
    assert len({run.data.tags["driver"] for run in runs}) == 1  # one process wrote them all
    key = next(key for key, stage in stages.items() if stage.parent is not None)
    copied = Path(client.download_artifacts(nested[key].info.run_id, "model/model.safetensors", str(place)))
    assert copied.read_bytes() == store.weights(stages[key])


def test_a_server_accepts_only_allowed_host_names(server: str) -> None:
    def status(host: str) -> int:
        url = f"{server}/api/2.0/mlflow/experiments/search?max_results=1"
        request = urllib.request.Request(url, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    assert status("study.test:5000") == status("127.0.0.1") == 200
    assert status("elsewhere.test") == 403
