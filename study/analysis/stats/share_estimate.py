"""A mean share less a number, with an error over replicates and images: what claims against a number are judged by.

Two intervals are made: that over replicates and images, on the logit scale (`items`), and the t interval over
replicates alone. The claim has the larger of both p-values, and its interval contains both. So a verdict holds for
other seeds, for other images of the kind, and for the images of the study. It does not need results far from 0 and
100 %: there, a t-test over replicates alone is unreliable (`near_end`), and this one is as rarely false as elsewhere
(`calibrate`).

Where the share is the same in all replicates, the interval over replicates is a point.
"""

import math
from dataclasses import dataclass

from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.estimate import Estimate
from study.analysis.stats.image_results import ImageShares
from study.analysis.stats.intervals import estimate_of
from study.analysis.stats.items import Crossed, item_interval, logit_item_estimate, on_logit_scale
from study.design.claim_kinds.claim_kind import Region

_ROUNDING = 1e-12  # of sums of shares


@dataclass(frozen=True)
class ShareEstimate(Estimate):
    """The difference from the number; `error` and `df` are those over replicates and images."""

    shares: ImageShares

    @classmethod
    def of(cls, shares: ImageShares) -> "ShareEstimate":
        """The error is nan with fewer than two replicates."""
        replicates, difference = len(shares.shares_RN), float(shares.shares_RN.mean()) - shares.number
        if replicates < 2:
            return cls(difference, math.nan, 0, replicates, shares)
        crossed = on_logit_scale(shares.shares_RN)[1]
        return cls(difference, crossed.error, crossed.df, replicates, shares)

    @property
    def crossed(self) -> Crossed:
        """The mean squares of replicates and images; there must be two replicates."""
        return on_logit_scale(self.shares.shares_RN)[1]

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends of the interval that contains both, nan with one replicate."""
        low, high = item_interval(self.shares.shares_RN, level)
        return low - self.shares.number, high - self.shares.number

    def p_value(self) -> float:
        """Of the two-sided tests that the difference is 0."""
        return min(self.region_p_values(Region(0.0, math.inf)))

    def region_p_values(self, region: Region) -> tuple[float, float]:
        """The larger of those of both intervals; nan with one replicate."""
        if self.n < 2:
            return math.nan, math.nan
        shares_RN, possible = self.shares.shares_RN, self._possible(region)
        found, seeds = logit_item_estimate(shares_RN), estimate_of(shares_RN.mean(axis=1))
        on_logits = found.region_p_values(_logits(possible))
        over_replicates = seeds.region_p_values(possible) if seeds.error > 0 else _of_point(seeds.mean, possible)
        return max(on_logits[0], over_replicates[0]), max(on_logits[1], over_replicates[1])

    def _possible(self, region: Region) -> Region:
        """The region of shares. Ends below 0 or above 1 do not limit it."""
        low, high = region.low + self.shares.number, region.high + self.shares.number
        return Region(_possible_end(low), _possible_end(high), region.inside)

    def linear(self, region: Region) -> Region:
        """The region on the scale of the test, as differences near the estimate; for forecasts of its power.

        A share s becomes centre + (logit(s) - logit(centre)) centre (1 - centre), on which the error is constant.
        """
        share = on_logit_scale(self.shares.shares_RN)[0]
        logits, slope, centre = _logits(self._possible(region)), share * (1 - share), float(special.logit(share))
        low, high = (self.mean + slope * (end - centre) for end in (logits.low, logits.high))
        return Region(low, high, region.inside)

    def from_linear(self, region: Region) -> Region:
        """The inverse of `linear`."""
        share = on_logit_scale(self.shares.shares_RN)[0]
        slope, number = share * (1 - share), self.shares.number
        low, high = (
            end if math.isinf(end) else float(special.expit((end - self.mean) / slope + special.logit(share))) - number
            for end in (region.low, region.high)
        )
        return Region(low, high, region.inside)


def _logits(region: Region) -> Region:
    """A region of shares on the logit scale; without a limit at 0, 1 and beyond."""
    low, high = (float(special.logit(min(max(end, 0.0), 1.0))) for end in (region.low, region.high))
    return Region(low, high, region.inside)


def _possible_end(end: float) -> float:
    if end < -_ROUNDING:
        return -math.inf
    if end > 1 + _ROUNDING:
        return math.inf
    return min(max(end, 0.0), 1.0) if min(abs(end), abs(end - 1)) < _ROUNDING else end


def _of_point(share: float, region: Region) -> tuple[float, float]:
    """Of an interval without width: 0 if it is inside or outside, 1 if not; on an end of the region it is neither."""
    between = region.low + _ROUNDING < share < region.high - _ROUNDING
    beyond = share < region.low - _ROUNDING or share > region.high + _ROUNDING
    inside, outside = float(not between), float(not beyond)
    return (inside, outside) if region.inside else (outside, inside)
