"""The locations of artifacts in an MLflow database, which are absolute: they follow a store that was moved."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from study.store.results import Store
from study.tracking.sqlite import path_of
from study.utils.errors import StudyError

FOLDER = "mlartifacts"  # in the store, with a folder per experiment
DATABASE = "mlflow.db"  # in the store


def folder_of(store: Store, study: str) -> Path:
    """Where the artifacts of a study's runs are, if they are sent to a database file."""
    return store.root.resolve() / FOLDER / study


def is_own(uri: str, store: Store) -> bool:
    """Whether it is the store's own database."""
    path = path_of(uri)
    return path is not None and path.resolve() == store.root.resolve() / DATABASE


def repair(uri: str, store: Store) -> None:
    """Let the experiments and runs whose artifacts are in `store` point there, if the store was moved or copied.

    Nothing happens for a server, or a database that does not exist or cannot be read. Raises StudyError if the database
    cannot be written.
    """
    path = path_of(uri)
    if path is None or not path.is_file():
        return
    with closing(sqlite3.connect(path, timeout=20.0)) as database:
        try:
            moves = _moves(database, store, is_own(uri, store))
        except sqlite3.DatabaseError:  # new, or damaged: MLflow reports it
            return
        try:
            with database:
                for move in moves:
                    _move(database, *move)
        except sqlite3.DatabaseError as error:
            raise StudyError(
                f"the store was moved, and the paths in its MLflow database {path} cannot be updated: {error}; "
                "make the database writable"
            ) from None


def _moves(database: sqlite3.Connection, store: Store, own: bool) -> list[tuple[int, str, str]]:
    """Experiments with their old and new locations."""
    rows = database.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
    found = []
    for experiment, location in rows:
        old = _local(location or "")
        if old is None or old.parent.name != FOLDER:
            continue
        new = folder_of(store, old.name)
        if old != new and _is_moved(old, new, own):
            found.append((experiment, location, new.as_uri()))
    return found


def _is_moved(old: Path, new: Path, own: bool) -> bool:
    """A copied store has both folders; a database elsewhere may also serve another store, which has the old one."""
    if own:
        return new.exists() or not old.exists()
    return new.exists() and not old.exists()


def _local(location: str) -> Path | None:
    parts = urlsplit(location)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _move(database: sqlite3.Connection, experiment: int, old: str, new: str) -> None:
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment))
    database.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
        (new, len(old) + 1, experiment, len(old) + 1, f"{old}/"),
    )
