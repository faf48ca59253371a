"""Which trials a study wants, given what is stored of it.

Everything that looks at a study's trials asks here, so that plan, sweep, tracking and report agree.
"""

from study.adaptive import replicates_by_cell
from study.design import Study, Trial, expand
from study.store import Store


def wanted(study: Study, store: Store) -> list[Trial]:
    """All trials that are wanted now, replicate by replicate; more may be once these are stored."""
    trials, rule = expand(study), study.grid.adaptive
    if rule is None:
        return trials
    most = replicates_by_cell(study, rule, trials, store)
    return [trial for trial in trials if trial.replicate <= most[trial.cell.name]]
