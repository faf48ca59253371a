"""The verb `gc`: what no known study uses, and how large it is; removed on request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from study.design.study import Study
from study.planning.recorded_grids import study_names
from study.planning.uses import known_uses
from study.store.active import live_drivers
from study.store.items import Item, list_items, remove
from study.store.results import Store
from study.utils.errors import StudyError
from study.utils.escape import terminal as escape
from study.utils.formats import age, size
from study.utils.text import plural

DIGITS = 12  # of keys


@dataclass(frozen=True)
class Unused:
    """The items of a store that no known study uses, the largest first."""

    store: Store
    items: list[Item]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(item.size for item in self.items)

    def remove(self) -> None:
        """Raises StudyError while a driver runs, which may be about to use them, and StoreError."""
        if driver := next(iter(live_drivers(self.store).values()), None):
            raise StudyError(
                f"a study is run with {self.store} by process {driver.pid} on {driver.host}; wait until it has ended"
            )
        remove(self.store, self.items)

    def as_json(self, removed: bool) -> dict[str, Any]:
        rows = [
            {"kind": item.kind, "key": item.key, "bytes": item.size, "modified": _time(item.modified)}
            for item in self.items
        ]
        return {"unused": rows, "bytes": self.size, "removed": removed}


def unused(store: Store, given: Sequence[Study]) -> Unused:
    """What neither the studies that were run with a store nor the given ones use.

    Raises StudyError if what one of them uses is unknown, or no study is known, and StoreError.
    """
    items = list_items(store)
    if items and not given and not study_names(store):
        raise StudyError(f"{store} has no record of a study, so what is used is unknown; give the grids of its studies")
    uses = known_uses(store, given)
    return Unused(store, [item for item in items if not uses.has(item)])


def show(found: Unused, removed: bool, console: Console) -> None:
    """Print each item with its size and age, and the total."""
    if not found.items:
        console.print(f"nothing in {escape(str(found.store))} is unused", highlight=False)
        return
    table, now = Table(box=None, pad_edge=False, header_style="bold", show_edge=False), time.time()
    for name in ("kind", "key", "size", "age"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("size", "age") else "left")
    for item in found.items:
        table.add_row(item.kind, item.key[:DIGITS], size(item.size), age(now - item.modified))
    console.print(table)
    console.print(f"{total(found.items)}, used by no known study", highlight=False)
    console.print("removed" if removed else "nothing was removed: add --yes to remove them", highlight=False)


def total(items: Sequence[Item]) -> str:
    """As `3 stages and 2 other files, 1.21 MB`."""
    files = sum(not item.is_stage for item in items)
    stages, others = plural(len(items) - files, "stage"), f" and {plural(files, 'other file')}" if files else ""
    return f"{stages}{others}, {size(sum(item.size for item in items))}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
