"""How many replicates each cell wants now, where they are added only while claims are undecided.

The answer follows from the grid and the store alone: every look is replayed from the results that it was made on, so
a sweep that is stopped and started again wants the same trials, and so does a report made later.
"""

from collections import Counter

from study.design.claims import Adaptive
from study.design.comparison import labels_by_factor
from study.design.study import Study, Trial
from study.planning.observed import all_run, evidence
from study.store.results import Store


def replicates_by_cell(study: Study, rule: Adaptive, trials: list[Trial], store: Store) -> Counter[str]:
    """By the cells' names. `trials` are all that the study may have.

    Every cell wants `min` until all of those were run. After each look that the results reach, the cells of the claims
    that it leaves undecided want as many as the next look needs. A failed trial counts as run: it is tried again by
    the next run, but others do not wait for it.
    """
    wanted = Counter({cell.name: rule.min for cell in study.cells})
    if not all_run([trial for trial in trials if trial.replicate <= rule.min], store):
        return wanted
    from study.analysis.stats.sequential import (
        looks,  # needs scipy, for which a plan before the first look need not wait
    )

    factors = labels_by_factor(study.factors)
    names = {tuple(cell.labels.values()): cell.name for cell in study.cells}
    data = evidence(trials, store, {claim.metric for claim in study.grid.claims})
    for look in looks(study.grid.claims, data, factors, rule.min, rule.max):
        wanted |= Counter({names[cell]: look.wanted for cell in look.cells})  # the larger of both
    return wanted
