"""Which finished stages have been delivered to which MLflow server, and as which run.

    STORE/tracking/STUDY.jsonl               one JSON line per delivery, where the store is a folder
    STORE/tracking/STUDY/SERVER/KEY.RUN      one empty object per delivery, where it is an address: a single listing
                                             reads them all, and there is nothing that two drivers could append to

Both are only ever added to, so that a kill loses at most the delivery being written. Delivering again what is missing
here is all that resuming needs. A SQLite file is this machine's, and so are the deliveries to it.
"""

import hashlib
import json
from pathlib import Path

from study.stages import Stage
from study.store import Store


class Ledger:
    """The deliveries of one study."""

    def __init__(self, store: Store, study: str) -> None:
        self.path: Path = store.root / "tracking" / f"{study}.jsonl"
        self._store, self._study = store, study

    def runs(self, uri: str) -> dict[str, str]:
        """Stage key to run id, for the deliveries to one server. Raises StoreError."""
        if not self._in_a_file(uri):
            listed = self._store.listed(self._folder(uri))
            names = sorted(listed, key=lambda name: listed[name])
            return dict(name.split(".", 1) for name in names if "." in name)
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        deliveries = [delivery for line in lines if (delivery := _read_line(line))]
        return {key: run_id for at, key, run_id in deliveries if at == server_of(uri)}

    def add(self, uri: str, stage: Stage, run_id: str) -> None:
        """Note a delivery. Raises OSError or StoreError."""
        if not self._in_a_file(uri):
            self._store.note(f"{self._folder(uri)}/{stage.key}.{run_id}", b"")
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"server": server_of(uri), "key": stage.key, "run_id": run_id})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # on a line of its own even after one that a kill has cut short

    def _in_a_file(self, uri: str) -> bool:
        return self._store.is_folder or uri.startswith("sqlite:")

    def _folder(self, uri: str) -> str:
        return f"tracking/{self._study}/{server_of(uri)}"


def _read_line(line: str) -> tuple[str, str, str] | None:
    """Server, key and run id; None for a line that a kill has cut short: that run is delivered again."""
    try:
        entry = json.loads(line)
        return entry["server"], entry["key"], entry["run_id"]
    except (ValueError, TypeError, KeyError):
        return None


def server_of(uri: str) -> str:
    """A name for a tracking server that gives away no password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
