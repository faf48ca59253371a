"""Where MLflow's artifacts are: for a database file in a folder beside it, which follows a store that was moved; for a
server wherever it names, except in local folders outside the store."""

import os
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from study.store.results import Store
from study.tracking import database_file
from study.tracking.sqlite import path_of
from study.utils.errors import StudyError
from study.utils.redact import masked
from study.utils.text import readable

FOLDER = "mlartifacts"  # beside the database, with a folder per experiment
DATABASE = "mlflow.db"  # in the store
LOCAL = ("", "file", "dbfs", "runs", "models")  # may be a local folder to MLflow: `dbfs:` if it is mounted, `runs:` and
# `models:` because they stand for another location


def folder_of(uri: str, store: Store, study: str) -> Path:
    """Where the artifacts of a study's runs are, if they are sent to a database."""
    return _roots(uri, store)[0] / study


def is_own(uri: str, store: Store) -> bool:
    """Whether it is the store's own database."""
    path = path_of(uri)
    return path is not None and path.parent.resolve() / path.name == store.root.resolve() / DATABASE


def local_folder(location: str, uri: str, store: Store) -> Path | None:
    """The folder of a local location; None for one elsewhere. Raises StudyError for a local folder outside the store,
    which a server must not name, and for an empty location."""
    if not location.strip():
        raise StudyError("the server gives a run no artifact location, so nothing is sent to it; check the server")
    path = _local(location)
    if path is None:
        return None
    if path.is_absolute() and any(path.resolve().is_relative_to(root.resolve()) for root in _roots(uri, store)):
        return path
    raise StudyError(
        f"the artifact location {masked(readable(location))[:200]!r} is refused: it is a local folder outside the "
        "store; start the server with --serve-artifacts, or choose another name ('study:'), which gets its own "
        "experiment"
    )


def repair(uri: str, store: Store) -> None:
    """Let the experiments and runs whose artifacts are beside their database, or in `store`, point there, if it was
    moved or copied.

    Nothing happens for a server, or a database that does not exist or cannot be read. Raises StudyError if the database
    cannot be written.
    """
    path = path_of(uri)
    if path is None or not path.is_file():
        return
    try:
        moves = _moves(path, uri, store)
    except StudyError:  # new, or damaged: reported when it is used
        return
    if moves:
        database_file.change(path, [statement for old, new in moves.items() for statement in _updates(old, new)])


def of_run(run_id: str, path: Path, uri: str, store: Store) -> str | None:
    """The location of a run's artifacts by a database that may have been moved and need not be writable; None if it
    has no such run. Raises StudyError."""
    rows = database_file.read(path, f"SELECT artifact_uri FROM runs WHERE run_uuid = '{run_id}'")
    location = str(rows[0][0]) if rows else None
    for old, new in _moves(path, uri, store).items():
        if location is not None and location.startswith(f"{old}/"):
            return new + location[len(old) :]
    return location


def _roots(uri: str, store: Store) -> list[Path]:
    """The folders that may have artifacts: beside the database, and in the store."""
    path, inside = path_of(uri), store.root.resolve() / FOLDER
    return [inside] if path is None else list(dict.fromkeys([path.parent.resolve() / FOLDER, inside]))


def _moves(path: Path, uri: str, store: Store) -> dict[str, str]:
    """Old and new locations, of experiments and of what precedes the ids of runs. Raises StudyError."""
    roots, own = _roots(uri, store), is_own(uri, store)
    unused = database_file.read(
        path, "SELECT artifact_location, 1 FROM experiments WHERE experiment_id NOT IN (SELECT experiment_id FROM runs)"
    )
    used = database_file.read(
        path,
        "SELECT artifact_location, 0 FROM experiments UNION "
        "SELECT replace(artifact_uri, '/' || run_uuid || '/artifacts', ''), 0 FROM runs",
    )
    found = {}
    for location, empty in [*used, *unused]:
        old = _local(location or "")
        if old is not None and old.is_absolute() and (old.parent.name == FOLDER or (own and empty)):
            new = _new_place(old, [root / old.name for root in roots], own)
            if new != old:
                found[str(location)] = new.as_uri()
    return found


def _new_place(old: Path, places: list[Path], own: bool) -> Path:
    """The store's own database is of its own artifacts; one elsewhere may also serve another store, which has the old
    folder."""
    if own:
        return places[0]
    if old in places:
        return old
    existing = [place for place in places if place.exists()]
    return existing[0] if existing else old if old.exists() else places[0]


def _local(location: str) -> Path | None:
    """The path of a location that MLflow may resolve to a local folder; None for others."""
    parts = urlsplit(location)
    if parts.scheme not in LOCAL and len(parts.scheme) > 1:  # a single letter is a drive of Windows to MLflow
        return None
    path = parts.path if location.startswith("file:") else location
    return Path(os.path.normpath(url2pathname(path).replace("\0", "")))


def _updates(old: str, new: str) -> list[tuple[str, tuple[object, ...]]]:
    return [
        ("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (new, old)),
        (
            "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE substr(artifact_uri, 1, ?) = ?",
            (new, len(old) + 1, len(old) + 1, f"{old}/"),
        ),
    ]
