"""The studies of a store, and what they say of its stages: which trials use one, and which stages start from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from study.design.study import Cell, Trial
from study.planning.recorded_grids import recorded_studies
from study.planning.state import StudyState
from study.store.results import Store
from study.utils.errors import StudyError


@dataclass(frozen=True)
class Use:
    """A trial that uses a stage."""

    study: str
    cell: str
    trial: str  # r2 for replicate 2, t7 for tuning trial 7

    def __str__(self) -> str:
        return f"{self.study}/{self.cell} {self.trial}"


class StoredStudies:
    """The studies that were run with a store, each looked at once. Studies whose grid cannot be used are left out."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def states(self) -> list[StudyState]:
        """Raises StoreError."""
        return list(self._states())

    def _states(self) -> Iterator[StudyState]:
        for recorded in recorded_studies(self._store):
            if recorded.study is not None:
                try:
                    yield StudyState.look(recorded.study, self._store)
                except StudyError:  # own data that are not on this machine, or a damaged record
                    continue

    def uses(self, key: str) -> list[Use]:
        """The trials that use a stage."""
        return [
            Use(state.study.name, trial.cell.name, trial.tag)
            for state in self.states
            for trial in state.users.get(key, ())
        ]

    def children(self, key: str) -> list[str]:
        """The keys of the stages that start from the weights of a stage."""
        stages = {stage.key: stage for state in self.states for stage in state.all_stages.values()}
        return [stage.key for stage in stages.values() if stage.parent is not None and stage.parent.key == key]

    def cells(self, name: str) -> Iterator[tuple[StudyState, Cell, list[Trial]]]:
        """All cells with this name, CELL or STUDY/CELL, and their requested trials."""
        for state in self.states:
            for cell in state.study.cells:
                if name in (cell.name, f"{state.study.name}/{cell.name}"):
                    yield state, cell, [trial for trial in state.trials if trial.cell.name == cell.name]
