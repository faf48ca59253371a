"""The verdict on each claim, or what the planned replicates can decide, given the standard deviation so far."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec
from study.design.comparison import Labels, labels_by_factor, select
from study.design.metrics import Source, metric_of, unit_of
from study.design.study import Study
from study.planning.adaptive_replicates import looks_made
from study.planning.claim_data import claim_data
from study.planning.state import StudyState
from study.vit.subject import ModelSize

if TYPE_CHECKING:
    import pandas as pd

    from study.analysis.stats.contrasts import Contrast
    from study.analysis.stats.estimate import Estimate
    from study.analysis.stats.forecast import Forecast, Spread
    from study.analysis.stats.freedom import Freedom
    from study.analysis.stats.look_power import LookPower
    from study.analysis.stats.verdict_rule import Errors, Outcome


@dataclass(frozen=True)
class ClaimPower:
    """One claim, and what a number of replicates can decide of it; differences in the metric's unit."""

    claim: ClaimSpec
    replicates: int
    spread: "Spread | None" = None  # of its difference over the stored replicates; None with fewer than two
    supported: tuple[Region | None, ...] = ()  # true differences at which it is supported with 80% power, at each of
    # `spread.ends`; None: at none
    needed: "Forecast | None" = None  # replicates of a new study, if the true difference equals the estimate so far
    verdict: "Outcome | None" = None  # None while trials that it rests on are missing
    exact: float | None = None  # the difference of a claim on sizes
    freedom: "Freedom | None" = None  # of the error that the spread is that of, as chosen from the stored replicates

    @property
    def decided(self) -> bool:
        return self.verdict in ("supported", "refuted")


def claim_powers(state: StudyState, sizes: Mapping[str, ModelSize] | None = None) -> list[ClaimPower]:
    """One per claim. Those judged by arithmetic have no power. Those on sizes have a verdict if the sizes of the models
    of all cells, by cell name, are known; those on exported models have none before the report.
    """
    tested = iter(_tested_powers(state))
    return [
        next(tested) if claim.by_replicate else _exact(claim, state.study, sizes or {})
        for claim in state.study.grid.claims
    ]


def _exact(claim: ClaimSpec, study: Study, sizes: Mapping[str, ModelSize]) -> ClaimPower:
    most = study.grid.most_replicates
    if metric_of(claim.metric).source != Source.SETTINGS:
        return ClaimPower(claim, most)
    from study.analysis.stats import exact_rule  # slow to import

    cells = {tuple(cell.labels.values()): cell.name for cell in study.included}
    values = {
        labels: exact_rule.Measured(getattr(sizes[name], claim.metric))
        for labels, name in cells.items()
        if name in sizes
    }
    verdict, found = exact_rule.judge(claim, cells, values, labels_by_factor(study.factors))
    if math.isnan(found.value):
        return ClaimPower(claim, most)
    return ClaimPower(claim, most, verdict=verdict.verdict, exact=found.value)


def _tested_powers(state: StudyState) -> list[ClaimPower]:
    """Of the claims judged over replicates. Imports scipy only if a standard deviation can be estimated."""
    study, claims = state.study, state.study.grid.tested_claims
    done = Counter(trial.cell.name for trial in state.trials if state.observed.is_done(trial)) if claims else Counter()
    if max(done.values(), default=0) < 2:
        return [ClaimPower(claim, study.grid.most_replicates) for claim in claims]
    from study.analysis.stats.verdict_rule import contrasts_of, errors_of

    data, factors = claim_data(study, state.trials, state.observed), labels_by_factor(study.factors)
    contrasts = contrasts_of(claims, data, factors, study.grid.failures)
    errors = errors_of(claims, data, factors, study.grid.failures)
    return list(_claim_powers(study, contrasts, errors, _verdicts(state, data, contrasts, errors)))


