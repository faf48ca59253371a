"""What a store keeps by key: stages, failure notes, checkpoints, measurements of exported models, and tunings."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from study.store.results import Store
from study.vit.subject import STAGE_KINDS

NAMES = {"failed": "failure note", "unfinished": "checkpoint", "device": "measurement", "tuning": "tuning"}
_KEY, _RECORD = re.compile(r"([0-9a-f]{64})"), re.compile(r"([0-9a-f]{64})\.json")
PARTS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(sorted(STAGE_KINDS), _KEY),
    "failed": _RECORD,
    "unfinished": _KEY,
    "device": _RECORD,
    "tuning": _RECORD,
}


@dataclass(frozen=True)
class Item:
    """A stored stage, or one file. Files of other names than the store gives are no items."""

    part: str  # folder of the store: a kind of stage, or one of NAMES
    name: str  # in this folder
    key: str  # of the stage or tuning
    size: int  # bytes
    modified: float  # seconds, by the store's clock

    @property
    def is_stage(self) -> bool:
        """Whether it is a folder with a result."""
        return self.part in STAGE_KINDS

    @property
    def kind(self) -> str:
        """In words."""
        return NAMES.get(self.part, self.part)


def list_items(store: Store) -> list[Item]:
    """All items of a store, the largest first. Raises StoreError."""
    found = [
        Item(part, name, match[1], usage.size, usage.modified)
        for part, pattern in PARTS.items()
        for name, usage in store.usage(part).items()
        if (match := pattern.fullmatch(name))
    ]
    return sorted(found, key=lambda item: (-item.size, item.part, item.name))


def remove(store: Store, items: Iterable[Item]) -> None:
    """Remove items: files first, then stages, children before their parents. Raises StoreError."""
    for item in sorted(items, key=lambda item: (item.is_stage, item.part == "pretrain")):
        path = f"{item.part}/{item.name}"
        if item.is_stage:
            store.remove_folder(path)
        else:
            store.remove(path)
