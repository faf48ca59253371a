"""How many replicates each cell has now, where replicates are added only while claims are undecided.

The numbers are a function of the grid and the store: every interim analysis is replayed from the results that it was
made on, and from the record of the trials that had failed then. A sweep that is stopped and started again, and a report
made later, come to the same trials.
"""

from collections import Counter
from typing import TYPE_CHECKING

from study.design.claims import Adaptive
from study.design.comparison import labels_by_factor
from study.design.study import Study, Trial
from study.planning import failed_looks
from study.planning.claim_data import claim_data
from study.planning.observed import Observations

if TYPE_CHECKING:
    from study.analysis.stats.sequential import Look


def replicates_by_cell(study: Study, rule: Adaptive, trials: list[Trial], observed: Observations) -> Counter[str]:
    """Replicates by the name of the cell. `trials`: all trials that the study may have.

    Every cell has `min` replicates until all of those have ended. After each interim analysis that the results reach,
    the cells of the claims that it leaves undecided get as many as the next one needs. A failed trial counts as ended:
    the next run retries it, and other trials do not wait for it.
    """
    replicates = Counter({cell.name: rule.min for cell in study.cells})
    if not observed.all_ended(trial for trial in trials if trial.replicate <= rule.min):
        return replicates
    names = {tuple(cell.labels.values()): cell.name for cell in study.cells}
    for look in looks_made(study, rule, trials, observed):
        replicates |= Counter({names[cell]: look.requested for cell in look.cells})  # the larger of both
    return replicates


def looks_made(study: Study, rule: Adaptive, trials: list[Trial], observed: Observations) -> "list[Look]":
    """The interim analyses that the results of these trials allow, from the state before the first one."""
    from study.analysis.stats.sequential import looks  # imports scipy, which a plan does not need before

    return looks(
        study.grid.tested_claims,
        claim_data(study, trials, observed),
        labels_by_factor(study.factors),
        rule.min,
        rule.max,
        failures=study.grid.failures,
        failed_at=failed_looks.failed_at(study, trials, observed),
    )
