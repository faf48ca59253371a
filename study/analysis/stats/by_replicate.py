"""A fit of each replicate by itself: its differences over replicates assume no common spread of the cells."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.estimate import Estimate
from study.analysis.stats.intervals import estimate_of
from study.analysis.stats.model import Fit, Floats, Term, Trials


class ByReplicate:
    """Least-squares fits of the same terms to the cells of each replicate."""

    def __init__(self, trials: Trials, terms: Sequence[Term]) -> None:
        self._trials, self._scale = trials, float(np.abs(trials.values_T).max())
        self._fits = [Fit(own, terms) for own in trials.by_replicate()]

    def estimates(self, weights_RP: Floats) -> list[Estimate]:
        """Of each combination of coefficients, over the replicates that determine it. Weights as for the common fit."""
        values_NR, _ = self._values(weights_RP)
        return [estimate_of(own[np.isfinite(own)], self._scale) for own in values_NR.T]

    def test(self, weights_RP: Floats) -> tuple[float, float]:
        """F and p of the hypothesis that all these differences are 0; nan with fewer than two replicates.

        Against their interaction with replicates. p has 1 and n - 1 degrees of freedom, which is exact for one
        difference and conservative for several, however the cells spread (Geisser & Greenhouse 1958, Ann. Math. Stat.
        29:885).
        """
        values_NR, covariances_NRR = self._values(weights_RP)
        known = np.isfinite(values_NR).all(axis=1)
        n, count = int(known.sum()), len(weights_RP)
        if n < 2:
            return math.nan, math.nan
        inverse_RR = np.linalg.pinv(covariances_NRR[known].mean(axis=0))
        mean_R = values_NR[known].mean(axis=0)
        left_NR = values_NR[known] - mean_R
        error = float(np.einsum("nr,rs,ns->", left_NR, inverse_RR, left_NR)) / (count * (n - 1))
        f = n * float(mean_R @ inverse_RR @ mean_R) / count / error if error > 0 else math.nan
        return f, float(stats.f.sf(f, 1, n - 1))

    def _values(self, weights_RP: Floats) -> tuple[Floats, Floats]:
        """(N, R) the combinations in each replicate, nan if not estimable; and (N, R, R) covariances."""
        own_RP = np.delete(weights_RP, np.s_[1 : self._trials.num_blocks], axis=1)  # without those of the replicates
        values = [np.where(fit.estimable(own_RP), fit.estimate(own_RP)[0], math.nan) for fit in self._fits]
        return np.array(values), np.array([fit.covariance(own_RP) for fit in self._fits])
