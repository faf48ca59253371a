"""A store that does not exist: a mistyped `--store`, or a command in a subfolder of the project."""

import os
import shlex
from pathlib import Path

from study.store.backends.address import local_folder
from study.store.results import Store
from study.utils.errors import StudyError


def open_existing(location: str) -> Store:
    """The store at a path or URL, for verbs that only read it. Raises StudyError if there is none; creates nothing."""
    store = Store(location)
    if not store.exists:
        hint = "" if store_above(location) else "; give the store with --store, or run the study first"
        raise StudyError(f"{missing(location)}{hint}")
    return store


def missing(location: str) -> str:
    """That there is no store at a path or URL, and the one of the same name in a folder above, if there is one."""
    above = store_above(location)
    hint = f"; did you mean --store {shlex.quote(above)}?" if above else ""
    return f"no store at {location}{hint}"


def store_above(location: str) -> str | None:
    """A store of this name in the nearest folder above the working directory, as a relative path."""
    folder = local_folder(location)
    if folder is None or folder.is_absolute():
        return None
    places = (parent / folder for parent in Path.cwd().parents)
    found = next((place for place in places if Store(place).exists), None)
    return os.path.relpath(found) if found else None
