"""Folders that a process keeps while it lives, and that a later one removes where it was killed before it could."""

import contextlib
import shutil
from pathlib import Path

from study.owner import gone, me

MARK = "study-owner"  # a file in each such folder: whose it is


def claim(folder: Path) -> None:
    """Say that a folder is this process's, to be removed once that has ended."""
    (folder / MARK).write_text(me(), encoding="utf-8")


def remove(folder: Path) -> None:
    """Remove a folder as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep_up(parent: Path) -> list[Path]:
    """Remove the folders under `parent` that were claimed by processes which are gone; says which."""
    found = []
    with contextlib.suppress(OSError):
        for folder in parent.iterdir():
            if not folder.is_symlink() and (owner := _owner(folder)) and gone(owner):
                remove(folder)
                found.append(folder)
    return found


def _owner(folder: Path) -> str:
    try:
        return (folder / MARK).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""  # nobody's, or another user's
