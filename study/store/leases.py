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
        if (latest and self._heartbeat.is_alive(self._holder(key, latest))) or not self._create(key, latest + 1):
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
        latest: dict[str, int] = {}
        for key, generation in self._list_leases():
            latest[key] = max(generation, latest.get(key, 0))
        return {key for key, generation in latest.items() if self._heartbeat.is_alive(self._holder(key, generation))}

    def _create(self, key: str, generation: int) -> bool:
        created = self._store.create(f"{STAGES}/{key}.{generation}", self._heartbeat.driver.encode())
        if created:
            self._own[key] = generation
            self._next_poll.pop(key, None)
        return created

    def _release(self, key: str) -> None:
        for generation in range(1, self._own.pop(key) + 1):  # the latest last: it holds the stage
            self._store.remove(f"{STAGES}/{key}.{generation}")

    def _list_leases(self) -> list[tuple[str, int]]:
        split = (name.rpartition(".") for name in self._store.list_files(STAGES))
        return [(key, int(generation)) for key, _, generation in split if generation.isdecimal()]

    def _generations(self, key: str) -> list[int]:
        return [generation for found, generation in self._list_leases() if found == key]

    def _holder(self, key: str, generation: int) -> str | None:
        """The driver's id; None if the lease was released in the meantime."""
        data = self._store.read(f"{STAGES}/{key}.{generation}")
        return data.decode(errors="replace") if data is not None else None

    def _remove_finished(self) -> None:
        """Remove the leases of finished stages."""
        leases = self._list_leases()
        stored = self._store.keys() if leases else frozenset()
        for key, generation in leases:
            if key in stored:
                self._store.remove(f"{STAGES}/{key}.{generation}")
