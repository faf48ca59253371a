"""Verdicts on claims: supported, refuted or undecided, with their numbers.

One rule for all kinds. A claim speaks of a true difference d and says that it lies in a region (`study.design.claims`).
From the replicates comes an interval for d. The claim is *supported* when the interval lies wholly in the region,
*refuted* when it lies wholly outside, and *undecided* otherwise. So a verdict can only be wrong if the interval misses
d, which happens to at most alpha of all studies, whatever the kind, the margin and the truth.

The p-value of a claim is the alpha at which its 1 - alpha interval just decides it. For `greater`, `less` and
`interaction` with margin 0 it is the two-sided p-value of the t-test. For margins it is twice the p-value of the
one-sided test, and for `equivalent` twice that of the two one-sided tests (Schuirmann 1987, J. Pharmacokin. Biopharm.
15:657-680): both directions of error share alpha, where a textbook test of equivalence alone spends alpha on one.

Several claims: the p-values are Holm-adjusted over all claims of the study, those without results included, and a
claim is decided where its adjusted p-value is at most alpha. Then any false verdict in a study, supported or
refuted, has chance alpha at most (Holm 1979; Shaffer 1980, Ann. Statist. 8:1342-1347, for the direction, proved for
independent tests; `calibrate` shows it for tests that share cells). The interval shown is the claim's own, not
adjusted for the others: where it decides and the adjusted p-value does not, the note says so.

The t-test is of the differences within replicates. It needs no equal spread in all cells, and its n is the number of
replicates that all of the claim's cells have.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats  # type: ignore[import-untyped]

from study.analysis.stats.adjust import holm
from study.analysis.stats.contrasts import Contrast, contrast, results_by_cell
from study.analysis.stats.power import detectable_effect, inside_power, needed_replicates
from study.design.claims import ClaimSpec, Region
from study.design.comparison import Factors, select
from study.utils.text import plural

Floats = npt.NDArray[np.float64]
Outcome = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """What the results say of a claim. Estimate and interval are in the metric's unit, nan where there is none."""

    claim: str
    kind: str
    verdict: Outcome
    estimate: float  # mean difference (cells minus against)
    low: float  # 1 - alpha interval of this claim alone
    high: float
    p_value: float  # the alpha at which the interval just decides the claim
    p_adjusted: float  # over all claims (and looks)
    n: int  # replicates
    sets: int  # matched sets of cells that the difference is averaged over
    note: str  # why undecided, what was left out; empty where there is nothing to say


def judge(claims: Sequence[ClaimSpec], data: pd.DataFrame, factors: Factors, alpha: float = 0.05) -> list[Verdict]:
    """A verdict on each claim, from all replicates there are; see `sequential.look` for replicates added on the way.

    `data` has a row per trial: a column of labels per factor, `replicate`, and a column per metric (nan where a trial
    has no result). `factors` maps each factor to its labels, the baseline's first. Raises StudyError for a claim
    that names what the study does not have, and for data without the needed columns.
    """
    contrasts = contrasts_of(claims, data, factors)
    return verdicts(claims, contrasts, decisive_p_values(claims, contrasts), alpha)


def contrasts_of(claims: Sequence[ClaimSpec], data: pd.DataFrame, factors: Factors) -> list[Contrast]:
    """Each claim's difference by replicate."""
    results = {metric: results_by_cell(data, factors, metric) for metric in {claim.metric for claim in claims}}
    return [contrast(select(claim, factors), results[claim.metric], factors) for claim in claims]


def region_p_values(
    mean: npt.ArrayLike, error: npt.ArrayLike, df: npt.ArrayLike, region: Region
) -> tuple[Floats, Floats]:
    """Two p-values, of mean's shape: the alphas at which the 1 - alpha interval just lies in the region, and outside.

    `error` is the mean's standard error with `df` degrees of freedom. Each is at most 1, and at most one is under 1.
    """
    centre, spread = np.asarray(mean, dtype=np.float64), np.asarray(error, dtype=np.float64)
    above_low, above_high = (centre - region.low) / spread, (centre - region.high) / spread
    between = np.maximum(stats.t.sf(above_low, df), stats.t.cdf(above_high, df))
    beyond = np.minimum(stats.t.cdf(above_low, df), stats.t.sf(above_high, df))
    between, beyond = np.minimum(2 * between, 1.0), np.minimum(2 * beyond, 1.0)
    return (between, beyond) if region.inside else (beyond, between)