def _verdicts(
    state: StudyState, data: "pd.DataFrame", contrasts: "list[Contrast[Labels]]", errors: "Errors"
) -> "Iterator[Outcome | None]":
    """Of claims whose trials have all ended, or that an interim analysis has decided; None for others."""
    from study.analysis.stats.contrasts import attempted
    from study.analysis.stats.verdict_rule import verdicts

    study = state.study
    claims, rule, factors = study.grid.tested_claims, study.grid.adaptive, labels_by_factor(study.factors)
    if rule:
        last = looks_made(study, rule, state.trials, state.observed)[-1]
        for found in last.verdicts:
            yield found.verdict if found.verdict != "undecided" or last.replicates == rule.max else None
        return
    run, cells = attempted(data, factors), [tuple(cell.labels.values()) for cell in study.included]
    judged = verdicts(claims, contrasts, errors)
    for claim, found in zip(claims, judged, strict=True):
        own = {cell for group in select(claim, factors).sets(cells, factors) for cell in group}
        replicates = range(1, study.grid.least_replicates + 1)
        yield found.verdict if all((cell, replicate) in run for cell in own for replicate in replicates) else None


def _claim_powers(
    study: Study, contrasts: "list[Contrast[Labels]]", errors: "Errors", verdicts: "Iterator[Outcome | None]"
) -> Iterator[ClaimPower]:
    from study.analysis.stats.forecast import replicates_to_decide
    from study.analysis.stats.freedom import freedom_of
    from study.analysis.stats.sequential import look_schedule, look_shares

    most, alone = study.grid.most_replicates, 0.05 / len(contrasts)
    alpha = alone
    if study.grid.adaptive:  # conservative: only the share of alpha that the last interim analysis spends
        alpha *= look_shares(look_schedule(study.grid.least_replicates, most))[-1]
    for claim, contrast, verdict in zip(study.grid.tested_claims, contrasts, verdicts, strict=True):
        found, freedom = errors[claim.metric].estimate(contrast), freedom_of(errors[claim.metric], contrast)
        spread = _spread(study, claim, found)
        supported = _supported(study, claim, found, spread, alpha, freedom) if spread else ()
        needed = replicates_to_decide(_tested(claim, found), found.mean, spread, alone, freedom) if spread else None
        yield ClaimPower(claim, most, spread, supported, needed, verdict, freedom=freedom)


def _spread(study: Study, claim: ClaimSpec, found: "Estimate") -> "Spread | None":
    """None if the SD is 0, or nan with fewer than two replicates."""
    from study.analysis.stats.forecast import Spread

    return Spread.of(found.sd, found.df, largest_difference(study, claim)) if found.sd > 0 else None


def _tested(claim: ClaimSpec, found: "Estimate") -> Region:
    """The region on the scale of the test."""
    from study.analysis.stats.share_estimate import ShareEstimate

    return found.linear(claim.region) if isinstance(found, ShareEstimate) else claim.region


def _supported(
    study: Study, claim: ClaimSpec, found: "Estimate", spread: "Spread", alpha: float, freedom: "Freedom"
) -> tuple[Region | None, ...]:
    """At each end of the spread. Differences that are larger than the metric allows count as none."""
    from study.analysis.stats.reachable import reachable_by_all
    from study.analysis.stats.share_estimate import ShareEstimate

    most, largest, region = study.grid.most_replicates, largest_difference(study, claim), _tested(claim, found)
    reached = [reachable_by_all(region, most, freedom.tests(sd, most), alpha) for sd in spread.ends]
    if isinstance(found, ShareEstimate):
        reached = [one and found.from_linear(one) for one in reached]
    return tuple(one if one and _is_possible(one, largest) else None for one in reached)


def _is_possible(region: Region, largest: float) -> bool:
    if region.inside:
        return region.low < largest and region.high > -largest
    return region.high < largest or region.low > -largest


def largest_difference(study: Study, claim: ClaimSpec) -> float:
    """The largest absolute value of a claim's difference that is possible: of accuracies 1, of their differences 2."""
    if not unit_of(claim.metric).is_share:
        return math.inf
    return sum(corner.sign for corner in select(claim, labels_by_factor(study.factors)).corners if corner.sign > 0)


def looks(study: Study) -> "list[LookPower]":
    """What each look at adaptive replicates can decide; empty for a fixed number."""
    rule = study.grid.adaptive
    if rule is None:
        return []
    from study.analysis.stats.look_power import look_powers

    return look_powers(rule.min, rule.max, len(study.grid.tested_claims), len(study.included))
