"""A new PostgreSQL server with an empty database, and an MLflow server on it that can be restarted."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from helpers.ports import free_port

from study.launch import mlflow_server


def program(name: str) -> str | None:
    """A program of PostgreSQL; on Debian they are not on the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return shutil.which(name, path=os.pathsep.join([*map(str, reversed(places)), os.environ.get("PATH", "")]))


INITDB, POSTGRES = program("initdb"), program("postgres")


def unprivileged() -> dict[str, int]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid}


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The address of an empty database on a new PostgreSQL server."""
    assert INITDB is not None
    assert POSTGRES is not None
    folder, as_user, port = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp")), unprivileged(), free_port()
    if as_user:
        os.chown(folder, as_user["user"], as_user["group"])
    data, environment = folder / "data", {**os.environ, "HOME": str(folder)}
    options = ["--username", "mlflow", "--auth", "trust", "--no-sync", "--encoding", "UTF8"]
    initialize = [INITDB, "--pgdata", str(data), *options]
    subprocess.run(initialize, check=True, capture_output=True, cwd=folder, env=environment, **as_user)
    command = [POSTGRES, "-D", str(data), "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    command += ["-c", "listen_addresses=127.0.0.1"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, **as_user)
    try:
        execute(port, "postgres", "CREATE DATABASE mlflow")
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/mlflow"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def execute(port: int, database: str, statement: str) -> list[tuple[object, ...]]:
    """The rows of a statement, as soon as the server accepts connections."""
    import psycopg2  # an extra

    deadline = time.monotonic() + 120
    while True:
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=port, user="mlflow", dbname=database)
            break
        except psycopg2.OperationalError:  # still starting
            assert time.monotonic() < deadline
            time.sleep(0.2)
    with contextlib.closing(connection):
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@dataclass
class PostgresServer:
    """The command that `study launch` writes, with this database, a free port and fewer workers."""

    folder: Path
    database: str
    workers: int = 1

    def __post_init__(self) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = mlflow_server.command("127.0.0.1", self.port, self.database, "artifacts")
        environment = {**os.environ, "MLFLOW_SERVER_ALLOWED_HOSTS": mlflow_server.allowed_hosts("study.test")}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command[1:], "--workers", str(self.workers)],
                cwd=self.folder, stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        self._wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            log = (self.folder / "server.log").read_text()[-2000:]
            assert self._process.poll() is None, log
            assert time.monotonic() < deadline, log
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (OSError, HTTPException):
                time.sleep(0.2)
