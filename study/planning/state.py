"""One look at the store: everything that follows from a study and its stored results at one moment.

The command line looks once before a sweep and once after each round of it, and passes the state to plan, tracking,
verification, export and report. So all of them use the same trials, and nothing is expanded twice.
"""

from dataclasses import dataclass
from functools import cached_property

from study.design.stages import Stage
from study.design.study import Study, Trial
from study.planning import tuning_state
from study.planning.contents import Contents
from study.planning.observed import Observations
from study.planning.other_data import OtherData
from study.planning.trials import requested_trials, stage_name
from study.planning.tuning_state import Tuning
from study.store.results import Store


@dataclass(frozen=True)
class StudyState:
    """A study, and what its store held when it was read. Made by `look`."""

    study: Study
    store: Store
    tunings: list[Tuning]  # of cells whose tuning can begin; empty where nothing is tuned
    trials: list[Trial]  # requested now, done or not
    observed: Observations

    @classmethod
    def look(
        cls, study: Study, store: Store, contents: Contents | None = None, accept_mixed_data: bool = False
    ) -> "StudyState":
        """Read the store once. Raises StoreError, and StudyError for a damaged record of a tuning.

        contents: of own data, if they have been read. accept_mixed_data: use results on other data, see `other_data`.
        """
        observed = Observations(store, contents, accept_mixed_data)
        tunings = tuning_state.load(study, store, observed.contents.of)
        return cls(study, store, tunings, requested_trials(study, tunings, observed), observed)

    def look_again(self) -> "StudyState":
        """The state now. Own data are not read again: their content, and so the keys, stay the same."""
        return StudyState.look(self.study, self.store, self.contents, self.observed.accept_mixed_data)

    @property
    def contents(self) -> Contents:
        """The contents of own data."""
        return self.observed.contents

    @cached_property
    def other_data(self) -> OtherData:
        """The stored stages that were trained on other data than the rest. Raises StoreError."""
        return self.observed.other_data(self.all_stages.values())

    @property
    def stored(self) -> frozenset[str]:
        """The keys of all stages that had a result, those of other studies included."""
        return self.observed.stored

    def stages_of(self, trial: Trial) -> list[Stage]:
        """The stages of a trial, in order."""
        return self.observed.stages_of(trial)

    @cached_property
    def tuning_trials(self) -> list[Trial]:
        """The tuning trials suggested so far that can be run."""
        return tuning_state.suggested_trials(self.tunings)

    @cached_property
    def stages(self) -> dict[str, Stage]:
        """The distinct stages of the requested trials by key, every parent before its children."""
        return {stage.key: stage for trial in self.trials for stage in self.stages_of(trial)}

    @cached_property
    def all_stages(self) -> dict[str, Stage]:
        """The stages of the requested trials, then those of tuning trials."""
        tuned = {stage.key: stage for trial in self.tuning_trials for stage in self.stages_of(trial)}
        return {**self.stages, **tuned}

    @cached_property
    def users(self) -> dict[str, list[Trial]]:
        """The trials that use each stage, tuning trials included, by the stage's key."""
        users: dict[str, list[Trial]] = {}
        for trial in [*self.trials, *self.tuning_trials]:
            for stage in self.stages_of(trial):
                users.setdefault(stage.key, []).append(trial)
        return users

    @cached_property
    def names(self) -> dict[str, str]:
        """A readable name of each stage, by its key."""
        return {key: stage_name(self.all_stages[key], users) for key, users in self.users.items()}


class StageNames(dict[str, str]):
    """Readable names of a sweep's stages by key, and the trials that use them, as first seen.

    A later state adds stages and renames none. A stage that tuning has suggested since is found by looking again.
    """

    def __init__(self, state: StudyState) -> None:
        super().__init__(state.names)
        self.state, self.users = state, state.users

    def add(self, state: StudyState) -> None:
        """Add the stages of a later state."""
        self.state, self.users = state, state.users | self.users
        self.update(state.names | self)

    def users_of(self, key: str) -> list[Trial]:
        """The trials that use a stage. Raises KeyError for a stage of another study."""
        if key not in self.users:
            self.add(self.state.look_again())
        return self.users[key]

    def __missing__(self, key: str) -> str:
        self.add(self.state.look_again())
        return self.get(key, key[:12])
