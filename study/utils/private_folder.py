"""Folders that only their owner can read and write, in places where others can create files, as `/tmp`."""

import os
import stat
from pathlib import Path

from study.utils.errors import StudyError


def private_folder(path: Path, remedy: str) -> Path:
    """Create the folder with mode 0700, whatever the umask; an own folder that exists gets this mode.

    Raises StudyError if the path is a link, no folder, or belongs to another user, who could read or replace what is in
    it. `remedy`: what to do then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except FileExistsError:
        raise StudyError(f"{path} is not a folder, but must be a private one; remove it, or {remedy}") from None
    except OSError as error:
        raise StudyError(f"cannot create the private folder {path}: {error.strerror}; {remedy}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise StudyError(f"{path} is a link, but must be a private folder; remove it, or {remedy}")
    if found.st_uid != os.getuid():
        raise StudyError(f"{path} belongs to another user, but must be a private folder; {remedy}")
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    return path
