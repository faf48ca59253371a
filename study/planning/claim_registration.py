"""The history of a study's claims in its store: STORE/claims/STUDY/N.json, N = 1, 2, ..., one file per entry.

Entries are only added. Of several drivers that add the same N, exactly one succeeds; the others read its entry and go
on from there, so no entry is lost.
"""

from datetime import UTC, datetime

from pydantic import ValidationError

from study.design.comparison import labels_by_factor
from study.design.registration import Entry, registered
from study.design.study import Study
from study.planning.state import StudyState
from study.store.results import Store
from study.utils.errors import StudyError


def history(study: Study, store: Store) -> tuple[Entry, ...]:
    """All entries, the oldest first. Raises StudyError for a damaged one, and StoreError."""
    entries: list[Entry] = []
    while (data := store.read(path := _path(study, len(entries) + 1))) is not None:
        try:
            entries.append(Entry.model_validate_json(data))
        except ValidationError as error:
            first = error.errors()[0]["msg"]
            place = store.storage.location(path)
            raise StudyError(f"{place}, the record of the claims, cannot be read ({first}); restore it") from None
    return tuple(entries)


def present(state: StudyState) -> Entry:
    """The claims and replicates of the grid, and the number of results that the state has, as an entry of now."""
    study, factors = state.study, labels_by_factor(state.study.factors)
    return Entry(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        results=sum(state.observed.is_done(trial) for trial in state.trials),
        minimum=study.grid.least_replicates,
        maximum=study.grid.most_replicates,
        claims=tuple(registered(claim, factors, study.grid.failures) for claim in study.grid.claims),
    )


def register(state: StudyState) -> tuple[Entry, ...]:
    """Add an entry if the grid's claims or replicates differ from the last one. Returns the history.

    Raises StudyError for a damaged entry, and StoreError.
    """
    entry = present(state)
    while True:
        known = history(state.study, state.store)
        if known and known[-1].has_content_of(entry):
            return known
        data = f"{entry.model_dump_json(indent=1)}\n".encode()
        if state.store.create(_path(state.study, len(known) + 1), data):
            return (*known, entry)


def _path(study: Study, number: int) -> str:
    return f"claims/{study.name}/{number}.json"
