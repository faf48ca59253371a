"""Which stages of a store are being run now, and by which driver. Reads only."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from study.store.heartbeats import DRIVERS, EXPIRY, Heartbeat, owner
from study.store.leases import holders
from study.store.results import Store


@dataclass(frozen=True)
class Driver:
    """A driver that is alive, as far as known."""

    host: str
    pid: str
    seconds: float  # since its last heartbeat, by this machine's clock


def running(store: Store) -> Mapping[str, Driver]:
    """The stages that live drivers hold, by key. Raises StoreError."""
    heartbeats, judge, now = store.list_files(DRIVERS), Heartbeat(store), time.time()
    live = {
        driver: Driver(*owner(store, driver), max(0.0, now - beat))
        for driver, beat in heartbeats.items()
        if abs(now - beat) <= EXPIRY and judge.is_alive(driver)
    }
    return {key: live[driver] for key, driver in holders(store).items() if driver in live}
