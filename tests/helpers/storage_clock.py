"""The clock of a storage backend."""

import time

from study.store.backends import Folder, Storage


def tick(storage: Storage) -> None:
    """Wait until the next file gets a later modification time: services have a resolution of one second."""
    time.sleep(0.05 if isinstance(storage, Folder) or storage.address.startswith("memory:") else 1.1)
