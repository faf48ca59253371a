"""Makes a database file as a whole: MLflow cannot complete one whose creation was interrupted."""

import contextlib
import os
import tempfile
from pathlib import Path

from study.tracking import sqlite
from study.utils import stale_dirs

PREFIX = ".mlflow-new-"


def create(path: Path) -> None:
    """Make the database of `path` beside it, and move it there, unless another process has done so."""
    from mlflow import MlflowClient

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=PREFIX) as folder:
        stale_dirs.claim(Path(folder))
        made = Path(folder, path.name)
        MlflowClient(sqlite.uri_of(made))
        forget(sqlite.uri_of(made))  # closes it, which empties its write-ahead log
        if path.exists():
            os.replace(made, path)  # an empty file
        else:
            with contextlib.suppress(FileExistsError):
                os.link(made, path)


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left while they made a database in this folder."""
    stale_dirs.remove_abandoned(folder, f"{PREFIX}*")


def is_missing(path: Path) -> bool:
    """Whether there is no database yet; an empty file is none."""
    return not path.exists() or path.stat().st_size == 0


def forget(uri: str) -> None:
    """Close MLflow's connections to a file, which it keeps, also after another file has replaced it."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry

    if (engine := SqlAlchemyStore._engine_map.pop(uri, None)) is not None:
        engine.dispose()
    _tracking_store_registry._get_store_with_resolved_uri.cache_clear()
