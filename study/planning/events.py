"""The events of a sweep, and the interface of those that follow it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from study.design.stages import Stage


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    stage: Stage
    status: Literal["done", "failed", "stopped"]  # stopped: pruned by early stopping; no result, and no error
    error: str | None = None
    seconds: float = 0.0  # of the worker's time; 0 if it was never handed out, or its worker died
    elsewhere: bool = False  # another driver of the same store ran it
    learning_curve: tuple[Mapping[str, float], ...] = ()  # of a stopped stage: the records of its epochs
    note: str = ""  # of a failed stage: the name of the failure's record in the store

    @property
    def epochs(self) -> int:
        """The epochs that a stopped stage completed."""
        return int(self.learning_curve[-1]["epoch"]) if self.learning_curve else 0


class Listener:
    """Follows a sweep. Every method may be overridden; all are called in the driver's main thread."""

    def on_start(self, stage: Stage) -> None:
        """A worker has started the stage."""

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        """One or more epochs have ended."""

    def on_lost(self, stage: Stage, reason: str) -> None:
        """The stage's worker has died; the stage is queued again."""

    def on_done(self, outcome: Outcome) -> None:
        """The stage has ended, with any status."""


class Listeners(Listener):
    """Several listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_start(self, stage: Stage) -> None:
        for listener in self._listeners:
            listener.on_start(stage)

    def on_epochs(self, stage: Stage, rows: list[dict[str, float]]) -> None:
        for listener in self._listeners:
            listener.on_epochs(stage, rows)

    def on_lost(self, stage: Stage, reason: str) -> None:
        for listener in self._listeners:
            listener.on_lost(stage, reason)

    def on_done(self, outcome: Outcome) -> None:
        for listener in self._listeners:
            listener.on_done(outcome)
