"""Temporary folders owned by a process. If it is killed, a later process removes them."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from study.utils.process import current_process, has_ended

MARK = "study-owner"  # a file in each owned folder; names the owner
PENDING = "study-pending-"  # prefix of a file that names the process for which a folder is being created
MAX_CREATION = 600.0  # seconds that creating a folder may take


def claim(folder: Path) -> None:
    """Record this process as the folder's owner; the folder is removed after the process has ended."""
    (folder / MARK).write_text(current_process(), encoding="utf-8")


@contextlib.contextmanager
def pending(parent: Path) -> Iterator[None]:
    """Claim in advance a folder that a library creates under `parent`, with a name ending in `_PID`, as Ray's sessions.

    This process may be killed before it learns the folder's name.
    """
    note = _note(parent.parent)
    try:
        yield
    finally:
        if note is not None:
            note.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder; files that cannot be removed are left."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_stale(parent: Path) -> list[Path]:
    """Remove the folders under `parent` whose owners have ended. Returns the removed folders."""
    found = []
    with contextlib.suppress(OSError):
        folders = [folder for folder in sorted(parent.iterdir()) if not folder.is_symlink()]
        found = [folder for folder in folders if (owner := _owner(folder)) and has_ended(owner)]
        for note in parent.parent.glob(f"{PENDING}*"):
            found += _unclaimed(note, [folder for folder in folders if not (folder / MARK).exists()])
    for folder in found:
        remove(folder)
    return found


def remove_abandoned(parent: Path, pattern: str) -> None:
    """Remove the folders that fit the pattern whose owners have ended, or that have not changed for MAX_CREATION: their
    owners may have been on another machine."""
    for folder in parent.glob(pattern):
        with contextlib.suppress(OSError):
            ended = has_ended(_owner(folder)) or time.time() - folder.lstat().st_mtime > MAX_CREATION
            if ended and not folder.is_symlink():
                remove(folder)


def _note(folder: Path) -> Path | None:
    with contextlib.suppress(OSError):
        number, name = tempfile.mkstemp(prefix=PENDING, dir=folder)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(current_process())
        return Path(name)
    return None


def _unclaimed(note: Path, folders: list[Path]) -> list[Path]:
    """The folders created for the process that wrote `note`, if it has ended; then the note is removed as well.

    A later process with the same PID created its own folder later than MAX_CREATION after the note.
    """
    began, owner = note.lstat(), note.read_text(encoding="utf-8")
    if began.st_uid != os.getuid() or not has_ended(owner):
        return []
    note.unlink()
    ending = f"_{owner.split(':')[1]}"
    return [
        folder
        for folder in folders
        if folder.name.endswith(ending) and 0 <= folder.stat().st_mtime - began.st_mtime < MAX_CREATION
    ]


def _owner(folder: Path) -> str:
    try:
        return (folder / MARK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""  # not owned, or another user's
