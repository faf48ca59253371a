"""When a study was run last: STORE/runs/NAME.json, written when a run begins to compute, and when it ends."""

import json
import socket
from dataclasses import asdict, dataclass, replace

from study.design.study import Study
from study.store.results import Store
from study.utils import json_text
from study.utils.provenance import now
from study.utils.records import from_record


@dataclass(frozen=True)
class LastRun:
    """One invocation of `run`. Times are ISO 8601, UTC."""

    began: str
    commit: str
    host: str
    ended: str = ""  # empty while it runs, and if it was killed
    exit_code: int | None = None


def begin(study: Study, store: Store, commit: str) -> LastRun:
    """Record that a run begins. Raises StoreError."""
    run = LastRun(now(), commit, socket.gethostname())
    _write(study.name, run, store)
    return run


def end(study: Study, store: Store, run: LastRun, exit_code: int) -> None:
    """Record that it has ended. Raises StoreError."""
    _write(study.name, replace(run, ended=now(), exit_code=exit_code), store)


def last_run(name: str, store: Store) -> LastRun | None:
    """The last run of the study with this name; None without a record, or if it is damaged. Raises StoreError."""
    try:
        record = json_text.parse(store.read(_path(name)) or b"null")
        return from_record(LastRun, record)
    except (ValueError, TypeError, AttributeError):
        return None


def _write(name: str, run: LastRun, store: Store) -> None:
    store.write(_path(name), json.dumps(asdict(run), indent=1).encode())


def _path(name: str) -> str:
    return f"runs/{name}.json"
