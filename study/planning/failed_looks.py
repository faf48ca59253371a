"""The failed trials of every look at the claims, in the store: STORE/claims/STUDY/looks/N.json, N = 1, 2, ...

A look (interim analysis) is replayed from the results. A trial that had failed then may have a result now, since every
run retries it. So before a look has consequences, the keys of its failed trials are recorded, and the replay takes
these trials as failed. Entries are only added, as in `claim_registration`: of several drivers that add the same N,
exactly one succeeds, and the others go on from there.
"""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, ValidationError

from study.design.comparison import Labels
from study.design.study import Study, Trial
from study.planning.observed import Observations
from study.store.results import Store
from study.utils.errors import StudyError


class Entry(BaseModel):
    """The trials that had failed when a look was made, by the keys of their last stages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    replicates: int  # of the look
    failed: tuple[str, ...]


def failed_at(study: Study, trials: Iterable[Trial], observed: Observations) -> dict[int, set[tuple[Labels, int]]]:
    """By the replicates of a look: the recorded trials among these, as labels of the cell and replicate.

    Raises StudyError for a damaged entry, and StoreError.
    """
    entries = list(_entries(study, observed.store))
    if not entries:
        return {}
    by_key = {
        observed.stages_of(trial)[-1].key: (tuple(trial.cell.labels.values()), trial.replicate) for trial in trials
    }
    found: dict[int, set[tuple[Labels, int]]] = {}
    for entry in entries:
        found.setdefault(entry.replicates, set()).update(by_key[key] for key in entry.failed if key in by_key)
    return found


def record(study: Study, store: Store, replicates: int, keys: Iterable[str]) -> None:
    """Record that these trials had failed at the look after this number of replicates, unless that is recorded.

    Raises StudyError for a damaged entry, and StoreError.
    """
    while True:
        entries = list(_entries(study, store))
        known = {key for entry in entries if entry.replicates == replicates for key in entry.failed}
        added = sorted(set(keys) - known)
        if not added:
            return
        data = Entry(replicates=replicates, failed=tuple(added)).model_dump_json(indent=1)
        if store.create(_path(study, len(entries) + 1), f"{data}\n".encode()):
            return


def _entries(study: Study, store: Store) -> Iterator[Entry]:
    number = 1
    while (data := store.read(path := _path(study, number))) is not None:
        try:
            yield Entry.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            place = store.storage.location(path)
            raise StudyError(f"{place}, the record of a look, cannot be read ({first}); restore it") from None
        number += 1


def _path(study: Study, number: int) -> str:
    return f"claims/{study.name}/looks/{number}.json"
