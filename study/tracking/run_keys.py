"""Which stage an MLflow run is of, by the ledger of deliveries."""

from collections.abc import Iterable

from study.store.results import Store
from study.tracking.ledger import Ledger


def key_of_run(run_id: str, store: Store, studies: Iterable[str], uri: str) -> str | None:
    """The key of the stage whose run on a server has this id; None if no study delivered it. Raises StoreError."""
    for study in studies:
        for key, delivered in Ledger(store, study).runs(uri).items():
            if delivered == run_id:
                return key
    return None
