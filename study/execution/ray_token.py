"""The token of a Ray cluster that this process starts.

By itself Ray writes one to `~/.ray/auth_token`, readable by all users, and fails if the home folder is read-only. Here
it is in the environment of Ray's processes, and in no file.
"""

import os
import secrets
from pathlib import Path


def provide() -> None:
    """Set RAY_AUTH_TOKEN for this process and its children, unless the user has a token that nobody else can read.

    One token per process, since Ray reads it once.
    """
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not named and not _is_private(Path("~/.ray/auth_token").expanduser()):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _is_private(file: Path) -> bool:
    try:
        found = file.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and not found.st_mode & 0o077
