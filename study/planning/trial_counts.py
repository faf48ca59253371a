"""How far a study has been run, counted in trials."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from study.design.study import Trial
from study.planning.state import StudyState


@dataclass(frozen=True)
class TrialCounts:
    """The requested trials by status. A failed one has no result, and the next run retries it."""

    done: int
    failed: int
    missing: int

    @property
    def total(self) -> int:
        return self.done + self.failed + self.missing


def status_of(trial: Trial, state: StudyState) -> str:
    """done, failed or missing. A result counts whatever it was trained on. Raises StoreError."""
    if state.observed.is_done(trial):
        return "done"
    return "failed" if state.observed.has_failed(trial) else "missing"


def count_trials(state: StudyState, trials: Iterable[Trial] | None = None) -> TrialCounts:
    """The counts of these trials, or of all that are requested. Raises StoreError."""
    found = Counter(status_of(trial, state) for trial in (state.trials if trials is None else trials))
    return TrialCounts(found["done"], found["failed"], found["missing"])
