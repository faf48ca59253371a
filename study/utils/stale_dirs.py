"""Folders that a process keeps while it lives, and that a later one removes where it was killed before it could."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from study.utils.process import gone, me

MARK = "study-owner"  # a file in each such folder: whose it is
COMING = "study-coming-"  # begins the name of a file that says who is about to have such a folder made
LONGEST = 600.0  # seconds that the making takes


def claim(folder: Path) -> None:
    """Say that a folder is this process's, to be removed once that has ended."""
    (folder / MARK).write_text(me(), encoding="utf-8")


@contextlib.contextmanager
def coming(parent: Path) -> Iterator[None]:
    """Claim beforehand a folder that others make under `parent`, in a name that ends in `_` and this process's number,
    as Ray makes its sessions: a kill may come before this process knows which one it is."""
    note = _note(parent.parent)
    try:
        yield
    finally:
        if note is not None:
            note.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep_up(parent: Path) -> list[Path]:
    """Remove the folders under `parent` that were claimed by processes which are gone; says which."""
    found = []
    with contextlib.suppress(OSError):
        folders = [folder for folder in sorted(parent.iterdir()) if not folder.is_symlink()]
        found = [folder for folder in folders if (owner := _owner(folder)) and gone(owner)]
        for note in parent.parent.glob(f"{COMING}*"):
            found += _unclaimed(note, [folder for folder in folders if not (folder / MARK).exists()])
    for folder in found:
        remove(folder)
    return found


def _note(folder: Path) -> Path | None:
    with contextlib.suppress(OSError):
        number, name = tempfile.mkstemp(prefix=COMING, dir=folder)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(me())
        return Path(name)
    return None


def _unclaimed(note: Path, folders: list[Path]) -> list[Path]:
    """Those of the folders that were made for a process which is gone; then the note has done its work. A later process
    that was given the same number made its own folder later."""
    began, owner = note.lstat(), note.read_text(encoding="utf-8")
    if began.st_uid != os.getuid() or not gone(owner):
        return []
    note.unlink()
    ending = f"_{owner.split(':')[1]}"
    return [
        folder
        for folder in folders
        if folder.name.endswith(ending) and 0 <= folder.stat().st_mtime - began.st_mtime < LONGEST
    ]


def _owner(folder: Path) -> str:
    try:
        return (folder / MARK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""  # nobody's, or another user's
