"""Messages from a worker to the driver, about the stage that the worker is running."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EpochsEnded:
    """One or more epochs have ended."""

    epochs: list[dict[str, float]]  # their records
    seconds: float  # since the stage started


@dataclass(frozen=True)
class StageEnded:
    """The stage is stored, or it failed with `error`; the worker goes on to the next stage of its bundle."""

    error: str | None
    seconds: float
    origin: dict[str, Any] = field(default_factory=dict)  # of a failure: its provenance
    certain: bool = False  # whether it fails again with the same code, data and machine


@dataclass(frozen=True)
class StoreFailed:
    """The store could not be written. The stage did not fail, but no result can be kept: the worker stops."""

    error: str
    seconds: float


Message = EpochsEnded | StageEnded | StoreFailed

_TYPES: dict[str, type[Message]] = {kind.__name__: kind for kind in (EpochsEnded, StageEnded, StoreFailed)}


def encode(messages: Sequence[Message]) -> str:
    """JSON, since Tune flattens nested values of a report."""
    return json.dumps([[type(message).__name__, asdict(message)] for message in messages])


def decode(text: str) -> list[Message]:
    """The messages of `encode`."""
    return [_TYPES[name](**fields) for name, fields in json.loads(text)]
