"""The mean over matched sets of differences by replicate: the one rule for missing results.

Within each set, the differences are averaged over the replicates that the set has, then over the sets with equal, fixed
weights. So a missing result changes only the mean of its own set: unlike an average over whatever each replicate has,
it cannot mistake the level of a set for an effect. With complete data this is the mean of one value per replicate, and
its interval is that of the paired t-test.

The standard error is robust to any correlation of the sets within a replicate. Replicate r contributes u_r = sum over
its sets s of (d_sr - mean_s) / (S n_s); the variance is m / (m - 1) times the sum of u_r^2, where m is the smallest n_s
(a sandwich estimator with replicates as clusters: Liang & Zeger 1986, Biometrika 73:13-22). Its degrees of freedom are
Satterthwaite's, 2 E^2 / Var of that sum (Bell & McCaffrey 2002, Survey Methodology 28:169-181), the smaller of those
for independent and for equal differences of the sets. Both are exact with complete data. With results missing at
random, 95% intervals cover the truth in 94.9 to 97.1% of studies (4 sets, 3 to 10 replicates, 5 to 15% missing, spreads
that differ up to fourfold, correlations up to 0.9), and the degrees of freedom m - 1 in up to 99.5%; see `calibrate`.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from study.analysis.stats.estimate import Estimate
from study.analysis.stats.intervals import Floats, estimate_of, rounded

Values = Mapping[int, float]  # by replicate


def average(sets: Sequence[Values], scale: float) -> Estimate:
    """The mean over sets, each with one replicate at least. `n` is the number of replicates of the set with fewest.

    Numbers that are 0 up to rounding, relative to `scale`, are 0. No sets: all nan.
    """
    replicates = sorted(set().union(*sets))
    values_SN = np.array([[own.get(r, math.nan) for r in replicates] for own in sets], dtype=np.float64)
    known_SN = ~np.isnan(values_SN)
    if known_SN.all():  # also without any set
        return estimate_of(values_SN.mean(axis=0) if len(sets) else np.zeros(0), scale)
    counts_S = known_SN.sum(axis=1)
    means_S = np.where(known_SN, values_SN, 0.0).sum(axis=1) / counts_S
    fewest = int(counts_S.min())
    off_SN = np.where(known_SN, values_SN - means_S[:, None], 0.0) / (len(sets) * counts_S[:, None])
    squares = float((off_SN.sum(axis=0) ** 2).sum())
    error = math.sqrt(squares * fewest / (fewest - 1)) if fewest > 1 else math.nan
    df = degrees_of_freedom(known_SN) if fewest > 1 else 0.0
    return Estimate(rounded(float(means_S.mean()), scale), rounded(error, scale), df, fewest)


def degrees_of_freedom(known_SN: npt.NDArray[np.bool_]) -> float:
    """Satterthwaite's, of the sum of squared contributions, if these sets have results of these replicates.

    The contributions are linear in the differences, u = sum over s of w_s P_s d_s, where w_s = 1 / (S n_s) and P_s
    subtracts the mean of the set's replicates. The covariance of u is the sum of w_s^2 P_s if sets are independent, and
    Q Q' with Q = sum of w_s P_s if they are equal; the degrees of freedom are trace^2 / trace of the square.
    """
    counts_S = known_SN.sum(axis=1)
    weights_S = 1 / (len(known_SN) * counts_S)
    centring_SNN = [
        np.diag(own) - np.outer(own, own) / n for own, n in zip(known_SN.astype(np.float64), counts_S, strict=True)
    ]
    equal_NN = np.tensordot(weights_S, centring_SNN, 1)
    return min(_satterthwaite(np.tensordot(weights_S**2, centring_SNN, 1)), _satterthwaite(equal_NN @ equal_NN))


def _satterthwaite(covariance_NN: Floats) -> float:
    return float(np.trace(covariance_NN) ** 2 / (covariance_NN**2).sum())
