"""What was computed from the entries of a folder is kept until the folder changes."""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

RECENT = 2 * 10**9  # nanoseconds; what is this new can change again without a new modification time

T = TypeVar("T")


def kept_while_unchanged(compute: Callable[[Path], T]) -> Callable[[Path], T]:
    """A function of a folder's entries, called once per process for every state of a folder.

    The modification time of a folder changes when an entry is added, removed or renamed. Raises OSError.
    """
    known: dict[Path, tuple[int, T]] = {}

    @functools.wraps(compute)
    def kept(folder: Path) -> T:
        changed, now = os.stat(folder).st_mtime_ns, time.time_ns()
        if folder in known and known[folder][0] == changed:
            return known[folder][1]
        found = compute(folder)
        known.pop(folder, None)
        if abs(now - changed) > RECENT:
            known[folder] = changed, found
        return found

    return kept
