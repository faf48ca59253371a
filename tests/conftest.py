"""What tests share: a tiny study on real data, and one Ray for all tests that need it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.ports import free_port
from helpers.tiny_grid import TINY
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores: more threads only get in each other's way

settings.register_profile("thorough", max_examples=5000, deadline=None)  # --hypothesis-profile=thorough


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "system: starts several drivers, nodes or servers, for `nox -s system`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("system"):  # starts Ray several times, which takes a minute each on a busy machine
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A grid of 4 cells x 2 replicates: 8 fine-tunings, and 4 pre-trainings where 6 trials want one."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own, and no tracking server from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("STUDY_STORE", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A local server that speaks S3, as a process of its own: its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # to page by, where S3 takes a thousand
    with _served(command, port, os.environ | {"MOTO_S3_DEFAULT_MAX_KEYS": "10"}) as address:
        yield address


@pytest.fixture(scope="session")
def gs_server() -> Iterator[str]:
    """A local server that speaks as Google's storage does, likewise."""
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
    """A new folder in a bucket, and an environment in which gs:// means that server: its address."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_server)
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # it asks Google what kind of bucket this is
    return f"gs://tests/{time.monotonic_ns()}"


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, and an environment in which s3:// means that server: its address."""
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
