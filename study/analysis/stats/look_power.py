"""What each look of adaptive replicates can decide: the t that it needs, its power, and useful schedules.

A look decides its first claim if |t| exceeds the two-sided quantile at alpha * share / claims (`sequential`): with m
undecided claims, Holm's correction compares the smallest p-value with a share of 1 / m. Early looks have a small share
of alpha and few degrees of freedom, so the t that they need can be out of reach.

The degrees of freedom are those of the paired test, or more where the error of all cells may be pooled (`error_choice`,
which depends on the results). Claims with a pooled error can have a smaller adjustment than Holm's (`max_t`), so their
t is an upper bound.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import optimize, stats  # type: ignore[import-untyped]

from study.analysis.stats.freedom import PAIRED, Freedom
from study.analysis.stats.sequential import look_schedule, look_shares

REACHED = 0.02  # the least power of a look that is not decorative
_TRIED = 100  # values of `min` up to `max`, so that a large `max` takes no longer


@dataclass(frozen=True)
class LookPower:
    """One look of a schedule.

    `power` is the probability that it decides a claim whose true distance from the margin is what the last look detects
    with 80 % power: in that case most studies that can decide the claim at all wait for a later look.
    """

    replicates: int
    t: float  # |t| of the paired test above which the first claim is decided
    t_pooled: float  # the same with the error of all cells, at most; equal if this look cannot pool it
    power: float  # of the more powerful of both
    level: float  # of the first decision

    @property
    def is_decorative(self) -> bool:
        """Whether it practically never decides anything."""
        return self.power < REACHED

    def distance(self, sd: float, freedom: Freedom) -> float:
        """How far an estimate must be from the margin, at this SD of the differences."""
        tests = freedom.tests(sd, self.replicates)
        return max(_critical(df, self.level) * own for own, df in tests) / math.sqrt(self.replicates)


def look_powers(least: int, most: int, claims: int, cells: int = 2, alpha: float = 0.05) -> list[LookPower]:
    """The looks of `replicates: {min: least, max: most}` with this number of claims that are judged over replicates.

    Raises StudyError for an invalid number of replicates.
    """
    schedule = look_schedule(least, most)
    levels = [alpha * share / claims for share in look_shares(schedule)]

    pooled = Freedom(cells)
    effects = {df: _effect(most, df(most), levels[-1]) for df in (PAIRED, pooled)}
    return [
        LookPower(
            n,
            _critical(PAIRED(n), level),
            _critical(pooled(n), level),
            max(_power(n, df(n), effect, level) for df, effect in effects.items()),
            level,
        )
        for n, level in zip(schedule, levels, strict=True)
    ]


def useful_schedule(least: int, most: int, claims: int, cells: int = 2, alpha: float = 0.05) -> tuple[int, int]:
    """The smallest `min` from `least` on with which no look is decorative, and `most`; equal if only the last look is
    not. Above 200, not every `min` is tried.
    """
    return next(_useful(least, most, claims, cells, alpha)), most


def _useful(least: int, most: int, claims: int, cells: int, alpha: float) -> Iterator[int]:
    for start in range(least, most, max(1, most // _TRIED)):
        if not any(look.is_decorative for look in look_powers(start, most, claims, cells, alpha)):
            yield start
    yield most


def _critical(df: float, level: float) -> float:
    return float(stats.t.isf(level / 2, df))


def _power(n: int, df: float, effect: float, level: float) -> float:
    """Of a t-test for an effect in standard deviations of the difference; noncentral t."""
    return float(stats.nct.sf(_critical(df, level), df, effect * math.sqrt(n)))


def _effect(n: int, df: float, level: float) -> float:
    """The effect that is detected with 80 % power."""
    enough = (_critical(df, level) + 3.0) / math.sqrt(n)
    while _power(n, df, enough, level) < 0.8:
        enough *= 2
    return float(optimize.brentq(lambda effect: _power(n, df, effect, level) - 0.8, 0.0, enough))
