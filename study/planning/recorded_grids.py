"""The grids of a store's studies: STORE/studies/NAME.yaml has the text of the grid that was run last.

So a store can be listed, cleaned and shared without the files of its grids.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from study.design.study import Study, load, study_of
from study.design.yaml_file import parse
from study.store.results import Store
from study.utils import json_text
from study.utils.errors import StudyError

FOLDER = "studies"


@dataclass(frozen=True)
class RecordedStudy:
    """A study that was run with a store."""

    name: str
    study: Study | None  # None if its grid is not recorded, or is no longer valid
    problem: str = ""  # then the reason


def record_grid(study: Study, store: Store) -> None:
    """Record the grid of a study that is run. Raises StoreError."""
    text = study.source.text.encode()
    if store.read(_path(study.name)) != text:
        store.write(_path(study.name), text)


def recorded_studies(store: Store) -> Iterator[RecordedStudy]:
    """All studies that were run with a store, by name. Raises StoreError."""
    names = sorted({PurePosixPath(file).stem for file in store.list_files(FOLDER)})
    for name in names:
        yield recorded_study(name, store)


def study_names(store: Store) -> set[str]:
    """The names of all studies that were run with a store, also those whose grid an earlier version did not record.

    Raises StoreError.
    """
    delivered = (store.root / "tracking").glob("*.jsonl")  # a ledger is a file also for object storage
    files = [*store.list_files(FOLDER), *store.list_files("runs"), *(path.name for path in delivered)]
    return {file.rpartition(".")[0] for file in files}


def recorded_study(name: str, store: Store) -> RecordedStudy:
    """The study with a name out of `study_names`. Raises StoreError."""
    data = store.read(_path(name))
    path = _own_file(name, store) if data is None else Path(store.storage.location(_path(name)))
    try:
        found = load(path) if data is None else study_of(parse(data.decode("utf-8"), path))
    except UnicodeDecodeError:
        return RecordedStudy(name, None, f"{path}: not UTF-8 text")
    except StudyError as error:
        return RecordedStudy(name, None, str(error))
    if found.name != name:
        return RecordedStudy(name, None, f"{path}: is the grid of {found.name!r}")
    return RecordedStudy(name, found)


def _own_file(name: str, store: Store) -> Path:
    """The grid file, for stores of versions that recorded only its path."""
    try:
        return Path(str(json_text.parse(store.read(f"{FOLDER}/{name}.json") or b"")["grid"]))
    except (ValueError, TypeError, KeyError):
        return Path(f"{name}.yaml")


def _path(name: str) -> str:
    return f"{FOLDER}/{name}.yaml"
