"""Whether a database has the tables of the MLflow that is installed here."""

import shlex
from pathlib import Path

from study.tracking import database_file
from study.tracking.database_file import UnusableDatabaseError
from study.utils.errors import StudyError

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def check(path: Path, uri: str) -> None:
    """Raises StudyError if MLflow could not use the database, or would create a missing table in an old form.

    A database without tables is new, and one of an earlier version that lacks tables is completed by MLflow, as is one
    whose creation was interrupted.
    """
    if not path.exists():
        return
    tables = {name for (name,) in database_file.read(path, TABLES)}
    if "alembic_version" not in tables:
        return
    versions = [str(row[0]) for row in database_file.read(path, "SELECT version_num FROM alembic_version")]
    known, missing = _known_versions(), sorted(_expected_tables() - tables)
    if versions and versions[-1] not in known:
        raise UnusableDatabaseError(path, f"is of another version of MLflow (its schema is {versions[-1]})")
    if versions and versions[-1] == known[0] and missing:
        raise UnusableDatabaseError(path, f"is damaged (it has no table {missing[0]})")
    if versions and versions[-1] != known[0] and not missing:
        raise StudyError(
            f"the MLflow database {path} is of an earlier version of MLflow; to upgrade it: "
            f"{shlex.join(['python', '-m', 'mlflow', 'db', 'upgrade', uri])}"
        )


def _known_versions() -> list[str]:
    """The versions of MLflow's tables, the newest first."""
    import mlflow
    from alembic.script import ScriptDirectory

    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    return [script.revision for script in migrations.walk_revisions()]


def _expected_tables() -> set[str]:
    from mlflow.store.db.base_sql_model import Base

    return set(Base.metadata.tables)
