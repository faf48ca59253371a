"""Verdicts on claims: supported, refuted or undecided, with their numbers.

One rule for all kinds. A claim states that a true difference d is in a region (`study.design.claim_kinds`). The
replicates give an interval for d. The claim is *supported* if the interval is entirely inside the region, *refuted* if
it is entirely outside, and *undecided* otherwise. So a verdict can only be false if the interval does not contain d,
which happens in at most a share alpha of all studies with roughly normal results, for every kind, margin and true
difference. `shape` tests whether results are skewed, and the verdict's `condition` states it.

The p-value of a claim is the alpha at which its 1 - alpha interval just decides it. For `greater`, `less` and
`interaction` with margin 0 it is the two-sided p-value of the t-test. With a margin it is twice the p-value of the
one-sided test, and for `equivalent` twice that of the two one-sided tests (Schuirmann 1987, J. Pharmacokin. Biopharm.
15:657-680): both directions of error share alpha, whereas a textbook equivalence test uses all of alpha for one.

The test is a t-test. Claims that compare a test accuracy with a number are about other test images too: where the
predictions of all replicates on the same images are known, their error is that over replicates and images
(`share_estimate`). Without them it is that over replicates, and near 0 or 100 % they get no verdict (`near_end`).

Differences of cells have the error of all cells if their spreads allow that, else that of the paired differences, which
does not assume equal variances; `error_choice` decides once per metric. n is the number of replicates that all
cells of the claim have. If a matched set of cells has no common replicate, the claim gets no verdict: the mean over the
others is another quantity (`matched_sets`). Nor does it if replicates of its cells failed, unless the grid states how
they count (`failed`).

Several claims: the p-values are adjusted over all claims of the study, including those without results, and a claim
is decided if its adjusted p-value is at most alpha. With a pooled error the adjustment is by the largest |t| (`max_t`),
else Holm's (1979). Then the probability of any false verdict in a study, supported or refuted, is at most alpha, for
the direction too (Shaffer 1980, Ann. Statist. 8:1342-1347, proved for independent tests; `calibrate` shows it for tests
that share cells: at most 5.2 % for alpha = 5 %, and 16 to 34 % for lognormal results of which spreads differ 25-fold).
The reported interval is not adjusted for the other claims; a note marks claims that it would decide and the adjusted
p-value does not.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import pandas as pd

from study.analysis.stats import image_results
from study.analysis.stats.contrasts import Contrast, contrast, results_by_cell
from study.analysis.stats.error_choice import ErrorChoice, choose
from study.analysis.stats.estimate import Estimate
from study.analysis.stats.failed import counted, failed_by_cell
from study.analysis.stats.families import Adjustment, ErrorKind, Tested, family_of
from study.analysis.stats.forecast import Spread, would_decide
from study.analysis.stats.freedom import Freedom, freedom_of
from study.analysis.stats.share_estimate import ShareEstimate
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels, select
from study.design.failures import DEFAULT, FailureRule
from study.design.metrics import unit_of
from study.utils.text import plural

Outcome = Literal["supported", "refuted", "undecided"]
Errors = Mapping[str, ErrorChoice[Labels]]  # by metric


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim. Estimate and interval are in the metric's unit, nan if not available."""

    claim: str
    kind: str
    verdict: Outcome
    estimate: float  # mean difference (cells minus against)
    low: float  # 1 - alpha interval, not adjusted for other claims
    high: float
    p_value: float  # the alpha at which the interval just decides the claim
    p_adjusted: float  # over all claims (and looks)
    n: int  # replicates
    sets: int  # matched sets of cells that the difference is averaged over
    note: str  # why undecided, what was left out; may be empty
    error: ErrorKind = ""  # see `families`; empty without one
    df: float = math.nan  # degrees of freedom of the error, nan without one
    adjustment: str = ""  # for the other claims: Holm or Dunnett; empty without a test
    condition: str = ""  # what tests show of the conditions of the promise, see `error_choice`; empty without a test


def judge(
    claims: Sequence[ClaimSpec],
    data: pd.DataFrame,
    factors: Factors,
    alpha: float = 0.05,
    failures: FailureRule = DEFAULT,
) -> list[Verdict]:
    """A verdict on each claim, from all available replicates; see `sequential.look` for replicates added while running.

    `data` has a row per trial: a column of labels per factor, `replicate`, and a column per metric (nan for a trial
    without a result). Trials of `status` "failed", if there is such a column, count as `failures` states. `factors`
    maps each factor to its labels, the baseline's first. Raises StudyError for a claim with an unknown factor, level or
    metric, and for data without the needed columns.
    """
    contrasts = contrasts_of(claims, data, factors, failures)
    return verdicts(claims, contrasts, errors_of(claims, data, factors, failures), alpha)


def contrasts_of(
    claims: Sequence[ClaimSpec], data: pd.DataFrame, factors: Factors, failures: FailureRule = DEFAULT
) -> list[Contrast[Labels]]:
    """Each claim's difference by matched set and replicate."""
    data, failed = counted(data, failures), failed_by_cell(data, factors)
    results = {metric: results_by_cell(data, factors, metric) for metric in {claim.metric for claim in claims}}
    images = image_results.by_trial(data, factors)
    found = [contrast(select(claim, factors), results[claim.metric], factors, failed, failures) for claim in claims]
    return [_with_images(claim, one, images) for claim, one in zip(claims, found, strict=True)]


