"""Heartbeats: which drivers of a store are alive, wherever they run.

    STORE/leases/drivers/DRIVER     a driver's host and process, and what it mirrors; rewritten every HEARTBEAT seconds

A driver counts as dead if its process has ended (same machine only), or if its heartbeat is EXPIRY seconds older than
one's own, or newer: then a clock was wrong, or the file was copied. Both times are by the store's clock, so clock skew
between machines does not matter, nor does a host name: a requeued job may come back under another one.

Leases on stages and the MLflow mirror both use this notion of alive. A driver that was only suspended may count as dead
and continue, so both must be safe then: see `study.store.leases` and `study.tracking.stage_runs`.
"""

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from study.store.results import Store
from study.utils import json_text
from study.utils.errors import StudyError
from study.utils.process import current_process, has_ended

HEARTBEAT = 15.0  # seconds
EXPIRY = 120.0  # seconds; shared file systems may report modification times up to a minute late
POLL = 0.5  # seconds between checks for a sign of life

DRIVERS = "leases/drivers"


class Heartbeat:
    """The heartbeat of this driver, by which it judges others. A context manager: on exit, it is removed."""

    def __init__(
        self, store: Store, interval: float | None = None, expiry: float | None = None, mirror: str = ""
    ) -> None:
        """mirror: names what others have to close after this driver's death (see `mirrors`)."""
        self.driver = uuid.uuid4().hex
        self._store, self._mirror = store, mirror
        self._interval, self._expiry = interval or HEARTBEAT, expiry or EXPIRY
        self.keep = False  # whether to leave the record of this driver, as dead: its mirror is not in order
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._send()
        self.started = self._store.list_files(DRIVERS)[self.driver]
        self.remove_dead()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()
        with contextlib.suppress(StudyError):  # if the store is not writable, the heartbeat expires
            self.remove_dead()
            if self.keep:
                self._send(ended=True)
            else:
                self._store.remove(f"{DRIVERS}/{self.driver}")

    def is_alive(self, driver: str | None) -> bool:
        """Whether a driver is alive, as far as known. Raises StoreError."""
        heartbeats = self._store.list_files(DRIVERS)
        if not driver or driver not in heartbeats:
            return False
        now = heartbeats.get(self.driver, heartbeats[driver])
        return abs(now - heartbeats[driver]) <= self._expiry and not self._has_ended(driver)

    def wait_for_signs(self, drivers: Iterable[str]) -> None:
        """Wait until each driver has sent another heartbeat or counts as dead: EXPIRY seconds at most, one interval if
        all are alive. Raises StoreError."""
        before = self._store.list_files(DRIVERS)
        waiting = {driver for driver in drivers if self.is_alive(driver)}
        while waiting:
            time.sleep(POLL)
            now = self._store.list_files(DRIVERS)
            waiting = {one for one in waiting if now.get(one) == before.get(one) and self.is_alive(one)}

    def remove_dead(self) -> None:
        """Remove the heartbeats of dead drivers, except of those that mirror something. Raises StoreError."""
        for driver in self._store.list_files(DRIVERS):
            if driver != self.driver and not self.is_alive(driver) and not _record(self._store, driver).get("mirror"):
                self._store.remove(f"{DRIVERS}/{driver}")

    def forget(self, driver: str) -> None:
        """Remove the heartbeat of a dead driver whose mirror is in order. Raises StoreError."""
        self._store.remove(f"{DRIVERS}/{driver}")

    def _has_ended(self, driver: str) -> bool:
        """Whether the driver has left its record behind, or was a process on this machine that has ended."""
        record = _record(self._store, driver)
        try:
            return bool(record.get("ended") or (record["machine"] == machine() and has_ended(record["owner"])))
        except (KeyError, AttributeError):
            return False

    def _beat(self) -> None:
        while not self._closed.wait(self._interval):
            with contextlib.suppress(StudyError):  # the sweep reports problems with the store itself
                self._send()

    def _send(self, ended: bool = False) -> None:
        record = {"machine": machine(), "owner": current_process(), "mirror": self._mirror, "ended": ended}
        self._store.write(f"{DRIVERS}/{self.driver}", json.dumps(record).encode())


def mirrors(store: Store, mirror: str) -> list[str]:
    """The drivers that mirror this, or died while they did. Raises StoreError."""
    return [driver for driver in store.list_files(DRIVERS) if _record(store, driver).get("mirror") == mirror]


def mirrored(store: Store, driver: str) -> str:
    """The study that a driver mirrors; empty if it mirrors none. Raises StoreError."""
    return str(_record(store, driver).get("mirror") or "").partition(" ")[0]


def forget_mirrors(store: Store, study: str) -> None:
    """Remove the heartbeats of the dead drivers that mirrored a study, which is removed. Raises StoreError."""
    for driver in store.list_files(DRIVERS):
        if mirrored(store, driver) == study:
            store.remove(f"{DRIVERS}/{driver}")


def owner(store: Store, driver: str) -> tuple[str, str]:
    """Host and process id of a driver; empty where its record is damaged or gone. Raises StoreError."""
    host, _, rest = str(_record(store, driver).get("owner", "")).partition(":")
    return host, rest.partition(":")[0]


def _record(store: Store, driver: str) -> dict[str, Any]:
    """Empty if it is damaged, or was removed in the meantime. Raises StoreError."""
    try:
        record = json_text.parse(store.read(f"{DRIVERS}/{driver}") or b"{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


@cache
def machine() -> str:
    """An id of this machine or container until its next restart. Host names alone may not be unique."""
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            parts.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text().strip())
    return ":".join(parts)
