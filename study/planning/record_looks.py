"""Records the failed trials of the looks that a state has reached, before they are retried; see `failed_looks`."""

import itertools

from study.planning import failed_looks
from study.planning.adaptive_replicates import looks_made
from study.planning.state import StudyState


def record_failures(state: StudyState) -> None:
    """Record which trials of each interim analysis have failed, before they are retried. Raises StoreError."""
    study, rule = state.study, state.study.grid.adaptive
    failed = [trial for trial in state.trials if state.observed.has_failed(trial)] if rule else []
    if rule is None or not failed:
        return
    for before, look in itertools.pairwise(looks_made(study, rule, state.trials, state.observed)):
        keys = [
            state.stages_of(trial)[-1].key
            for trial in failed
            if tuple(trial.cell.labels.values()) in before.cells and trial.replicate <= look.replicates
        ]
        failed_looks.record(study, state.store, look.replicates, keys)
