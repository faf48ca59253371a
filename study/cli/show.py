"""The verb `show`: one stage, or one cell, of a store."""

import re
from collections.abc import Iterator
from typing import Any, Protocol

from rich.console import Console

from study import tracking
from study.cli.shown_cell import CellView
from study.cli.shown_stage import StageView
from study.planning.stored_studies import StoredStudies
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.text import plural

KEY = re.compile(r"[0-9a-f]{4,64}")


class View(Protocol):
    """What is shown."""

    def as_json(self) -> dict[str, Any]: ...

    def show(self, console: Console) -> None: ...


def find(target: str, store: Store, uri: str) -> View:
    """What a key's first digits, the id of a run on the MLflow server `uri`, or a cell's name stand for.

    Raises StudyError if nothing in the store, or more than one thing, has this name.
    """
    studies = StoredStudies(store)
    key = _key(target, store, studies, uri)
    found: list[View] = [] if key is None else [StageView.of(key, store, studies)]
    found += [CellView(*one) for one in studies.cells(target)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise StudyError(
            f"{target!r} is neither the key of a stage, nor a run, nor a cell in {store}; "
            "`study list` names its studies, `study status GRID` their cells"
        )
    names = ", ".join(sorted(f"{state.study.name}/{target}" for state, _, _ in studies.cells(target)))
    raise StudyError(f"{target!r} is {plural(len(found), 'cell')} in {store}: give one of {names}")


def _key(target: str, store: Store, studies: StoredStudies, uri: str) -> str | None:
    """The key of the only stage that is meant: stored, failed, or the one of an MLflow run."""
    if not KEY.fullmatch(target):
        return None
    keys = sorted(set(_keys(target, store)))
    if len(keys) > 1:
        raise StudyError(f"key prefix {target!r} matches {plural(len(keys), 'stage')} in {store}: give more digits")
    if keys:
        return keys[0]
    return tracking.key_of_run(target, store, [state.study.name for state in studies.states], uri)


def _keys(prefix: str, store: Store) -> Iterator[str]:
    yield from (path.rpartition("/")[2] for path in store.find_paths(prefix))
    yield from (name.removesuffix(".json") for name in store.list_files("failed") if name.startswith(prefix))
