"""What is decided of each claim, or what the planned replicates can decide, at the spread of the stored results."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec
from study.design.comparison import labels_by_factor, select
from study.design.stages import stages_of
from study.design.study import Study, Trial
from study.planning.observed import evidence
from study.store.results import Store
from study.utils.text import plural

if TYPE_CHECKING:
    import pandas as pd

    from study.analysis.stats.claims import Outcome
    from study.analysis.stats.contrasts import Contrast


@dataclass(frozen=True)
class Outlook:
    """One claim, and what so many replicates can say of it; differences in the metric's unit."""

    claim: ClaimSpec
    replicates: int
    sd: float | None  # of its difference over the replicates stored; None where there are none to tell it
    supported: Region | None  # true differences at which it is supported four times in five; None: at none, or no sd
    verdict: "Outcome | None" = None  # None while trials that it rests on are still to come

    @property
    def decided(self) -> bool:
        return self.verdict in ("supported", "refuted")

    def __str__(self) -> str:
        if self.decided:
            return f"{self.claim.claim}: {self.verdict}"
        return f"{self.claim.claim}: {self._ahead}" if self.sd is not None else self.claim.claim

    @property
    def _ahead(self) -> str:
        so_far = f"{self.verdict}; " if self.verdict else ""
        if self.supported is None:
            return f"{so_far}{self.replicates} replicates are too few for its margin, {self._spread}"
        return (
            f"{so_far}{self.replicates} replicates support it four times in five if the true difference "
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
    from study.analysis.stats.claims import contrasts_of

    data = evidence(trials, store, {claim.metric for claim in claims})
    found = contrasts_of(claims, data, labels_by_factor(study.factors))
    return list(_outlooks(study, found, _verdicts(study, data, found)))


def unknown(outlooks: list[Outlook]) -> str:
    """What cannot be said yet, once for all claims of which it cannot; empty where there are none."""
    count = sum(outlook.sd is None and not outlook.decided for outlook in outlooks)
    if not count:
        return ""
    which = "these claims" if count == len(outlooks) else f"{count} of these claims"
    return f"what {plural(outlooks[0].replicates, 'replicate')} can decide of {which} is told once two are stored"


def _verdicts(study: Study, data: "pd.DataFrame", contrasts: "list[Contrast]") -> "Iterator[Outcome | None]":
    """Of claims whose trials were all run, or that a look has decided; None for others."""
    from study.analysis.stats.claims import decisive_p_values, verdicts
    from study.analysis.stats.contrasts import attempted
    from study.analysis.stats.sequential import looks

    claims, rule, factors = study.grid.claims, study.grid.adaptive, labels_by_factor(study.factors)
    if rule:
        last = looks(claims, data, factors, rule.min, rule.max)[-1]
        for found in last.verdicts:
            yield found.verdict if found.verdict != "undecided" or last.replicates == rule.max else None
        return
    run, cells = attempted(data, factors), [tuple(cell.labels.values()) for cell in study.included]
    judged = verdicts(claims, contrasts, decisive_p_values(claims, contrasts))
    for claim, found in zip(claims, judged, strict=True):
        own = {cell for group in select(claim, factors).sets(cells, factors) for cell in group}
        replicates = range(1, study.grid.least_replicates + 1)
        yield found.verdict if all((cell, replicate) in run for cell in own for replicate in replicates) else None


def _outlooks(study: Study, contrasts: "list[Contrast]", verdicts: "Iterator[Outcome | None]") -> Iterator[Outlook]:
    from study.analysis.stats.claims import reachable
    from study.analysis.stats.sequential import look_schedule, look_shares

    most, alpha = study.grid.most_replicates, 0.05 / len(contrasts)
    if study.grid.adaptive:  # on the safe side: only what the last look spends
        alpha *= look_shares(look_schedule(study.grid.least_replicates, most))[-1]
    for claim, contrast, verdict in zip(study.grid.claims, contrasts, verdicts, strict=True):
        _, sd = contrast.moments()
        known = sd if sd > 0 else None  # nan where there are fewer than two replicates
        region = reachable(claim.region, most, known, alpha=alpha) if known else None
        yield Outlook(claim, most, known, region, verdict)


def _within(region: Region, metric: str) -> str:
    low, high = (_written(end, metric) for end in (region.low, region.high))
    if math.isfinite(region.low) and math.isfinite(region.high):
        return f"between {low} and {high}" if region.inside else f"under {low} or above {high}"
    return f"above {low}" if math.isfinite(region.low) else f"under {high}"


def _written(number: float, metric: str) -> str:
    """Accuracies in percentage points, times in seconds."""
    return f"{number:+.2f} s" if metric.endswith("_seconds") else f"{100 * number:+.2f} points"
