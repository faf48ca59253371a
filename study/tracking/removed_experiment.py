"""Removes the MLflow experiment of a study: for good from a database file, into MLflow's trash on a server."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.planning.study_identity import Identity, conflict
from study.store.results import Store
from study.tracking import artifact_locations, server
from study.tracking.client import Client
from study.tracking.experiment import TAG
from study.utils.errors import StudyError
from study.utils.redact import masked

if TYPE_CHECKING:
    from mlflow.entities import Experiment

SameData = Callable[[str, str], bool]


@dataclass(frozen=True)
class StudyExperiment:
    """The experiment of a study on a server or in a database file."""

    name: str
    uri: str
    store: Store
    client: Client
    found: "Experiment"

    @property
    def for_good(self) -> bool:
        """Whether `remove` leaves nothing; otherwise MLflow's trash has it, from where the next run restores it."""
        return artifact_locations.is_own(self.uri, self.store)

    def remove(self) -> None:
        """Raises StudyError."""
        with _explained(self.uri):
            if self.found.lifecycle_stage != "deleted":
                self.client.delete_experiment(self.found.experiment_id)
            if self.for_good:
                self.client.delete_for_good(self.found.experiment_id)
                shutil.rmtree(artifact_locations.folder_of(self.uri, self.store, self.name), ignore_errors=True)


def find_experiment(
    name: str, identity: Identity | None, same: SameData, uri: str, store: Store
) -> StudyExperiment | None:
    """The experiment of the study with this name and identity; None if there is none, or it is of another study.

    Raises StudyError if the server does not answer.
    """
    if not server.exists(uri):
        return None
    with _explained(uri):
        client = server.connect(uri, store)
        found = client.get_experiment_by_name(name)
    if found is None:
        return None
    experiment = StudyExperiment(name, uri, store, client, found)
    if found.lifecycle_stage == "deleted" and not experiment.for_good:
        return None
    before = Identity.recorded(found.tags.get(TAG, "").encode())
    return None if before and identity and conflict(before, identity, same) else experiment


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    try:
        yield
    except StudyError as error:
        raise StudyError(
            f"MLflow at {masked(uri)}: {error.message}; nothing was removed from the store", error.advice
        ) from None
