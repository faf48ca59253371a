"""Unfinished stages in the store, so that a long one goes on where it was when it is run again.

What is put aside is a safetensors file with the course so far as JSON in its header. The store gives back what was
written or nothing; here it is held against the stage and the data that are asked for. Never trusted blindly: what
does not fit is dropped with a note, and the stage starts over.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from study.design.stages import Stage
from study.store.results import Store
from study.utils.canonical_json import canonical_json
from study.utils.provenance import source_digest
from study.vit.runner import Snapshot

SHARE = 0.01  # of a stage's time goes into putting it aside, at most
EVERY = 60.0  # seconds between two snapshots, at least: what a kill may cost


@dataclass
class Checkpoints:
    """The snapshots of one stage.

    `origin` says where this part of the stage is computed, `data` which content it is trained on. A snapshot is put
    aside `every` so many seconds at most, and so rarely that it takes less than SHARE of the time; with 0, after every
    epoch. One that cannot be written stops nothing. Afterwards `parts` tells by whom the epochs before were computed,
    `notes` what was dropped and why.
    """

    stage: Stage
    store: Store
    origin: Mapping[str, Any]
    data: str
    every: float = EVERY
    parts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self.every

    def latest(self) -> Snapshot | None:
        """Where the stage goes on from; None to begin at the beginning."""
        kept = self.store.load_checkpoint(self.stage)
        if kept.problem:
            self._note(kept.problem)
        if kept.data is None:
            return None
        try:
            said, tensors = _header(kept.data), safetensors.torch.load(kept.data)
            snapshot, parts = Snapshot(tensors, said["course"]), said["parts"]
            other = [name for name, value in self._fitting().items() if said[name] != value]
        except (SafetensorError, ValueError, KeyError) as error:
            self._drop(f"it cannot be read ({error})")
            return None
        if other:
            self._drop(f"it belongs to another {other[0]}")
            return None
        self.parts = parts
        return snapshot

    def keep(self, take: Callable[[], Snapshot]) -> None:
        """Put the stage aside, if it is time to. Raises OSError where the store cannot be written."""
        began = time.monotonic()
        if began < self._due:
            return
        snapshot = take()
        here = {**self.origin, "epochs": len(snapshot.course["history"])}
        said = self._fitting() | {"course": snapshot.course, "parts": [*self.parts, here]}
        header = {name: json.dumps(value) for name, value in said.items()}
        try:
            self.store.save_checkpoint(self.stage, safetensors.torch.save(snapshot.tensors, header))
        except OSError as error:  # it is an offer, no need: the stage goes on
            self._note(f"a checkpoint could not be written: {error.strerror}")
        ended = time.monotonic()
        self._due = ended + max(self.every, (ended - began) / SHARE) if self.every else ended

    def _fitting(self) -> dict[str, Any]:
        """What must be the same for a stage to go on as if nothing had been."""
        return {"stage": canonical_json(self.stage.identity), "data set content": self.data, "code": code()}

    def _drop(self, why: str) -> None:
        self._note(f"a checkpoint was dropped: {why}")
        self.store.delete_checkpoint(self.stage)

    def _note(self, what: str) -> None:
        if what not in self.notes:
            self.notes.append(what)


def _header(data: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file: eight bytes give the length of the JSON that follows."""
    length = int.from_bytes(data[:8], "little")
    return {name: json.loads(text) for name, text in json.loads(data[8 : 8 + length])["__metadata__"].items()}


@cache
def code() -> str:
    """The code that trains, and PyTorch's version: bit-identical results are not guaranteed between two of them."""
    return f"{source_digest('study.vit')} torch {torch.__version__}"
