"""Leases on stages, so that several drivers of one store compute each stage once.

    STORE/leases/drivers/DRIVER     a driver's host and process, rewritten every HEARTBEAT seconds
    STORE/leases/stages/KEY.N       the driver that holds the stage, N = 1, 2, ...: a lease of a dead driver is taken
                                    over by creating the next generation, so of several drivers exactly one succeeds

A driver counts as dead if its process has ended (same machine only), or if its heartbeat is EXPIRY seconds older than
one's own, or newer: then a clock was wrong, or the file was copied. Both times are by the store's clock, so clock skew
between machines does not matter. If a driver was only suspended and continues, the stage is computed twice at worst,
and the first result is kept.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from types import TracebackType

from study.design.stages import Stage
from study.store.results import Store
from study.utils import json_text
from study.utils.errors import StudyError
from study.utils.process import current_process, has_ended

HEARTBEAT = 15.0  # seconds
EXPIRY = 120.0  # seconds; shared file systems may report modification times up to a minute late
POLL = {True: 1.0, False: 5.0}  # seconds between checks of another driver's lease: in a folder, in object storage

DRIVERS, STAGES = "leases/drivers", "leases/stages"


class Leases:
    """The leases of one driver. A context manager: on exit, all leases are released."""

    def __init__(self, store: Store, heartbeat: float = HEARTBEAT, expiry: float = EXPIRY) -> None:
        self._store, self._heartbeat, self._expiry = store, heartbeat, expiry
        self._driver = uuid.uuid4().hex
        self._own: dict[str, int] = {}  # key -> generation
        self._next_poll: dict[str, float] = {}  # key of another driver's stage -> time.monotonic() of the next check
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._send_heartbeats, name="leases", daemon=True)

    def __enter__(self) -> "Leases":
        self._send_heartbeat()
        self._started = self._store.list_files(DRIVERS)[self._driver]
        self._remove_expired()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(StudyError):  # if the store is not writable, the leases expire
            for key in list(self._own):
                self._release(key)
            self._remove_expired()
            self._store.remove(f"{DRIVERS}/{self._driver}")

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
        if (latest and self._is_alive(self._holder(key, latest))) or not self._create(key, latest + 1):
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
        return self._store.failure(stage) if failed_at is not None and failed_at >= self._started else None

    def keys(self) -> set[str]:
        """The keys of all stages that live drivers hold. Raises StoreError."""
        latest: dict[str, int] = {}
        for key, generation in self._list_leases():
            latest[key] = max(generation, latest.get(key, 0))
        return {key for key, generation in latest.items() if self._is_alive(self._holder(key, generation))}

    def _create(self, key: str, generation: int) -> bool:
        created = self._store.create(f"{STAGES}/{key}.{generation}", self._driver.encode())
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

    def _is_alive(self, driver: str | None) -> bool:
        if not driver:
            return False
        heartbeats = self._store.list_files(DRIVERS)
        if driver not in heartbeats:
            return False
        now = heartbeats.get(self._driver, heartbeats[driver])
        return abs(now - heartbeats[driver]) <= self._expiry and not self._has_exited(driver)

    def _has_exited(self, driver: str) -> bool:
        """Whether the driver was a process on this machine that has ended."""
        try:
            record = json_text.parse(self._store.read(f"{DRIVERS}/{driver}") or b"{}")
            return bool(record["machine"] == machine() and has_ended(record["owner"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False

    def _remove_expired(self) -> None:
        """Remove the heartbeats of dead drivers and the leases of finished stages."""
        for driver in self._store.list_files(DRIVERS):
            if driver != self._driver and not self._is_alive(driver):
                self._store.remove(f"{DRIVERS}/{driver}")
        leases = self._list_leases()
        stored = self._store.keys() if leases else frozenset()
        for key, generation in leases:
            if key in stored:
                self._store.remove(f"{STAGES}/{key}.{generation}")

    def _send_heartbeats(self) -> None:
        while not self._closed.wait(self._heartbeat):
            with contextlib.suppress(StudyError):  # the sweep reports problems with the store itself
                self._send_heartbeat()

    def _send_heartbeat(self) -> None:
        self._store.write(
            f"{DRIVERS}/{self._driver}", json.dumps({"machine": machine(), "owner": current_process()}).encode()
        )


@cache
def machine() -> str:
    """An id of this machine or container until its next restart. Host names alone may not be unique."""
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            parts.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text().strip())
    return ":".join(parts)
