"""Where MLflow is, and how it is spoken to."""

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
from study.utils.errors import StudyError
from study.utils.redact import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")


def default_uri(store: Store) -> str:
    """`MLFLOW_TRACKING_URI`, or a SQLite file in the store; in `.study` on this machine for a store at an address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(store.root / 'mlflow.db').resolve()}"


def check_uri(uri: str) -> None:
    """Raise StudyError for an address that no MLflow server or database can have."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SCHEMES:
        raise StudyError(
            f"tracking URI {masked(uri)!r} is not possible; it can begin with {', '.join(f'{s}:' for s in SCHEMES)}, "
            "as in sqlite:///mlflow.db or http://localhost:5000"
        )


@contextlib.contextmanager
def model_of(run_id: str, uri: str) -> Iterator[Path]:
    """The model that a stage's run holds, in a folder for as long as the context lasts. Raises StudyError."""
    check_uri(uri)
    if not exists(uri):
        raise StudyError(f"run {run_id} is not to be had: there is no MLflow database at {masked(uri)}")
    client = connect(uri)
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="study-model-") as folder:
        try:
            path = client.download_artifacts(run_id, "model", folder)
        except (MlflowException, OSError) as error:
            problem = " ".join(str(error).split())[:200]
            raise StudyError(f"MLflow at {masked(uri)} has no model of run {run_id}: {masked(problem)}") from None
        yield Path(path)


def exists(uri: str) -> bool:
    """Whether there can be anything: a database file may not have been made yet."""
    return not is_file(uri) or Path(uri.removeprefix("sqlite:///")).exists()


def is_file(uri: str) -> bool:
    """Whether it is a file of this machine."""
    return uri.startswith("sqlite:///")


def connect(uri: str) -> "MlflowClient":
    """Whoever speaks to it; nothing is sent yet."""
    # no telemetry; a server that is down is noticed in seconds, not minutes; and no request is sent twice behind our
    # back: of a run whose creation was answered too late there would be two
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # amid the progress, for every run
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    if is_file(uri):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        _quicken_sqlite()
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # "creating database tables" and the like
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri)


@cache
def _quicken_sqlite() -> None:
    """Let SQLite write ahead to a log: readers and writer do not wait for each other, and a commit, of which each stage
    needs a dozen, does not wait for the disk. A kill loses nothing; a power cut may lose the last commits, never
    the database."""
    from sqlalchemy import Engine, event

    def settings(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(Engine, "connect", settings)
