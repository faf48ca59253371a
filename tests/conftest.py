"""Fixtures for all tests: a tiny study on real data and its results, one Ray cluster, and local object storage."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.ports import free_port
from helpers.tiny_grid import ONE_REPLICATE, TINY
from hypothesis import settings

if TYPE_CHECKING:
    from study import execution

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores: more threads would compete

settings.register_profile("thorough", max_examples=5000, deadline=None)  # --hypothesis-profile=thorough


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "system: starts several drivers, nodes or servers; run by `nox -s system`")
    config.addinivalue_line("markers", "nightly: further cases of what others show once; run by `nox -s nightly`")
    config.addinivalue_line("markers", "slow: several sweeps or a server; run by `nox -s system`, two at a time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("system") or item.get_closest_marker(
            "slow"
        ):  # each start of Ray may take a minute on a busy machine
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A grid of 4 cells x 2 replicates: 8 fine-tunings, and 4 pre-trainings that 6 trials share."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new working folder, and no store or tracking server from the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("STUDY_STORE", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def tiny_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the first replicate of the tiny grid: 2 pre-trainings and 4 fine-tunings. Copy it before writing."""
    from helpers.distinct_stages import unique_stages

    from study.design.study import expand, load
    from study.execution.run_stage import run_stage
    from study.store.results import Store

    folder = tmp_path_factory.mktemp("tiny-results")
    (folder / "tiny.yaml").write_text(ONE_REPLICATE)
    store = Store(folder / "store")
    for stage in unique_stages(expand(load(folder / "tiny.yaml"))):
        run_stage(stage, store, "cpu", lambda row: None)
    return store.root


@pytest.fixture
def finished(tiny: Path, place: Path, tiny_results: Path) -> Path:
    """The tiny grid with one replicate, all of its stages finished in `.study` of the working folder."""
    tiny.write_text(ONE_REPLICATE)
    shutil.copytree(tiny_results, place / ".study")
    return tiny


@pytest.fixture(scope="session")
def cluster() -> Iterator["execution.Cluster"]:
    """Ray on this machine, started once for all tests that run stages with it."""
    from study import execution

    yield execution.connect(None)
    execution.disconnect()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a local S3 server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # small pages, so that tests cover paging
    with _served(command, port, os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": "10"}) as address:
        yield address


@pytest.fixture(scope="session")
def gs_server() -> Iterator[str]:
    """The address of a local Google Cloud Storage server."""
    port = free_port()
    emulator = str(Path(sys.executable).with_name("gcp-storage-emulator"))
    command = [emulator, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=tests"]
    with _served(command, port, os.environ) as address:
        yield address


@contextmanager
def _served(command: list[str], port: int, settings: Mapping[str, str]) -> Iterator[str]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=settings)
    for _ in range(300):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()


@pytest.fixture
def gs_folder(gs_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new folder on the local server, to which gs:// is directed."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_server)
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # would send a request to Google
    return f"gs://tests/{time.monotonic_ns()}"


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket on the local server, to which s3:// is directed."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{time.monotonic_ns()}"
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT")).close()
    return f"s3://{name}"
