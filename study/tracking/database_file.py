"""The file of a SQLite database: whether it can be used, what it contains, and how it is replaced by a new one."""

import os
import re
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from study.utils.errors import Advice, StudyError

WAIT = 3.0  # seconds for another process to release the database
LEAST = 2**20  # bytes of free space, below which an error is one of a full disk
CHECK_SECONDS = 5.0  # for the check of the pages, after which the rest is taken to be good
REBUILD = Advice("to set it aside and write a new one from the store", "sync", ("--rebuild",))
COMPANIONS = ("", "-wal", "-shm", "-journal")  # endings of a database's files

Rows = list[tuple[Any, ...]]


class UnusableDatabaseError(StudyError):
    """A database that a new one must replace."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the MLflow database {path} {reason}", REBUILD)


class BusyDatabaseError(StudyError):
    """Another process has locked the database."""


def problem(error: BaseException, path: Path) -> StudyError | None:
    """The error of SQLite or of the disk, in one sentence with its remedy; None if it is another error."""
    if (cause := _of_sqlite(error)) is None:
        return _of_disk(error, path)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the primary code
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return BusyDatabaseError(f"the MLflow database {path} is locked by another process; end it and try again")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:  # the last: no such table
        return UnusableDatabaseError(path, f"is damaged ({cause})")
    if code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN} and _is_full(path.parent):  # of a file beside it
        code = sqlite3.SQLITE_FULL
    reasons = {
        sqlite3.SQLITE_READONLY: "cannot be written; make the file and its folder writable",
        sqlite3.SQLITE_PERM: "cannot be written; make the file and its folder writable",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; make the file and its folder readable and writable",
        sqlite3.SQLITE_FULL: "cannot be written: the disk is full; free disk space",
        sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk",
    }
    return StudyError(f"the MLflow database {path} {reasons[code]}") if code in reasons else None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of SQLite become StudyErrors."""
    try:
        yield
    except sqlite3.Error as error:
        raise problem(error, path) or UnusableDatabaseError(path, f"is damaged ({error})") from None


def check(path: Path) -> None:
    """Raise StudyError, within seconds, unless the file is a database that can be written, or none exists yet."""
    if not os.path.lexists(path):
        return
    _check_kind(path)
    with explained(path), closing(sqlite3.connect(path, timeout=WAIT)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.rollback()
        if (found := _damage(database)) is not None:
            raise UnusableDatabaseError(path, f"is damaged ({found})")


def read(path: Path, query: str) -> Rows:
    """The rows of a query, also from a disk that is read-only. Raises StudyError."""
    _check_kind(path)
    with explained(path):
        try:
            return _rows(path, query)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
                raise
            return _rows_of_copy(path, query)  # the index of the write-ahead log cannot be created there


def change(path: Path, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
    """Execute statements in one transaction. Raises StudyError."""
    with explained(path), closing(sqlite3.connect(path, timeout=WAIT)) as database, database:
        for statement, values in statements:
            database.execute(statement, values)


def known_runs(path: Path) -> frozenset[str]:
    """The ids of all runs; none of a database that cannot be read."""
    try:
        return frozenset(run_id for (run_id,) in read(path, "SELECT run_uuid FROM runs"))
    except StudyError:
        return frozenset()


def set_aside(path: Path, *others: Path) -> Path | None:
    """Move a database and `others` to a new folder beside it; None if there is nothing to move.

    Raises StudyError if another process has locked it, or the folder cannot be written.
    """
    try:
        check(path)
    except BusyDatabaseError:
        raise
    except StudyError:
        pass  # damaged: the reason for moving it
    found = [one for one in (*(Path(f"{path}{end}") for end in COMPANIONS), *others) if os.path.lexists(one)]
    if not found:
        return None
    folder = path.with_name(f"{path.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    try:
        folder.mkdir()
        for one in found:
            one.rename(folder / one.name)
    except OSError as error:
        raise StudyError(f"cannot move {path} to {folder}: {error.strerror}; make its folder writable") from None
    return folder


def _check_kind(path: Path) -> None:
    try:
        kind = path.stat().st_mode
    except OSError as error:
        raise UnusableDatabaseError(path, f"cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(kind):
        raise UnusableDatabaseError(path, "is a folder" if stat.S_ISDIR(kind) else "is not a regular file")


def _damage(database: sqlite3.Connection) -> str | None:
    """The first defect of the pages, as far as the time allows."""
    deadline = time.monotonic() + CHECK_SECONDS
    database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    return None if found == "ok" else " ".join(str(found).split())[:100]


def _rows(path: Path, query: str) -> Rows:
    # not mode=ro: a connection that may not write leaves the files of the write-ahead log behind
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT)) as database:
        return database.execute(query).fetchall()


def _rows_of_copy(path: Path, query: str) -> Rows:
    with tempfile.TemporaryDirectory(prefix="study-mlflow-") as folder:
        for end in ("", "-wal"):
            if (one := Path(f"{path}{end}")).is_file():
                shutil.copyfile(one, Path(folder, f"copy{end}"))
        return _rows(Path(folder, "copy"), query)


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LEAST
    except OSError:
        return False


def _of_disk(error: BaseException, path: Path) -> StudyError | None:
    """Of a file beside the database: of the artifacts, or of a database that is being made."""
    if not isinstance(error, OSError):
        return None
    found = error.strerror or re.search(r"\[Errno \d+\] ([^:'\"]+)", str(error))  # of several: of shutil.copytree
    reason = found if isinstance(found, str) else found[1] if found else "files cannot be copied"
    return StudyError(f"cannot write to {path.parent}: {reason}; free disk space or fix permissions")


def _of_sqlite(error: BaseException | None) -> BaseException | None:
    """The error of SQLite that SQLAlchemy, and then MLflow, have wrapped."""
    while error is not None and not isinstance(error, sqlite3.Error):
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__
    return error
