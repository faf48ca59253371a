"""Which stages a driver is at work on, so that several drivers of one store compute each stage once.

    STORE/leases/drivers/DRIVER     rewritten every HEARTBEAT seconds while the driver lives; who and where it is
    STORE/leases/stages/KEY.1       the driver that has taken the stage; whoever takes it from a dead one writes KEY.2,
                                    and so on: each is created once, so of several takers one succeeds

A driver is dead once its process is known to be gone (same machine), or its heartbeat is EXPIRY seconds older than
one's own. Both times are the store's, so that clocks which differ do no harm. A driver that was only asleep and goes on
computes a stage for the second time at worst: of two results the first one stays.
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
from study.utils.errors import StudyError
from study.utils.process import current_process, has_ended

HEARTBEAT = 15.0  # seconds
EXPIRY = 120.0  # of silence: file systems may show a file's time a minute late
LOOK = {True: 1.0, False: 5.0}  # seconds between looks at what another driver holds, in a folder and at an address

DRIVERS, STAGES = "leases/drivers", "leases/stages"


class Leases:
    """One driver's leases. Use as a context manager: on leaving, all are given back."""

    def __init__(self, store: Store, heartbeat: float = HEARTBEAT, expiry: float = EXPIRY) -> None:
        self._store, self._heartbeat, self._expiry = store, heartbeat, expiry
        self._driver = uuid.uuid4().hex
        self._mine: dict[str, int] = {}  # key -> generation
        self._held: dict[str, float] = {}  # key -> when to look again, on this machine's monotonic clock
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="leases", daemon=True)

    def __enter__(self) -> "Leases":
        self._beat()
        self._began = self._store.listed(DRIVERS)[self._driver]
        self._forget_the_dead()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        with contextlib.suppress(StudyError):  # a store that cannot be written: the leases expire
            for key in list(self._mine):
                self._release(key)
            self._forget_the_dead()
            self._store.remove(f"{DRIVERS}/{self._driver}")

    def take(self, stage: Stage) -> bool:
        """Whether the stage is this driver's now; False while another one has it. Raises StoreError."""
        key = stage.key
        if key in self._mine:
            return True
        if time.monotonic() < self._held.get(key, 0.0):
            return False
        if self._create(key, 1):
            return True
        latest = max(self._generations(key), default=0)
        if (latest and self._lives(self._holder(key, latest))) or not self._create(key, latest + 1):
            self._held[key] = time.monotonic() + LOOK[self._store.is_folder]
            return False
        return True

    def release(self, stage: Stage) -> None:
        """Give a stage back, if it was taken. Raises StoreError."""
        if stage.key in self._mine:
            self._release(stage.key)

    def failure(self, stage: Stage) -> str | None:
        """The error of a stage that another driver has tried while this one was at work. Raises StoreError."""
        noted = self._store.failed_at(stage)
        return self._store.failure(stage) if noted is not None and noted >= self._began else None

    def keys(self) -> set[str]:
        """The stages that living drivers are at work on. Raises StoreError."""
        latest: dict[str, int] = {}
        for key, generation in self._listed():
            latest[key] = max(generation, latest.get(key, 0))
        return {key for key, generation in latest.items() if self._lives(self._holder(key, generation))}

    def _create(self, key: str, generation: int) -> bool:
        created = self._store.create(f"{STAGES}/{key}.{generation}", self._driver.encode())
        if created:
            self._mine[key] = generation
            self._held.pop(key, None)
        return created

    def _release(self, key: str) -> None:
        for generation in range(1, self._mine.pop(key) + 1):  # the latest last: until then the stage is held
            self._store.remove(f"{STAGES}/{key}.{generation}")

    def _listed(self) -> list[tuple[str, int]]:
        split = (name.rpartition(".") for name in self._store.listed(STAGES))
        return [(key, int(generation)) for key, _, generation in split if generation.isdecimal()]

    def _generations(self, key: str) -> list[int]:
        return [generation for found, generation in self._listed() if found == key]

    def _holder(self, key: str, generation: int) -> str | None:
        """The driver's name; None where the lease has just been given back."""
        data = self._store.noted(f"{STAGES}/{key}.{generation}")
        return data.decode(errors="replace") if data is not None else None

    def _lives(self, driver: str | None) -> bool:
        if not driver:
            return False
        beats = self._store.listed(DRIVERS)
        if driver not in beats:
            return False
        now = beats.get(self._driver, beats[driver])
        return now - beats[driver] <= self._expiry and not self._is_gone(driver)

    def _is_gone(self, driver: str) -> bool:
        """Whether the driver was a process of this machine that has ended."""
        try:
            said = json.loads(self._store.noted(f"{DRIVERS}/{driver}") or b"{}")
            return bool(said["machine"] == machine() and has_ended(said["owner"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False

    def _forget_the_dead(self) -> None:
        """Remove the heartbeats of dead drivers, and leases of stages that are stored by now."""
        for driver in self._store.listed(DRIVERS):
            if driver != self._driver and not self._lives(driver):
                self._store.remove(f"{DRIVERS}/{driver}")
        leases = self._listed()
        stored = self._store.keys() if leases else frozenset()
        for key, generation in leases:
            if key in stored:
                self._store.remove(f"{STAGES}/{key}.{generation}")

    def _beat_on(self) -> None:
        while not self._left.wait(self._heartbeat):
            with contextlib.suppress(StudyError):  # the sweep itself will say what is wrong with the store
                self._beat()

    def _beat(self) -> None:
        self._store.note(
            f"{DRIVERS}/{self._driver}", json.dumps({"machine": machine(), "owner": current_process()}).encode()
        )


@cache
def machine() -> str:
    """A name for this machine, or for this container on it, as long as it is up: names of hosts may be given twice."""
    parts = [platform.node()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):
            parts.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text().strip())
    return ":".join(parts)
