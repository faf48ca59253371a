"""Checkpoints of unfinished stages in the store, from which an interrupted stage resumes.

A checkpoint is a safetensors file; its header holds the progress as JSON. The store verifies its checksum. A checkpoint
that is damaged, or of another stage, other data or other code, is discarded with a note, and the stage starts from the
beginning.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from study.design.stages import Stage
from study.store.code import present_code
from study.store.results import Store
from study.utils import json_text
from study.utils.canonical_json import canonical_json
from study.vit.runner import InvalidSnapshot, Snapshot, check_progress

log = logging.getLogger(__name__)

MAX_OVERHEAD = 0.01  # largest share of a stage's time that is spent on checkpoints
EVERY = 60.0  # least seconds between two checkpoints: the training time that a kill loses
UNREADABLE = (SafetensorError, InvalidSnapshot, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
PROGRESS = "course"  # the name of Snapshot.progress in checkpoint files


@dataclass
class Checkpoints:
    """The checkpoints of one stage.

    A checkpoint is written at most once in `every` seconds, and less often if writing would take more than MAX_OVERHEAD
    of the time; with `every` = 0, after every epoch. Training continues if one cannot be written.
    """

    stage: Stage
    store: Store
    origin: Mapping[str, Any]  # provenance of the epochs trained now
    data: str  # digest of the data set
    every: float = EVERY
    parts: list[dict[str, Any]] = field(default_factory=list)  # provenance of the epochs before the resume
    notes: list[str] = field(default_factory=list)  # discarded and unwritten checkpoints, with the reason

    def __post_init__(self) -> None:
        self._due = time.monotonic() + self.every

    def latest(self) -> Snapshot | None:
        """The snapshot to resume from; None to start from the beginning."""
        stored = self.store.load_checkpoint(self.stage)
        if stored.problem:
            self._note(stored.problem)
        if stored.data is None:
            return None
        try:
            metadata, tensors = _metadata(stored.data), safetensors.torch.load(stored.data)
            snapshot, parts = Snapshot(tensors, metadata[PROGRESS]), _list_of_mappings(metadata["parts"])
            check_progress(snapshot.progress, self.stage.epochs)
            different = [name for name, value in self._identity().items() if metadata[name] != value]
        except UNREADABLE as error:
            self.discard(f"it cannot be read ({error})")
            return None
        if different:
            self.discard(f"its {different[0]} differs")
            return None
        self.parts = parts
        return snapshot

    def keep(self, take: Callable[[], Snapshot]) -> None:
        """Write a checkpoint of the snapshot that `take` returns, if one is due."""
        began = time.monotonic()
        if began < self._due:
            return
        snapshot = take()
        part = {**self.origin, "epochs": len(snapshot.progress["history"])}
        metadata = self._identity() | {PROGRESS: snapshot.progress, "parts": [*self.parts, part]}
        header = {name: json.dumps(value) for name, value in metadata.items()}
        try:
            self.store.save_checkpoint(self.stage, safetensors.torch.save(snapshot.tensors, header))
        except OSError as error:  # checkpoints are optional: training continues
            self._note(f"a checkpoint could not be written: {error.strerror}")
        ended = time.monotonic()
        self._due = ended + max(self.every, (ended - began) / MAX_OVERHEAD) if self.every else ended

    def discard(self, reason: str) -> None:
        """Delete the checkpoint: the next call of `latest` returns None. The reason is logged, and noted."""
        self.parts = []
        self._note(f"a checkpoint was discarded: {reason}")
        self.store.delete_checkpoint(self.stage)

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a resumed stage to give the result of an uninterrupted one."""
        return {"stage": canonical_json(self.stage.identity), "data set content": self.data, "code": code()}

    def _note(self, text: str) -> None:
        log.warning("%s %s: %s", self.stage.kind, self.stage.key[:12], text)
        if text not in self.notes:
            self.notes.append(text)


def _metadata(data: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file: its first eight bytes are the length of the JSON header that follows."""
    length = int.from_bytes(data[:8], "little")
    return {name: json_text.parse(text) for name, text in json_text.parse(data[8 : 8 + length])["__metadata__"].items()}


def _list_of_mappings(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise ValueError("its parts are not a list of mappings")
    return value


@cache
def code() -> str:
    """The digest of the training code, and PyTorch's version: other code or versions may change the result."""
    return f"{present_code().digest} torch {torch.__version__}"
