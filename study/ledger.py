"""Which finished stages have been delivered to which MLflow server, and as which run.

One JSON line per delivery in STORE/tracking/STUDY.jsonl, only ever appended to, so that a kill loses at most the line
being written. Delivering again what is missing here is all that resuming needs.
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

    def runs(self, server: str) -> dict[str, str]:
        """Stage key to run id, for the deliveries to one server."""
        if not self.path.is_file():
            return {}
        found: dict[str, str] = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line being written when the driver was killed: that run is delivered again
            if entry.get("server") == server:
                found[entry["key"]] = entry["run_id"]
        return found

    def add(self, server: str, stage: Stage, run_id: str) -> None:
        """Note a delivery."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"server": server, "key": stage.key, "run_id": run_id}) + "\n")


def server_of(uri: str) -> str:
    """A name for a tracking server that gives away no password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
