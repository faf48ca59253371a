"""A sweep with an MLflow server on PostgreSQL, started by the command of the launch files."""

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.distinct_stages import unique_stages
from helpers.mlflow_servers import Reader
from helpers.postgres import INITDB, POSTGRES, PostgresServer, database
from helpers.tiny_grid import TINY

from study.design.study import expand, load
from study.store.results import Store
from study.tracking import PARENT

pytestmark = [
    pytest.mark.skipif(
        INITDB is None or POSTGRES is None, reason="PostgreSQL is not installed (.ci/run does, as root)"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The command that `study launch` writes, with a new database and one worker instead of four."""
    pytest.importorskip("psycopg2")
    with database() as address:
        made = PostgresServer(tmp_path_factory.mktemp("mlflow"), address)
        made.start()
        yield made.uri
        made.stop()


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
