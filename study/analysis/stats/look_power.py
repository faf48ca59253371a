"""What each look of adaptive replicates can decide: the t that it needs, its power, and useful schedules.

A look decides its first claim if |t| exceeds the two-sided quantile at alpha * share / claims (`sequential`): with m
undecided claims, Holm's correction compares the smallest p-value with a share of 1 / m. Early looks have a small share
of alpha and few degrees of freedom, so the t that they need can be out of reach.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import stats  # type: ignore[import-untyped]

from study.analysis.stats.power import detectable_effect, paired_power
from study.analysis.stats.sequential import look_schedule, look_shares

REACHED = 0.02  # the least power of a look that is not decorative


@dataclass(frozen=True)
class LookPower:
    """One look of a schedule.

    `power` is the probability that it decides a claim whose true distance from the margin is what the last look detects
    with 80 % power: in that case most studies that can decide the claim at all wait for a later look.
    """

    replicates: int
    t: float  # |t| above which the first claim is decided
    power: float

    @property
    def is_decorative(self) -> bool:
        """Whether it practically never decides anything."""
        return self.power < REACHED

    def distance(self, sd: float) -> float:
        """How far an estimate must be from the margin to be decided, at this standard deviation of the differences."""
        return self.t * sd / math.sqrt(self.replicates)


def look_powers(least: int, most: int, claims: int, alpha: float = 0.05) -> list[LookPower]:
    """The looks of `replicates: {min: least, max: most}` with this number of claims that are judged over replicates.

    Raises StudyError for an invalid number of replicates.
    """
    schedule = look_schedule(least, most)
    levels = [alpha * share / claims for share in look_shares(schedule)]
    effect = detectable_effect(most, 1.0, alpha=levels[-1])
    return [
        LookPower(n, float(stats.t.isf(level / 2, n - 1)), paired_power(n, effect, 1.0, level))
        for n, level in zip(schedule, levels, strict=True)
    ]


def useful_schedule(least: int, most: int, claims: int, alpha: float = 0.05) -> tuple[int, int]:
    """The smallest `min` from `least` on with which no look is decorative, and `most`; equal if only the last look is
    not.
    """
    return next(_useful(least, most, claims, alpha)), most


def _useful(least: int, most: int, claims: int, alpha: float) -> Iterator[int]:
    for start in range(least, most):
        if not any(look.is_decorative for look in look_powers(start, most, claims, alpha)):
            yield start
    yield most
