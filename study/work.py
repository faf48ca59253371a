"""Where a fan-out takes its stages from."""

from study.outcome import Outcome
from study.stages import Stage


class Work:
    """Stages that are all known beforehand; a subclass finds out more as they end."""

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self._total = len(stages)

    @property
    def total(self) -> int:
        """Stages given and to be given, at a guess where that is not known yet."""
        return self._total

    def more(self) -> list[Stage]:
        """Stages that have not been given before, parents before children. Asked again after every outcome."""
        stages, self._stages = self._stages, []
        return stages

    def ended(self, outcome: Outcome) -> None:
        """One of them has ended."""
