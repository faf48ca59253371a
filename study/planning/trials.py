"""Which trials of a study are to be run now, given its tunings and its stored results."""

from dataclasses import replace

from study.design.stages import Stage
from study.design.study import Study, Trial, expand
from study.planning.adaptive_replicates import replicates_by_cell
from study.planning.observed import Observations
from study.planning.tuning_state import Tuning


def requested_trials(study: Study, tunings: list[Tuning], observed: Observations) -> list[Trial]:
    """All trials requested now, replicate by replicate, done or not; later results may add more.

    Where hyper-parameters are tuned, a cell's replicates are added when their tuning has ended, at its best values.
    """
    trials, rule = expand(study), study.grid.adaptive
    if study.space is not None and not study.space.searches:
        trials = _at_best_values(trials, tunings)
        if rule and sum(one.finished for one in tunings) < len(study.included):  # claims are judged on all cells
            return [trial for trial in trials if trial.replicate <= rule.min]
    if rule is None:
        return trials
    most = replicates_by_cell(study, rule, trials, observed)
    return [trial for trial in trials if trial.replicate <= most[trial.cell.name]]


def _at_best_values(trials: list[Trial], tunings: list[Tuning]) -> list[Trial]:
    """The trials whose tuning has ended: that of their replicate, or the one of all replicates."""
    best = {one.name: one.best_settings for one in tunings}
    found = ((trial, best.get((trial.cell.name, trial.replicate))) for trial in trials)
    settings = ((trial, own or best.get((trial.cell.name, 0))) for trial, own in found)
    return [replace(trial, settings=found) for trial, found in settings if found is not None]


def stage_name(stage: Stage, users: list[Trial]) -> str:
    """Its kind, the cell of the trial that uses it or how many share it, and the replicate or tuning trial."""
    cells = {trial.cell.name for trial in users}
    cell = users[0].cell.name if len(cells) == 1 else f"for {len(cells)} cells"  # never one
    return f"{stage.kind} {cell} {users[0].tag}"
