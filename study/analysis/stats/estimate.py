"""An estimated difference with its standard error: what intervals, p-values and verdicts are computed from."""

import math
from dataclasses import dataclass

from scipy import special  # type: ignore[import-untyped]

from study.analysis.stats.region_test import region_p_values
from study.design.claim_kinds.claim_kind import Region
from study.utils.errors import StudyError


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its standard error and the error's degrees of freedom.

    All in the unit of the difference. `error` is nan if it is not known (fewer than two replicates), and 0 if the
    difference is the same in all replicates.
    """

    mean: float
    error: float
    df: float
    n: int  # replicates

    @property
    def sd(self) -> float:
        """The standard deviation of the difference over replicates that gives n replicates this error."""
        return self.error * math.sqrt(self.n)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The ends of the two-sided Student t interval, nan without an error.

        Raises StudyError for a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise StudyError(f"invalid confidence level {level!r}: must be between 0 and 1, such as 0.95")
        half = float(special.stdtrit(self.df, (1 + level) / 2)) * self.error if self.df > 0 else math.nan
        return self.mean - half, self.mean + half

    def p_value(self) -> float:
        """Of the two-sided t-test that the difference is 0.

        If the error is 0, it is 1 for a difference of 0 and nan for others: the test is not defined.
        """
        if self.error == 0:
            return 1.0 if self.mean == 0 else math.nan
        return float(2 * special.stdtr(self.df, -abs(self.mean) / self.error)) if self.error > 0 else math.nan

    def region_p_values(self, region: Region) -> tuple[float, float]:
        """The alphas at which the 1 - alpha interval is just inside the region, and just outside; nan without one."""
        inside, outside = region_p_values(self.mean, self.error, self.df, region)
        return float(inside), float(outside)
