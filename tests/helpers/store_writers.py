"""Processes that write to a store at the same time. This module imports no torch, so that they start fast."""

from multiprocessing import Queue
from multiprocessing.synchronize import Event

from helpers.store_samples import STAGE

from study.design.study import load
from study.planning import failed_looks
from study.store.backends import open_storage
from study.store.results import Result, Store


def create_and_write(address: str, name: str, start: Event, succeeded: "Queue[str]") -> None:
    """Create the same file and the same folder as the other writers; put `name` into `succeeded` for the file."""
    storage = open_storage(address)
    start.wait()
    if storage.create("leases/k.1", name.encode()):
        succeeded.put(name)
    storage.write_folder("finetune/k", {"a.json": name.encode(), "b.json": name.encode() * 1000})


def save(root: str, value: float, start: Event) -> None:
    """Store a result of STAGE with this value as its metric and its weights."""
    store = Store(root)
    start.wait()
    store.save(STAGE, Result({"value": value}, {}, [], []), str(value).encode() * 100_000, {})


def record_looks(address: str, keys: list[str], start: Event) -> None:
    """Record these failed trials at 5 looks of the tiny study, one after the other."""
    study, store = load("tiny.yaml"), Store(address)
    start.wait()
    for replicates in range(1, 6):
        failed_looks.record(study, store, replicates, keys)
