"""Which stages of a store are being run now, and by which driver. Reads only."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from study.store.heartbeats import DRIVERS, EXPIRY, Heartbeat, mirrored, owner
from study.store.leases import holders
from study.store.results import Store


@dataclass(frozen=True)
class Driver:
    """A driver that is alive, as far as known."""

    host: str
    pid: str
    seconds: float  # since its last heartbeat, by this machine's clock


def live_drivers(store: Store) -> Mapping[str, Driver]:
    """The drivers that are alive, as far as known, by id. Raises StoreError."""
    heartbeats, judge, now = store.list_files(DRIVERS), Heartbeat(store), time.time()
    return {
        driver: Driver(*owner(store, driver), max(0.0, now - beat))
        for driver, beat in heartbeats.items()
        if abs(now - beat) <= EXPIRY and judge.is_alive(driver)
    }


def driver_of(study: str, store: Store) -> Driver | None:
    """A live driver that runs or delivers the study with this name; None if there is none. Raises StoreError."""
    own = (one for driver, one in live_drivers(store).items() if mirrored(store, driver) == study)
    return next(own, None)


def running(store: Store) -> Mapping[str, Driver]:
    """The stages that live drivers hold, by key. Raises StoreError."""
    live = live_drivers(store)
    return {key: live[driver] for key, driver in holders(store).items() if driver in live}
