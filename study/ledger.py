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
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        deliveries = [delivery for line in lines if (delivery := _read_line(line))]
        return {key: run_id for at, key, run_id in deliveries if at == server}

    def add(self, server: str, stage: Stage, run_id: str) -> None:
        """Note a delivery."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"server": server, "key": stage.key, "run_id": run_id})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")  # on a line of its own even after one that a kill has cut short


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
