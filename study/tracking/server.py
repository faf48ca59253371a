"""The MLflow tracking server: its address, and clients for it."""

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from study.store.results import Store
from study.tracking import artifact_locations, database_file, new_database, schema, sqlite
from study.tracking.artifact_locations import DATABASE
from study.tracking.client import Client
from study.utils.errors import StudyError
from study.utils.redact import masked

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
def model_of(run_id: str, uri: str, store: Store) -> Iterator[Path]:
    """A folder with the model of a stage's run, valid inside the context. Raises StudyError."""
    check_uri(uri)
    if not exists(uri):
        raise StudyError(f"run {run_id} not found: no MLflow database at {masked(uri)}")
    if path := sqlite.path_of(uri):
        yield _model_beside(path, run_id, uri, store)
        return
    with tempfile.TemporaryDirectory(prefix="study-model-") as folder:
        try:
            client = connect(uri, store)
            client.download(client.get_run(run_id).info.artifact_uri, "model", Path(folder))
        except StudyError as error:
            raise _no_model(run_id, uri, error.message) from None
        if not any(Path(folder).iterdir()):
            raise _no_model(run_id, uri, "the server has no such files")
        yield Path(folder)


def _model_beside(path: Path, run_id: str, uri: str, store: Store) -> Path:
    """The model of a run by a database file, which is only read."""
    location = artifact_locations.of_run(run_id, path, uri, store)
    if location is None:
        raise _no_model(run_id, uri, "no such run")
    folder = artifact_locations.local_folder(location, uri, store)
    if folder is None:
        raise _no_model(run_id, uri, f"its artifacts are at {masked(location)}")
    if not (folder / "model").is_dir():
        raise _no_model(run_id, uri, f"{folder / 'model'} is no folder")
    return folder / "model"


def _no_model(run_id: str, uri: str, problem: str) -> StudyError:
    return StudyError(f"no model of run {run_id} in MLflow at {masked(uri)}: {masked(problem)}")


def exists(uri: str) -> bool:
    """Whether the database file exists; true for a server."""
    path = sqlite.path_of(uri)
    return path is None or path.exists()


def is_server(uri: str) -> bool:
    """Whether it is a server, not a database to which MLflow's client connects itself."""
    return urlsplit(uri).scheme in ("http", "https")


def connect(uri: str, store: Store, limit: float | None = None) -> "Client":
    """A client of the server, to which nothing is sent yet, or of a database file, which is checked, created or
    repaired. Raises StudyError. `limit` as for Client."""
    # short timeouts, so that a server that is down is detected in seconds; no automatic retries: a run
    # whose creation was answered too late would be created twice
    for name, value in {
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # would be printed between the progress lines
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    }.items():
        os.environ.setdefault(name, value)
    if path := sqlite.path_of(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        new_database.remove_stale(path.parent)
        _use_write_ahead_log()
        check_file(uri, store)
    _show_less()
    client = Client(uri, store, limit)
    artifact_locations.repair(uri, store)  # also of a new database: MLflow gives its first experiment a working folder
    return client


def check_file(uri: str, store: Store) -> None:
    """Raise StudyError unless MLflow can use a database file, or there is none yet. The locations of one that was moved
    are repaired. Nothing happens for a server."""
    path = sqlite.path_of(uri)
    if path is not None and os.path.lexists(path):
        inspect_file(path, uri)
        artifact_locations.repair(uri, store)


def inspect_file(path: Path, uri: str) -> None:
    """Raise StudyError, within seconds, unless MLflow can use a database file, or there is none yet."""
    database_file.check(path)
    _show_less()
    schema.check(path, uri)


def set_aside(uri: str, store: Store) -> Path | None:
    """Move a database file, and the artifacts of the store's own, to the returned folder beside it; None if there is
    none. Raises StudyError for a server, and for a database that is in use."""
    path = sqlite.path_of(uri)
    if path is None:
        raise StudyError(f"--rebuild is for a database file, not for the server {masked(uri)}")
    artifacts = [path.parent / artifact_locations.FOLDER] if artifact_locations.is_own(uri, store) else []
    return database_file.set_aside(path, *artifacts)


def _show_less() -> None:
    """Only errors are shown, and those of databases not at all: they are raised, too."""
    for name, level in (
        ("mlflow", logging.ERROR),
        ("alembic", logging.ERROR),
        ("mlflow.store.db.utils", logging.CRITICAL),
    ):
        logging.getLogger(name).setLevel(level)


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
