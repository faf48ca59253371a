"""The id of a store, which stays the same when the store is moved.

STORE/store-id      a random number, written once
"""

import uuid

from study.store.results import Store

PATH = "store-id"


def store_id(store: Store) -> str:
    """The id, made at the first call. Raises StoreError."""
    found = store.read(PATH)
    if found is None:
        store.create(PATH, uuid.uuid4().hex.encode())
        found = store.read(PATH)
    return (found or b"").decode(errors="replace")
