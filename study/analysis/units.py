"""The units in which metrics are shown: accuracies are stored as shares and shown in percentage points."""

from dataclasses import dataclass

from study.utils import formats


@dataclass(frozen=True)
class Unit:
    """The unit of a metric's differences: `scale` times the stored number."""

    name: str
    scale: float

    def signed(self, difference: float) -> str:
        """A difference with its sign, without the unit."""
        return formats.points(difference * self.scale / 100)

    def signed_with(self, difference: float, low: float, high: float) -> str:
        """A difference, and its interval if there is one."""
        return formats.points_with(*(number * self.scale / 100 for number in (difference, low, high)))

    def plus_minus(self, difference: float, low: float, high: float) -> str:
        """The same with half the width of the interval."""
        return formats.points_plus_minus(*(number * self.scale / 100 for number in (difference, low, high)))


POINTS, SECONDS = Unit("points", 100.0), Unit("s", 1.0)


def unit_of(metric: str) -> Unit:
    """Percentage points for accuracies, seconds for times."""
    return SECONDS if metric.endswith("_seconds") else POINTS
