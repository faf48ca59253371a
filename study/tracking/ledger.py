"""The deliveries to each MLflow server: stage keys, run ids and fingerprints of results; ids of failures and stops.

    STORE/tracking/STUDY.jsonl                    one JSON line per delivery, for a store in a folder
    STORE/tracking/STUDY/SERVER/KEY.RUN.RESULT    one empty object per delivery, for object storage: a single listing
                                                  reads them all, and no two drivers write to the same object
    STORE/tracking/STUDY/SERVER/ended/NAME        likewise, for a failure or stop with that id

Entries are only added, so that a killed process loses at most the entry being written. What is missing here is
delivered again. Deliveries to a SQLite file are kept on this machine, as the file is. Those to the store's own file
remain valid when the store is moved.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.design.stages import Stage
from study.store.results import Store
from study.tracking import database_file
from study.tracking.artifact_locations import is_own
from study.tracking.sqlite import path_of
from study.utils import json_text

OWN = "own"  # in place of the digest of a URI: the store's own database, wherever the store is


@dataclass(frozen=True)
class Delivery:
    """Of a stage's result."""

    run_id: str
    result: str = ""  # its fingerprint, see `Store.fingerprint`; empty in entries of earlier versions


class Ledger:
    """The deliveries of one study."""

    def __init__(self, store: Store, study: str) -> None:
        self.path: Path = store.root / "tracking" / f"{study}.jsonl"
        self._store, self._study = store, study

    def runs(self, uri: str) -> dict[str, str]:
        """Stage key to run id, for the deliveries to one server. Raises StoreError."""
        return {key: delivery.run_id for key, delivery in self.deliveries(uri).items()}

    def deliveries(self, uri: str) -> dict[str, Delivery]:
        """The latest delivery of each stage to one server, by the stage's key. Raises StoreError."""
        if not self._in_a_file(uri):
            listed = self._store.list_files(self._folder(uri))
            names = [name.split(".") for name in sorted(listed, key=lambda name: listed[name])]
            return {key: Delivery(*rest) for key, *rest in names if 1 <= len(rest) <= 2}
        entries = [entry for entry in self._entries(uri) if {"key", "run_id"} <= entry.keys()]
        return {str(one["key"]): Delivery(str(one["run_id"]), str(one.get("result", ""))) for one in entries}

    def endings(self, uri: str) -> frozenset[str]:
        """The ids of failures and stops that were delivered to a server. Raises StoreError."""
        if not self._in_a_file(uri):
            return frozenset(self._store.list_files(self._ended(uri)))
        return frozenset(str(entry["ended"]) for entry in self._entries(uri) if "ended" in entry)

    def add(self, uri: str, stage: Stage, run_id: str, result: str) -> None:
        """Record the delivery of the result with this fingerprint. Raises OSError or StoreError."""
        if not self._in_a_file(uri):
            self._store.write(f"{self._folder(uri)}/{stage.key}.{run_id}.{result}", b"")
            return
        self._append({"server": self.server(uri), "key": stage.key, "run_id": run_id, "result": result})

    def server(self, uri: str) -> str:
        """A name for a server in this store."""
        return OWN if is_own(uri, self._store) else server_of(uri)

    def add_ending(self, uri: str, name: str, run_id: str) -> None:
        """Record the delivery of a failure or a stop. Raises OSError or StoreError."""
        if not self._in_a_file(uri):
            self._store.write(f"{self._ended(uri)}/{name}", b"")
            return
        self._append({"server": self.server(uri), "ended": name, "run_id": run_id})

    def _append(self, entry: dict[str, str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{json.dumps(entry)}\n")  # starts on a new line even after a truncated one

    def _entries(self, uri: str) -> list[dict[str, Any]]:
        """The entries of one server."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        names = {self.server(uri), server_of(uri)}  # the latter: entries written before OWN
        found = [entry for line in lines if (entry := _read_line(line)).get("server") in names]
        if (path := path_of(uri)) is None or not found:
            return found
        known = database_file.known_runs(path)  # fewer after it was replaced by a new one, or by an older copy
        return [entry for entry in found if entry.get("run_id") in known]

    def _in_a_file(self, uri: str) -> bool:
        return self._store.is_folder or path_of(uri) is not None

    def _folder(self, uri: str) -> str:
        return f"tracking/{self._study}/{server_of(uri)}"

    def _ended(self, uri: str) -> str:
        return f"{self._folder(uri)}/ended"


def _read_line(line: str) -> dict[str, Any]:
    """Empty for a truncated line: its run is delivered again."""
    try:
        entry = json_text.parse(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def server_of(uri: str) -> str:
    """A name for a tracking server that does not reveal its password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
