"""Folders in place of a home folder that cannot be written, as on some clusters and in containers.

Only what is missing is replaced: credentials and data sets in a read-only home folder are still found.
"""

import os
import stat
import tempfile
from pathlib import Path

_FOLDERS = {  # what libraries write under the home folder: the variable that names another place
    "STUDY_CACHE": ".cache/lightweight-vit-study",
    "HF_HOME": ".cache/huggingface",
    "MPLCONFIGDIR": ".config/matplotlib",
}
_UNREAD = {"MPLCONFIGDIR"}  # caches without any content of the user: replaced even if they exist


def replace_unwritable() -> None:
    """Name temporary folders in the environment if the home folder is missing or read-only; otherwise do nothing."""
    home = _home()
    if home is not None and _is_writable(home):
        return
    own = _temporary()
    if home is None:
        os.environ["HOME"] = str(own)
        return
    for variable, usual in _FOLDERS.items():
        if variable in _UNREAD or not (home / usual).exists():
            os.environ.setdefault(variable, str(own / Path(usual).name))


def _home() -> Path | None:
    """The home folder; None for a user without one, as arbitrary user ids in containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def _is_writable(folder: Path) -> bool:
    """Tried, as permission bits do not decide it: a read-only file system has them too."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _temporary() -> Path:
    """A private folder that the runs of this user share; a new one if that name is taken by somebody else."""
    shared = Path(tempfile.gettempdir(), f"study-home-{os.getuid()}")
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return shared
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="study-home-"))
