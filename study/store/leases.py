"""Leases on stages, so that several drivers of one store compute each stage once.

    STORE/leases/stages/KEY.N       the driver that holds the stage, N = 1, 2, ...: a lease of a dead driver is taken
                                    over by creating the next generation, so of several drivers exactly one succeeds

Whether a driver is dead is judged by its heartbeat (`study.store.heartbeats`). If it was only suspended and continues,
the stage is computed twice at worst, and the first result is kept.
"""

import contextlib
import time
from types import TracebackType

from study.design.stages import Stage
from study.store.heartbeats import Heartbeat
from study.store.results import Store
from study.utils.errors import StudyError

POLL = {True: 1.0, False: 5.0}  # seconds between checks of another driver's lease: in a folder, in object storage

STAGES = "leases/stages"


class Leases:
    """The leases of one driver. A context manager: on exit, all leases are released."""

    def __init__(self, store: Store, heartbeat: float | None = None, expiry: float | None = None) -> None:
        self._store, self._heartbeat = store, Heartbeat(store, heartbeat, expiry)
        self._own: dict[str, int] = {}  # key -> generation
        self._next_poll: dict[str, float] = {}  # key of another driver's stage -> time.monotonic() of the next check

    def __enter__(self) -> "Leases":
        self._heartbeat.__enter__()
        self._remove_finished()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(StudyError):  # if the store is not writable, the leases expire
            for key in list(self._own):
                self._release(key)
            self._remove_finished()
        self._heartbeat.__exit__(kind, error, trace)

    def take(self, stage: Stage) -> bool:
        """Try to acquire a stage. False while another driver holds it. Raises StoreError."""
        key = stage.key
        if key in self._own:
            return True
        if time.monotonic() < self._next_poll.get(key, 0.0):
            return False
        if self._create(key, 1):
            return True
        latest = max(self._generations(key), default=0)
        if (latest and self._heartbeat.is_alive(_holder(self._store, key, latest))) or not self._create(
            key, latest + 1
        ):
            self._next_poll[key] = time.monotonic() + POLL[self._store.is_folder]
            return False
        return True

    def release(self, stage: Stage) -> None:
        """Release a stage if this driver holds it. Raises StoreError."""
        if stage.key in self._own:
            self._release(stage.key)

    def failure(self, stage: Stage) -> str | None:
        """The error of a stage that failed in another driver since this driver started. Raises StoreError."""
        failed_at = self._store.failed_at(stage)
        return self._store.failure(stage) if failed_at is not None and failed_at >= self._heartbeat.started else None

    def keys(self) -> set[str]:
        """The keys of all stages that live drivers hold. Raises StoreError."""
        return {key for key, driver in holders(self._store).items() if self._heartbeat.is_alive(driver)}

    def _create(self, key: str, generation: int) -> bool:
        created = self._store.create(f"{STAGES}/{key}.{generation}", self._heartbeat.driver.encode())
        if created:
            self._own[key] = generation
            self._next_poll.pop(key, None)
        return created

    def _release(self, key: str) -> None:
        for generation in range(1, self._own.pop(key) + 1):  # the latest last: it holds the stage
            self._store.remove(f"{STAGES}/{key}.{generation}")

    def _generations(self, key: str) -> list[int]:
        return [generation for found, generation in _list_leases(self._store) if found == key]

    def _remove_finished(self) -> None:
        """Remove the leases of finished stages."""
        leases = _list_leases(self._store)
        stored = self._store.keys() if leases else frozenset()
        for key, generation in leases:
            if key in stored:
                self._store.remove(f"{STAGES}/{key}.{generation}")


def holders(store: Store) -> dict[str, str]:
    """The driver that holds each stage, dead or alive, by the stage's key. Raises StoreError."""
    latest: dict[str, int] = {}
    for key, generation in _list_leases(store):
        latest[key] = max(generation, latest.get(key, 0))
    found = {key: _holder(store, key, generation) for key, generation in latest.items()}
    return {key: driver for key, driver in found.items() if driver is not None}


def _list_leases(store: Store) -> list[tuple[str, int]]:
    split = (name.rpartition(".") for name in store.list_files(STAGES))
    return [(key, int(generation)) for key, _, generation in split if generation.isdecimal()]


def _holder(store: Store, key: str, generation: int) -> str | None:
    """The driver's id; None if the lease was released in the meantime."""
    data = store.read(f"{STAGES}/{key}.{generation}")
    return data.decode(errors="replace") if data is not None else None
