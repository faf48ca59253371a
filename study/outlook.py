"""What the planned replicates can decide of each claim, at the spread of the results that are stored."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.claims import ClaimSpec, Region
from study.design import Study, Trial
from study.evidence import evidence
from study.selection import labels_by_factor
from study.stages import stages_of
from study.store import Store

if TYPE_CHECKING:
    from study.stats.contrasts import Contrast


@dataclass(frozen=True)
class Outlook:
    """One claim, and what so many replicates can say of it; differences in the metric's unit."""

    claim: ClaimSpec
    replicates: int
    sd: float | None  # of its difference over the replicates stored; None where there are none to tell it
    supported: Region | None  # true differences at which it is supported four times in five; None: at none, or no sd

    def __str__(self) -> str:
        if self.sd is None:
            return f"{self.claim.claim}: how much it varies is not known yet"
        if self.supported is None:
            return f"{self.claim.claim}: {self.replicates} replicates are too few for its margin, {self._spread}"
        return (
            f"{self.claim.claim}: {self.replicates} replicates support it four times in five if the true difference "
            f"is {_within(self.supported, self.claim.metric)}, {self._spread}"
        )

    @property
    def _spread(self) -> str:
        return f"at a spread of {_written(self.sd or 0.0, self.claim.metric).lstrip('+')} so far"


def outlooks(study: Study, trials: list[Trial], store: Store) -> list[Outlook]:
    """One per claim. Nothing is imported that takes time unless a spread is stored."""
    claims, stored = study.grid.claims, store.keys()
    done = Counter(trial.cell.name for trial in trials if stages_of(trial)[-1].key in stored)
    if not claims or max(done.values(), default=0) < 2:
        return [Outlook(claim, study.grid.most_replicates, None, None) for claim in claims]
    from study.stats.claims import contrasts_of

    data = evidence(trials, store, {claim.metric for claim in claims})
    found = contrasts_of(claims, data, labels_by_factor(study.factors))
    return list(_outlooks(study, found))


def _outlooks(study: Study, contrasts: "list[Contrast]") -> Iterator[Outlook]:
    from study.stats.claims import reachable
    from study.stats.sequential import look_schedule, look_shares

    most, alpha = study.grid.most_replicates, 0.05 / len(contrasts)
    if study.grid.adaptive:  # on the safe side: only what the last look spends
        alpha *= look_shares(look_schedule(study.grid.least_replicates, most))[-1]
    for claim, contrast in zip(study.grid.claims, contrasts, strict=True):
        _, sd = contrast.moments()
        known = sd if sd > 0 else None  # nan where there are fewer than two replicates
        yield Outlook(claim, most, known, reachable(claim.region, most, known, alpha=alpha) if known else None)


def _within(region: Region, metric: str) -> str:
    low, high = (_written(end, metric) for end in (region.low, region.high))
    if math.isfinite(region.low) and math.isfinite(region.high):
        return f"between {low} and {high}" if region.inside else f"under {low} or above {high}"
    return f"above {low}" if math.isfinite(region.low) else f"under {high}"


def _written(number: float, metric: str) -> str:
    """Accuracies in percentage points, times in seconds."""
    return f"{number:+.2f} s" if metric.endswith("_seconds") else f"{100 * number:+.2f} points"
