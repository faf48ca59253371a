"""Where a sweep takes its stages from."""

from collections.abc import Mapping

from study.design.early_stopping import SuccessiveHalving
from study.design.stages import Stage
from study.planning.events import Outcome


class StageSource:
    """A fixed list of stages; subclasses may add stages as earlier ones end."""

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages
        self._total = len(stages)

    @property
    def total(self) -> int:
        """Number of stages, including those still to come; an estimate if that is not known yet."""
        return self._total

    def more(self) -> list[Stage]:
        """Stages that were not returned before, parents before children. Called again after every outcome."""
        stages, self._stages = self._stages, []
        return stages

    def ended(self, outcome: Outcome) -> None:
        """Called when a stage has ended."""

    @property
    def early_stopping(self) -> SuccessiveHalving | None:
        """The schedule for stages that `can_stop_early`; None if there are none."""
        return None

    def can_stop_early(self, stage: Stage) -> bool:
        """Whether the scheduler may stop a stage early."""
        return False

    def learning_curves(self) -> list[Mapping[int, float]]:
        """Validation accuracy by epoch of stages of earlier sweeps with which new ones are compared."""
        return []