def reachable(region: Region, n: int, sd: float, power: float = 0.8, alpha: float = 0.05) -> Region | None:
    """The true differences at which n replicates support a claim with the wanted power, None where there are none.

    `sd` is the standard deviation of the claim's difference over replicates, above 0. Several claims: give each its
    part of alpha.
    """
    beyond = detectable_effect(n, sd, power, alpha)
    if math.isnan(beyond):
        return None
    if not region.inside:
        return Region(region.low - beyond, region.high + beyond, inside=False)
    if math.isinf(region.low) or math.isinf(region.high):
        return Region(region.low + beyond, region.high - beyond)
    centre, half = (region.low + region.high) / 2, (region.high - region.low) / 2

    def missing(off: float) -> float:
        return inside_power(n, centre + off, sd, region.low, region.high, alpha) - power

    if missing(0.0) < 0:
        return None
    reach = float(optimize.brentq(missing, 0.0, half))
    return Region(centre - reach, centre + reach)


@dataclass(frozen=True)
class Decisive:
    """The smaller of a claim's two p-values, and which way it points."""

    p_value: float
    supports: bool


def decisive_p_values(claims: Sequence[ClaimSpec], contrasts: Sequence[Contrast]) -> list[Decisive]:
    """For each claim; nan where its replicates give no test (fewer than 2, or all differences equal)."""
    return [_decisive(claim.region, found) for claim, found in zip(claims, contrasts, strict=True)]


def _decisive(region: Region, found: Contrast) -> Decisive:
    mean, sd = found.moments()
    if not sd > 0:
        return Decisive(math.nan, False)
    support, refute = region_p_values(mean, sd / math.sqrt(found.n), found.n - 1, region)
    return Decisive(float(min(support, refute)), bool(support < refute))


def verdicts(
    claims: Sequence[ClaimSpec],
    contrasts: Sequence[Contrast],
    decisive: Sequence[Decisive],
    alpha: float = 0.05,
    share: float = 1.0,
) -> list[Verdict]:
    """Verdicts from p-values, adjusted over these claims. `share` of alpha is this look's; its interval widens so."""
    adjusted = holm([found.p_value / share for found in decisive])
    return [
        _verdict(*parts, alpha, share, len(claims)) for parts in zip(claims, contrasts, decisive, adjusted, strict=True)
    ]


def _verdict(
    claim: ClaimSpec, found: Contrast, decisive: Decisive, p_adjusted: float, alpha: float, share: float, claims: int
) -> Verdict:
    outcome: Outcome = "undecided"
    if p_adjusted <= alpha:
        outcome = "supported" if decisive.supports else "refuted"
    mean, sd = found.moments()
    half = float(stats.t.isf(alpha * share / 2, found.n - 1)) * sd / math.sqrt(found.n) if found.n > 1 else math.nan
    notes = [_lack(found)]
    if outcome == "undecided":
        alone = decisive.p_value <= alpha * share
        notes.append(_alone(claims) if alone else _undecided(claim.region, found, alpha * share / claims))
    return Verdict(
        claim.claim,
        claim.kind,
        outcome,
        mean,
        mean - half,
        mean + half,
        decisive.p_value,
        float(p_adjusted),
        found.n,
        found.sets,
        "; ".join(note for note in notes if note),
    )


def _lack(found: Contrast) -> str:
    if found.lacking and found.sets:
        return f"{found.lacking} of {found.lacking + found.sets} matched comparisons have no results and are left out"
    return ""


def _alone(claims: int) -> str:
    return f"its own interval would decide it, but not among {claims} claims (Holm)"


def _undecided(region: Region, found: Contrast, alpha: float) -> str:
    """Why, and how many replicates would decide it at level alpha if the difference is what it seems to be."""
    if not found.cells:
        return "no cells of this design are matched in all other factors; compare others, or change the design"
    if not found.sets:
        return "no results yet for the cells it compares"
    mean, sd = found.moments()
    if found.n < 2:
        return f"{plural(found.n, 'replicate')} in common, and so no interval; at least 2 are needed"
    if sd == 0:
        return "all replicates differ by exactly the same amount: without spread there is no test"
    distance = min(abs(mean - end) for end in (region.low, region.high) if math.isfinite(end))
    needed = needed_replicates(distance, sd, alpha=alpha, most=1_000)
    count = f"about {needed}" if needed else "more than 1,000"
    return (
        f"not distinguishable at n = {found.n}: {count} replicates would decide this claim four times in five, if the "
        "true difference is as estimated"
    )


def verdict_table(found: Sequence[Verdict]) -> pd.DataFrame:
    """One row per claim, columns as the fields of Verdict."""
    columns = list(Verdict.__dataclass_fields__)
    return pd.DataFrame([asdict(verdict) for verdict in found], columns=columns)
