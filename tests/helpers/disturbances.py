"""What can befall a sweep (see `helpers.havoc`): kills, suspensions, partitions, a moved store, a damaged database."""

import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
from helpers import driver_on_host
from helpers.havoc import HOSTS, PATHS, Place, signal_to

from study.tracking import path_of

START = 12.0  # seconds after its start within which a driver is killed
OUTAGE = (2.0, 30.0)  # seconds; a request of the product times out after 20
BEYOND_LEASE = driver_on_host.EXPIRY + 3.0  # seconds
FULL = 15.0  # seconds, at most
DAMAGES = ("replaced", "cut", "header", "pages")  # of a database
PAGE = 4096  # bytes; of SQLite


@dataclass(frozen=True)
class Kind:
    """One kind of disturbance."""

    name: str  # as in the table
    act: Callable[[Place], None]
    times: int  # per sweep
    kills: bool = False  # with SIGKILL
    needs: Callable[[Place], bool] = lambda place: True


def kill_driver(place: Place) -> None:
    place.running().process.kill()


def kill_starting(place: Place) -> None:
    place.end_all()
    driver = place.start()
    place.sleep(place.chance.uniform(0.0, START))
    driver.process.kill()


def process_of(place: Place, name: str) -> psutil.Process:
    return place.chance.choice(place.wait_for(lambda: place.running().find(name), name))


def killing(name: str) -> Callable[[Place], None]:
    """Kill a process of a driver that has this in its command."""
    return lambda place: signal_to(process_of(place, name), signal.SIGKILL)


WORKER, RAYLET, GCS = "ray::ImplicitFunc", "raylet/raylet", "gcs/gcs_server"  # Ray names workers after their actor


def kill_server(place: Place) -> None:
    place.server.kill()
    place.server.start(wait=False)


def suspend_driver(place: Place) -> None:
    """Another driver takes over; then both run."""
    suspended = place.running()
    suspended.process.send_signal(signal.SIGSTOP)
    try:
        others = [host for host in HOSTS if host != suspended.host]
        place.start(place.chance.choice(others))
        place.sleep(BEYOND_LEASE)
        place.wait_for_epochs()
    finally:
        suspended.process.send_signal(signal.SIGCONT)


def suspend_worker(place: Place) -> None:
    worker = process_of(place, WORKER)
    signal_to(worker, signal.SIGSTOP)
    try:
        place.sleep(BEYOND_LEASE)
    finally:
        signal_to(worker, signal.SIGCONT)


def partition(mode: str, seconds: tuple[float, float] = OUTAGE) -> Callable[[Place], None]:
    """The server cannot be reached for a while."""

    def act(place: Place) -> None:
        place.line.set(mode)
        try:
            place.sleep(place.chance.uniform(*seconds))
        finally:
            place.line.set("pass")

    return act


def stop(place: Place) -> None:
    """End all drivers, killed or interrupted."""
    if place.chance.random() < 0.5:
        place.interrupt_all()
    else:
        place.end_all()


def move_store(place: Place) -> None:
    stop(place)
    place.moves += 1
    new = place.disk.folder / PATHS[place.moves % len(PATHS)]
    new.parent.mkdir(exist_ok=True)
    place.root = place.root.rename(new)


def fill_disk(place: Place) -> None:
    """For a while; a driver may end with an error."""
    place.disk.fill()
    try:
        place.sleep(place.chance.uniform(1.0, FULL))
    finally:
        place.disk.free()


def damage_database(place: Place) -> None:
    """Between two calls. A driver trains on; then the database is rebuilt."""
    place.wait_for(lambda: database_of(place).exists(), "database")
    stop(place)
    damage(database_of(place), place.chance.choice(DAMAGES), place.chance)
    place.start()
    try:
        place.wait_for_epochs(2)
    finally:
        stop(place)
        assert place.call("sync", "--rebuild") == 0, place.output()


def remove_database(place: Place) -> None:
    """Between two calls."""
    stop(place)
    for ending in ("", "-wal", "-shm"):
        Path(f"{database_of(place)}{ending}").unlink(missing_ok=True)


def database_of(place: Place) -> Path:
    path = path_of(place.uri)
    assert path is not None
    return path


def damage(path: Path, how: str, chance: random.Random) -> None:
    """In one of the ways of DAMAGES."""
    with closing(sqlite3.connect(path)) as database:  # the write-ahead log would repair some of the damage
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    match how:
        case "replaced":
            data = bytearray(b"not a database\n" * 100)
        case "cut":
            del data[len(data) // 2 :]
        case "header":
            data[:100] = chance.randbytes(100)
        case "pages":
            for start in range(PAGE, len(data), PAGE):
                data[start : start + 64] = chance.randbytes(64)
    path.write_bytes(data)


def has_server(place: Place) -> bool:
    return place.with_server


def has_database(place: Place) -> bool:
    return not place.with_server


KINDS = (
    Kind("drivers", kill_driver, 4, kills=True),
    Kind("drivers at their start", kill_starting, 6, kills=True),
    Kind("workers", killing(WORKER), 8, kills=True),
    Kind("raylets", killing(RAYLET), 2, kills=True),
    Kind("GCS servers of Ray", killing(GCS), 2, kills=True),
    Kind("MLflow servers", kill_server, 6, kills=True, needs=has_server),
    Kind("driver suspended beyond its lease, another one takes over", suspend_driver, 1),
    Kind("worker suspended", suspend_worker, 1),
    Kind("MLflow server refuses connections", partition("refuse"), 1, needs=has_server),
    Kind("MLflow server drops what is sent", partition("drop"), 1, needs=has_server),
    Kind("MLflow server stalls", partition("stall"), 1, needs=has_server),
    Kind("store moved to another path", move_store, 2),
    Kind("`mlflow.db` damaged, then rebuilt", damage_database, 1, needs=has_database),
    Kind("`mlflow.db` removed", remove_database, 1, needs=has_database),
    Kind("disk full, then freed", fill_disk, 1, needs=lambda place: place.disk.mounted),
)


def draw(place: Place) -> list[Kind]:
    """The disturbances of one sweep, in random order."""
    kinds = [kind for kind in KINDS if kind.needs(place) for _ in range(kind.times)]
    return place.chance.sample(kinds, len(kinds))
