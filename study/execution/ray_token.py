"""The token of a Ray cluster that this process starts.

By itself Ray writes one to `~/.ray/auth_token`, readable by all users, and fails if the home folder is read-only.
"""

import os
import secrets
from pathlib import Path


def provide() -> None:
    """Set RAY_AUTH_TOKEN for this process and its children, unless the user has a token or has chosen a mode without.

    One token per process, since Ray reads it once.
    """
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    if not named and not Path("~/.ray/auth_token").expanduser().exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
