"""Simulated studies of known truth, evaluated by the same rules as real ones and vectorised over studies.

A value is the true mean of its cell, plus an effect of the replicate's seed that all cells share, plus noise.

Shapes: S studies, N replicates, C cells, M claims.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from study.analysis.stats.adjust import holm
from study.analysis.stats.error_choice import may_pool
from study.analysis.stats.max_t import step_down_all
from study.analysis.stats.pooled_error import guarded_df, guarded_variances
from study.analysis.stats.region_test import region_p_values
from study.analysis.stats.sequential import look_schedule, look_shares
from study.design.claim_kinds.claim_kind import Region
from study.design.claims import ClaimSpec
from study.design.comparison import Factors, Labels, select

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]

SUPPORTED, UNDECIDED, REFUTED = 1, 0, -1


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.standard_normal(shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Negated standardised gamma of shape 4: skewness -1, a tail of bad runs."""
    return 2.0 - rng.gamma(4.0, 0.5, shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Standardised Student t with 5 degrees of freedom: occasional outliers."""
    return np.asarray(rng.standard_t(5, shape) / np.sqrt(5 / 3))


@dataclass(frozen=True)
class Scenario:
    """A true state and the claims about it. Means and sd share one unit; `sd` may differ between cells."""

    name: str
    factors: Factors
    means: Mapping[Labels, float]
    claims: tuple[ClaimSpec, ...]
    least: int  # replicates at the first look
    most: int  # and at the last; equal if there is only one
    sd: float | tuple[float, ...] = 1.0
    shared_sd: float = 1.0
    noise: Noise = field(default=normal)
    step: float = 0.0  # values are rounded to multiples of it: one image of the test set

    @cached_property
    def contrasts(self) -> Floats:
        """(M, C) the weights of the cells in each claim's difference, from the same selection as for real claims."""
        cells, found = list(self.means), np.zeros((len(self.claims), len(self.means)))
        for m, claim in enumerate(self.claims):
            selection = select(claim, self.factors)
            sets = selection.sets(cells, self.factors)
            for group in sets:
                for corner, cell in zip(selection.corners, group, strict=True):
                    found[m, cells.index(cell)] += corner.sign / len(sets)
        return found

    @cached_property
    def truth(self) -> Floats:
        """(M,) the true differences."""
        return np.asarray(self.contrasts @ np.array(list(self.means.values())))

    def draw(self, studies: int, rng: np.random.Generator) -> Floats:
        """(S, N, C) values of this number of studies, each run to the last look."""
        shape = (studies, self.most, len(self.means))
        shared = self.shared_sd * rng.standard_normal((studies, self.most, 1))
        values = np.array(list(self.means.values())) + shared + np.asarray(self.sd) * self.noise(rng, shape)
        return np.round(values / self.step) * self.step if self.step else values


@dataclass(frozen=True)
class Judged:
    """Verdicts of simulated studies, and the number of replicates at each decision: both (S, M)."""

    verdicts_SM: Integers
    replicates_SM: Integers


def judge_all(scenario: Scenario, values_SNC: Floats) -> Judged:
    """The verdicts of `sequential.look` after the last look of every study, and with a single look those of
    `verdict_rule.judge`; a test compares them."""
    shape = (len(values_SNC), len(scenario.claims))
    verdicts_SM = np.zeros(shape, dtype=np.int64)
    replicates_SM = np.full(shape, scenario.most)
    schedule = look_schedule(scenario.least, scenario.most)
    for n, share in zip(schedule, look_shares(schedule), strict=True):
        for open_M in np.unique(verdicts_SM == UNDECIDED, axis=0):  # studies with the same undecided claims
            studies_S = np.flatnonzero(((verdicts_SM == UNDECIDED) == open_M).all(axis=1))
            claims_M = np.flatnonzero(open_M)
            if len(claims_M):
                found_SM = _at_look(scenario, claims_M, values_SNC[studies_S, :n], 0.05 * share)
                verdicts_SM[np.ix_(studies_S, claims_M)] = found_SM
                replicates_SM[np.ix_(studies_S, claims_M)] = np.where(found_SM != UNDECIDED, n, scenario.most)
    return Judged(verdicts_SM, replicates_SM)


def _at_look(scenario: Scenario, claims_M: Integers, values_SNC: Floats, alpha: float) -> Integers:
    """(S, M) verdicts of these claims, a family of their own, at level alpha."""
    weights_MC = scenario.contrasts[claims_M]
    if scenario.most > scenario.least:  # the error is that of the cells of undecided claims
        compared_C = (weights_MC != 0).any(axis=0)
        weights_MC, values_SNC = weights_MC[:, compared_C], values_SNC[:, :, compared_C]
    regions = [scenario.claims[m].region for m in claims_M]
    verdicts_SM = np.zeros((len(values_SNC), len(regions)), dtype=np.int64)
    pooled_S = may_pool(values_SNC)
    for pooled, studies_S in ((True, pooled_S), (False, ~pooled_S)):
        if studies_S.any():
            verdicts_SM[studies_S] = _decided(regions, weights_MC, values_SNC[studies_S], pooled, alpha)
    return verdicts_SM


def _decided(regions: Sequence[Region], weights_MC: Floats, values_SNC: Floats, pooled: bool, alpha: float) -> Integers:
    """(S, M) verdicts with a pooled error and Dunnett's adjustment, or with paired errors and Holm's."""
    means_SM, errors_SM, df = estimates(weights_MC, values_SNC, pooled)
    p_SM, supports_SM = np.empty(means_SM.shape), np.empty(means_SM.shape, dtype=np.bool_)
    for m, region in enumerate(regions):
        support, refute = region_p_values(means_SM[:, m], errors_SM[:, m], df, region)
        p_SM[:, m], supports_SM[:, m] = np.minimum(support, refute), support < refute
    decided_SM = step_down_all(p_SM, weights_MC, df, alpha) if pooled else holm(p_SM) <= alpha
    return np.where(decided_SM, np.where(supports_SM, SUPPORTED, REFUTED), UNDECIDED)


def estimates(weights_MC: Floats, values_SNC: Floats, pooled: bool) -> tuple[Floats, Floats, int]:
    """(S, M) mean differences, their standard errors (nan if all differences are equal) and degrees of freedom.

    `pooled`: with the error of all cells, which `may_pool` decides study by study, else that of the paired differences.
    """
    differences_SNM = values_SNC @ weights_MC.T
    n, means_SM, sd_SM = differences_SNM.shape[1], differences_SNM.mean(axis=1), differences_SNM.std(axis=1, ddof=1)
    if pooled:
        variances_SM = np.maximum(guarded_variances(values_SNC) @ (weights_MC**2).T, sd_SM**2)
        return means_SM, np.sqrt(variances_SM / n), guarded_df(n, values_SNC.shape[2])
    varies_SM = sd_SM > 1e-9 * np.abs(differences_SNM).max(axis=1)
    return means_SM, np.where(varies_SM, sd_SM, np.nan) / np.sqrt(n), n - 1


def false_verdicts(scenario: Scenario, verdicts_SM: Integers) -> npt.NDArray[np.bool_]:
    """(S, M) which verdicts are false. If the truth is on the boundary of the region (no effect), both are."""
    wrong = np.zeros(verdicts_SM.shape, dtype=np.bool_)
    for m, (claim, truth) in enumerate(zip(scenario.claims, scenario.truth, strict=True)):
        region, verdicts = claim.region, verdicts_SM[:, m]
        holds = (region.low < truth < region.high) == region.inside
        wrong[:, m] = verdicts == (REFUTED if holds else SUPPORTED)
        if min(abs(truth - region.low), abs(truth - region.high)) < 1e-9:
            wrong[:, m] = verdicts != UNDECIDED
    return wrong


def as_results(scenario: Scenario, values_NC: Floats) -> pd.DataFrame:
    """One simulated study as input of `claims.judge` and `sequential.look`: a row per trial, metric `value`."""
    return pd.DataFrame(
        [
            {**dict(zip(scenario.factors, cell, strict=True)), "replicate": r, "value": float(values_NC[r - 1, c])}
            for c, cell in enumerate(scenario.means)
            for r in range(1, len(values_NC) + 1)
        ]
    )
