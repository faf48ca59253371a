"""URIs of SQLite databases: from a path to a URI, and back."""

import re
from pathlib import Path
from urllib.parse import unquote

from study.utils.errors import StudyError
from study.utils.paths import expanded
from study.utils.text import readable

_URI = re.compile(r"sqlite(?:\+\w+)?:///(?P<path>.+?)(?:\?(?P<query>[^?/]*=[^?]*))?", re.DOTALL)
_ESCAPES = {"%": "%25", "?": "%3F", "#": "%23"}  # SQLAlchemy decodes the path


def uri_of(path: Path) -> str:
    """The URI of a database file.

    Of a path that needs escapes, with a driver: MLflow creates the folder of `sqlite:///...` without decoding its path.
    Raises StudyError for a path that is not text in UTF-8.
    """
    if (shown := readable(path)) != str(path):
        raise StudyError(
            f"the MLflow database {shown} cannot be used: its path is not UTF-8; rename the folder, or use a UTF-8 "
            "locale"
        )
    encoded = "".join(_ESCAPES.get(character, character) for character in str(path))
    return f"sqlite:///{encoded}" if encoded == str(path) else f"sqlite+pysqlite:///{encoded}"


def path_of(uri: str) -> Path | None:
    """The database file of a URI; None for a server. A `?` that begins no parameters is part of the path.

    Raises StudyError for the home folder of a user who does not exist.
    """
    found = _URI.fullmatch(uri)
    return expanded(unquote(found["path"])) if found else None


def normalised(uri: str) -> str:
    """The URI with its path expanded and escaped; other URIs, and those with parameters, are returned as they are."""
    path, found = path_of(uri), _URI.fullmatch(uri)
    return uri if path is None or (found and found["query"]) else uri_of(path)
