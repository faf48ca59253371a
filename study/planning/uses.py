"""What studies may use of a store: also stages that an interrupted tuning or later replicates may come back to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from study.design.overrides import InvalidError
from study.design.replication import original_of
from study.design.search_space import suggested
from study.design.study import Study, Trial, expand
from study.planning import tuning_state
from study.planning.recorded_grids import recorded_study, study_names
from study.planning.state import StudyState
from study.planning.tuning_state import Tuning
from study.store.items import Item
from study.store.results import Store
from study.utils.errors import StudyError


@dataclass(frozen=True)
class Uses:
    """Keys of stages and of tunings."""

    stages: frozenset[str] = frozenset()
    tunings: frozenset[str] = frozenset()

    def __or__(self, other: "Uses") -> "Uses":
        return Uses(self.stages | other.stages, self.tunings | other.tunings)

    def has(self, item: Item) -> bool:
        """Whether the item belongs to one of them."""
        return item.key in (self.tunings if item.part == "tuning" else self.stages)


def uses_of(study: Study, store: Store, alone: bool = False) -> Uses:
    """What a study may use, with the study that it replicates, whose verdicts its report has; not with it if `alone`.

    Raises StudyError for a damaged record of a tuning, and StoreError.
    """
    state = StudyState.look(study, store)
    tunings = list(tuning_state.possible(study, store, state.contents.of))
    own = [*expand(study), *state.trials, *tuning_state.suggested_trials(tunings), *_at_tried_values(study, tunings)]
    stages = (state.contents.stages_of(trial, lambda stage: stage.key in state.stored) for trial in own)
    uses = Uses(frozenset(stage.key for each in stages for stage in each), frozenset(one.key for one in tunings))
    original = None if alone else original_of(study)
    return uses | uses_of(original, store) if original else uses


def known_uses(store: Store, given: Iterable[Study] = (), without: str = "") -> Uses:
    """What the studies that were run with a store, and the given ones, may use; not the study named `without`.

    Raises StudyError if that is unknown for one of them, and StoreError.
    """
    known, uses = list(given), Uses()
    names = {study.name for study in known}
    for name in sorted(study_names(store) - {without}):
        recorded = recorded_study(name, store)
        if recorded.study is not None:
            known.append(recorded.study)
        elif name not in names:
            raise _unknown(name, recorded.problem)
    for study in known:
        try:
            uses |= uses_of(study, store)
        except StudyError as error:
            raise _unknown(study.name, error.message) from None
    return uses


def _unknown(name: str, problem: str) -> StudyError:
    return StudyError(
        f"what the study {name!r} uses is unknown: {problem}; repair that, or remove the study with `study rm {name}`"
    )


def _at_tried_values(study: Study, tunings: list[Tuning]) -> Iterator[Trial]:
    """The replicates at the best values of each tuning; of an unfinished one, at all values that were tried."""
    trials = expand(study) if study.space is not None and not study.space.searches else []
    for tuning in tunings:
        own = [trial for trial in trials if trial.cell.name == tuning.cell.name]
        for values in (
            [tuning.best.values] if tuning.finished and tuning.best else [one.values for one in tuning.trials]
        ):
            try:
                settings = suggested(tuning.settings, tuning.parameters, values)
            except InvalidError:
                continue
            yield from (replace(trial, settings=settings) for trial in own if tuning.replicate in (0, trial.replicate))
