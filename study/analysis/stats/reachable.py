"""The true differences at which a number of replicates supports a claim with a given power."""

import math
from collections.abc import Sequence

from scipy import optimize  # type: ignore[import-untyped]

from study.analysis.stats.freedom import SdAndDf
from study.analysis.stats.power import detectable_effect, inside_power
from study.design.claim_kinds.claim_kind import Region


def reachable_by_all(region: Region, n: int, tests: Sequence[SdAndDf], alpha: float = 0.05) -> Region | None:
    """Where each of these tests has 80 % power; None if there are none."""
    found = [reachable(region, n, sd, alpha=alpha, df=df) for sd, df in tests]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    if not region.inside:
        return Region(min(one.low for one in known), max(one.high for one in known), inside=False)
    low, high = max(one.low for one in known), min(one.high for one in known)
    return Region(low, high) if low <= high else None


def reachable(
    region: Region, n: int, sd: float, power: float = 0.8, alpha: float = 0.05, df: float | None = None
) -> Region | None:
    """The true differences at which n replicates support a claim with the given power; None if there are none.

    `sd` is the standard deviation of the claim's difference over replicates, above 0. Divide alpha by the number of
    claims. `df` are the degrees of freedom of the error, those of the paired test unless given.
    """
    beyond = detectable_effect(n, sd, power, alpha, df)
    if math.isnan(beyond):
        return None
    if not region.inside:
        return Region(region.low - beyond, region.high + beyond, inside=False)
    if math.isinf(region.low) or math.isinf(region.high):
        return Region(region.low + beyond, region.high - beyond)
    centre, half = (region.low + region.high) / 2, (region.high - region.low) / 2

    def missing(off: float) -> float:
        return inside_power(n, centre + off, sd, region.low, region.high, alpha, df) - power

    if missing(0.0) < 0:
        return None
    reach = float(optimize.brentq(missing, 0.0, half))
    return Region(centre - reach, centre + reach)
