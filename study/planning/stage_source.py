"""Where a fan-out takes its stages from."""

from collections.abc import Mapping

from study.design.early_stopping import Halving
from study.design.stages import Stage
from study.planning.events import Outcome


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

    @property
    def halving(self) -> Halving | None:
        """How stages that are `judged` are stopped early; None where none is."""
        return None

    def judged(self, stage: Stage) -> bool:
        """Whether a stage may be stopped early."""
        return False

    def courses(self) -> list[Mapping[int, float]]:
        """Of judged stages that ended before this work began: validation accuracy by epoch."""
        return []

    def ended(self, outcome: Outcome) -> None:
        """One of them has ended."""