def _with_images(claim: ClaimSpec, found: Contrast[Labels], images: image_results.ByTrial) -> Contrast[Labels]:
    """A comparison of test accuracies with a number, image by image where that is known."""
    if found.lost or not isinstance(claim.against, float) or not claim.compares_accuracy_with_number:
        return found
    trials = [[(cell, replicate) for replicate in own.differences] for own in found.matched for _, cell in own.cells]
    return replace(found, shares=image_results.shares(trials, claim.against, images))


def errors_of(
    claims: Sequence[ClaimSpec],
    data: pd.DataFrame,
    factors: Factors,
    failures: FailureRule = DEFAULT,
    cells: Collection[Labels] | None = None,
) -> Errors:
    """The error of each metric in the claims, from these cells or from all that have results."""
    known = counted(data, failures)
    found = {metric: results_by_cell(known, factors, metric) for metric in {claim.metric for claim in claims}}
    return {
        metric: choose(
            {cell: values for cell, values in of_cell.items() if cells is None or cell in cells},
            unit_of(metric).is_share,
        )
        for metric, of_cell in found.items()
    }


@dataclass(frozen=True)
class Decisive:
    """The smaller of a claim's two p-values, and whether it supports the claim."""

    p_value: float
    supports: bool


UNTESTED = Decisive(math.nan, False)


def _decisive(region: Region, found: Estimate) -> Decisive:
    """nan if the replicates allow no test: fewer than 2, or all differences equal."""
    if not found.error > 0:
        return UNTESTED
    support, refute = found.region_p_values(region)
    return Decisive(min(support, refute), support < refute)


def verdicts(
    claims: Sequence[ClaimSpec],
    contrasts: Sequence[Contrast[Labels]],
    errors: Errors,
    alpha: float = 0.05,
    share: float = 1.0,
    next_look: int | None = None,
) -> list[Verdict]:
    """Verdicts, adjusted over these claims. The level of tests and intervals is `share` * alpha.

    `next_look` is the number of replicates after which the study will judge undecided claims again, if it will.
    """
    evidence = gather(claims, contrasts, errors, share)
    return [_verdict(*parts, alpha, share, len(claims), next_look) for parts in zip(claims, evidence, strict=True)]


def _p_value(region: Region, found: Estimate) -> float:
    return _decisive(region, found).p_value


@dataclass(frozen=True)
class Evidence:
    """What the verdict on a claim is computed from."""

    tested: Tested[Labels]
    supports: bool  # which of the claim's p-values is the smaller one
    p_adjusted: float  # over all claims, and divided by the look's share of alpha
    freedom: Freedom  # of the error, that of all cells or of the paired differences
    condition: str  # of the promise, by the tests of the metric's results


def gather(
    claims: Sequence[ClaimSpec], contrasts: Sequence[Contrast[Labels]], errors: Errors, share: float = 1.0
) -> list[Evidence]:
    """The one place where a claim's estimate, test and adjustment for the other claims are chosen."""
    p_values = [partial(_p_value, claim.region) for claim in claims]
    family = family_of(contrasts, [errors[claim.metric] for claim in claims], p_values)
    return [
        Evidence(
            one,
            _decisive(claim.region, one.estimate).supports,
            min(one.p_adjusted / share, 1.0),
            freedom_of(errors[claim.metric], one.contrast),
            errors[claim.metric].condition,
        )
        for claim, one in zip(claims, family, strict=True)
    ]


def _verdict(
    claim: ClaimSpec, found: Evidence, alpha: float, share: float, claims: int, next_look: int | None
) -> Verdict:
    outcome: Outcome = "undecided"
    one = found.tested
    if found.p_adjusted <= alpha:
        outcome = "supported" if found.supports else "refuted"
    notes = [one.contrast.note]
    if one.obstacle:
        notes.append(one.obstacle)
    elif outcome == "undecided" and not one.contrast.obstacle:
        alone = one.p_value <= alpha * share
        notes.append(
            _alone(claims, one.adjustment) if alone else _undecided(claim.region, found, alpha / claims, next_look)
        )
    return Verdict(
        claim.claim,
        claim.kind,
        outcome,
        one.estimate.mean,
        *one.estimate.interval(1 - alpha * share),
        one.p_value,
        found.p_adjusted,
        one.estimate.n,
        one.contrast.sets,
        "; ".join(note for note in notes if note),
        one.error,
        one.df,
        one.adjusted_by,
        found.condition,
    )


def _alone(claims: int, adjustment: Adjustment) -> str:
    return (
        f"decided by its own interval, but not after {adjustment.value}'s correction for {claims} claims"  # never one
    )


def _undecided(region: Region, evidence: Evidence, alpha: float, next_look: int | None) -> str:
    """Why, and what can decide it: the next look, or replicates of a new study at level alpha."""
    found = evidence.tested
    estimate = found.estimate
    if not found.contrast.cells:
        return "no cells of this design match in all other factors; compare other cells or change the design"
    if not found.contrast.sets:
        return "no results yet for the compared cells"
    if estimate.n < 2:
        return f"no interval: every matched comparison needs 2 common replicates, found {estimate.n}"
    if estimate.error == 0:
        return "no test: the difference is the same in all replicates (SD 0)"
    if next_look is not None:
        return f"not distinguishable at n = {estimate.n}; the next look is after {plural(next_look, 'replicate')}"
    if isinstance(estimate, ShareEstimate):
        region = estimate.linear(region)
    needed = would_decide(region, estimate.mean, Spread.of(estimate.sd, estimate.df), alpha, evidence.freedom)
    return f"not distinguishable at n = {estimate.n}: {needed}"
