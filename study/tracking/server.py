"""The MLflow tracking server: its address, and clients for it."""

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from study.store.results import Store
from study.tracking import sqlite
from study.tracking.artifact_locations import DATABASE
from study.utils.errors import StudyError
from study.utils.redact import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")


def default_uri(store: Store) -> str:
    """`MLFLOW_TRACKING_URI`, or a SQLite file in the store's local folder (`.study` for object storage)."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return sqlite.normalised(given) if given else sqlite.uri_of(store.root.resolve() / DATABASE)


def check_uri(uri: str) -> None:
    """Raise StudyError for an address that is not one of an MLflow server or database."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SCHEMES:
        raise StudyError(
            f"invalid tracking URI {masked(uri)!r}: must start with {', '.join(f'{s}:' for s in SCHEMES)}, "
            "as in sqlite:///mlflow.db or http://localhost:5000"
        )


@contextlib.contextmanager
def model_of(run_id: str, uri: str) -> Iterator[Path]:
    """The model of a stage's run, in a temporary folder inside the context. Raises StudyError."""
    check_uri(uri)
    if not exists(uri):
        raise StudyError(f"run {run_id} not found: no MLflow database at {masked(uri)}")
    client = connect(uri)
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="study-model-") as folder:
        try:
            path = client.download_artifacts(run_id, "model", folder)
        except (MlflowException, OSError) as error:
            problem = " ".join(str(error).split())[:200]
            raise StudyError(f"no model of run {run_id} in MLflow at {masked(uri)}: {masked(problem)}") from None
        yield Path(path)


def exists(uri: str) -> bool:
    """Whether the database file exists; true for a server."""
    path = sqlite.path_of(uri)
    return path is None or path.exists()


def is_file(uri: str) -> bool:
    """Whether it is a SQLite file of this machine."""
    return sqlite.path_of(uri) is not None


def connect(uri: str) -> "MlflowClient":
    """A client of the server; nothing is sent yet."""
    # no telemetry; short timeouts, so that a server that is down is detected in seconds; no automatic retries: a run
    # whose creation was answered too late would be created twice
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # would be printed between the progress lines
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    if path := sqlite.path_of(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        _use_write_ahead_log()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # "creating database tables" and the like
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri)


@cache
def _use_write_ahead_log() -> None:
    """Use SQLite's write-ahead log: readers and the writer do not block each other, and a commit, of which each stage
    needs a dozen, does not wait for the disk. A killed process loses nothing; a power failure may lose the last
    commits, never the database."""
    from sqlalchemy import Engine, event

    def settings(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", settings)
