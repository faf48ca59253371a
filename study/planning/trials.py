"""Which trials a study wants, given what is stored of it.

Everything that looks at a study's trials asks here, so that plan, sweep, tracking and report agree.
"""

from dataclasses import replace

from study.design.stages import stages_of, users_of
from study.design.study import Study, Trial, expand
from study.planning import tuning_state
from study.planning.adaptive_replicates import replicates_by_cell
from study.store.results import Store


def wanted(study: Study, store: Store) -> list[Trial]:
    """All trials that are wanted now, replicate by replicate; more may be once these are stored.

    Where hyper-parameters are tuned, a cell's replicates are wanted once its tuning has ended, at its best values.
    """
    trials, rule = expand(study), study.grid.adaptive
    if study.space is not None and not study.space.searches:
        tunings = tuning_state.load(study, store)
        trials = _tuned(trials, tunings)
        if rule and sum(one.finished for one in tunings) < len(study.included):  # claims are judged on all cells
            return [trial for trial in trials if trial.replicate <= rule.min]
    if rule is None:
        return trials
    most = replicates_by_cell(study, rule, trials, store)
    return [trial for trial in trials if trial.replicate <= most[trial.cell.name]]


def _tuned(trials: list[Trial], tunings: list[tuning_state.Tuning]) -> list[Trial]:
    tuned = {one.cell.name: one.best_settings for one in tunings}
    settings = ((trial, tuned.get(trial.cell.name)) for trial in trials)
    return [replace(trial, settings=found) for trial, found in settings if found is not None]


def everything(study: Study, store: Store) -> list[Trial]:
    """The wanted trials, and the tuning trials suggested so far."""
    return [*wanted(study, store), *tuning_state.suggested_trials(tuning_state.load(study, store))]


class StageNames(dict[str, str]):
    """How each stage is called where people read, by its key; what a sweep comes to want is looked up then."""

    def __init__(self, study: Study, store: Store) -> None:
        super().__init__()
        self._study, self._store = study, store
        self._learn()

    def __missing__(self, key: str) -> str:
        self._learn()
        return dict.__getitem__(self, key) if key in self else key[:12]

    def _learn(self) -> None:
        users = users_of(everything(self._study, self._store))
        self.update({key: stage_name(key, trials) for key, trials in users.items() if key not in self})


def stage_name(key: str, users: list[Trial]) -> str:
    """Its kind, the cell of the trial that uses it or how many share it, and the replicate or tuning trial."""
    kind = next(stage.kind for stage in stages_of(users[0]) if stage.key == key)
    cells = {trial.cell.name for trial in users}
    cell = users[0].cell.name if len(cells) == 1 else f"for {len(cells)} cells"
    return f"{kind} {cell} {users[0].tag}"
